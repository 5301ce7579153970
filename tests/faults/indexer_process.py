"""The live indexer as a real process on its own Kafka and Elasticsearch, and an audit of the documents."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.adapters.elastic import ElasticIndex
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.domain.search.documents import feedback_id, turn_document
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    FIELDS_BY_INDEX,
    LAKE_ONLY,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)
from kogpt2_chat.errors import InvalidMessage, Unavailable
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import CHECKOUT, Elastic, Kafka, Ports, Settings, Stack
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.program import environment_with_settings
from kogpt2_chat.stack.servers import elastic as server
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.supervision import Supervisor
from tests.faults.broker_process import FAULTS_HOME, keeps_home
from tests.free_ports import free_offset
from tests.loop import wait_until

# Between those of the small stacks and those of the broker.
OFFSETS = range(20220, 23500, 250)
RECOVERY_S = 240.0
"""Limit for a busy machine."""
SMALL_BATCH_MB = 0.02
"""About twenty turns: a backlog needs many requests, so that a fault comes between two of them."""
CRISIS = "죽고 싶어"


class IndexerServers:
    """A stack with Kafka and Elasticsearch, whose write queue has one place."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = bootstrap.topics(settings)
        self.index = ElasticIndex(settings)

    def kill_elasticsearch(self) -> None:
        """End it with SIGKILL; the supervisor restarts it."""
        supervisor = Supervisor(folders_of(self.settings)).find()
        assert supervisor is not None
        pid = supervisor.states()["elasticsearch"].pid
        assert pid is not None
        process = psutil.Process(pid)
        process.kill()
        process.wait(timeout=10)

    def put_settings(self, where: str, values: Mapping[str, object]) -> None:
        """Change settings of an index or, with ``_cluster``, of the server."""
        body, path = ({"transient": values}, "settings") if where == "_cluster" else (values, "_settings")
        requests.put(f"{self.settings.elastic_url}/{where}/{path}", json=body, timeout=30).raise_for_status()

    def delete_index(self, name: IndexName) -> None:
        """Delete an index, as an operator would."""
        requests.delete(f"{self.settings.elastic_url}/{name}", timeout=30).raise_for_status()


@contextmanager
def indexer_servers() -> Iterator[IndexerServers]:
    """Start both servers with topics and indices; at the end stop them and remove their data."""
    settings = Settings(
        home=FAULTS_HOME / "indexer",
        ports=Ports(offset=free_offset(OFFSETS, _ports(), FAULTS_HOME)),
        stack=Stack(min_memory_mb=400, workers=0, stop_timeout_s=20),
        kafka=Kafka(request_timeout_s=5),
        elastic=Elastic(timeout_s=10, batch_mb=SMALL_BATCH_MB),
    )
    down(settings, wipe=True, progress=_print_progress)
    original = server.elasticsearch_yml
    with pytest.MonkeyPatch.context() as patch:
        queue = "thread_pool.write.size: 1\nthread_pool.write.queue_size: 1\n"
        patch.setattr(server, "elasticsearch_yml", lambda *args: original(*args) + queue)
        try:
            only = ["kafka", "elasticsearch"]
            up(settings, only=only, progress=_print_progress, on_ready=lambda: bootstrap.prepare_servers(settings))
            yield IndexerServers(settings)
        finally:
            down(settings, wipe=not keeps_home(), progress=_print_progress)


class IndexerProcess:
    """`python -m indexer`, which a test kills and starts again.

    Args:
        settings: settings of the servers.
        folder: the folder for its log.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._log = settings, folder / "indexer.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> "IndexerProcess":
        """Start it, without waiting."""
        environment = environment_with_settings(self._settings) | variables
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "indexer"], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
            )
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> float:
        """End it with SIGTERM, and return how many seconds that took."""
        started = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - started

    def health(self) -> dict[str, Any]:
        """Return its report; empty if it does not answer."""
        url = f"http://{self._settings.local(self._settings.ports.indexer)}/health"
        with suppress(requests.ConnectionError, requests.Timeout):
            return dict(requests.get(url, timeout=5).json())
        return {}

    def documents(self, index: IndexName = TURN_INDEX) -> int:
        """Return how many documents it has written since its start."""
        return int(self.health().get("documents", {}).get(index, 0))

    def wait_for(self, condition: Any, what: str) -> None:
        """Wait until its health fulfils a condition."""
        wait_until(lambda: bool(condition(self.health())), RECOVERY_S, lambda: f"{what}: {self.health()} {self.tail()}")

    def tail(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None


class IndexAudit:
    """Writes records as workers and players do, and compares the documents with what the lake's rows would give."""

    def __init__(self, servers: IndexerServers) -> None:
        self._servers = servers
        self._next = 0
        self._base = f"{os.getpid()}{int(time.time())}"
        self._shown: set[str] = set()

    def send(self, count: int) -> None:
        """Write turns; some may not be stored, some may be about a crisis, some are repeated; feedback; dead letters."""
        turns = [self._turn(self._next + number) for number in range(count)]
        repeated = [replace(turn, answer="다시 답해요.") for turn in turns[::50]]
        self._next += count
        self._shown |= {turn.turn_id for turn in turns if turn.consent_store and turn.fallback is None}
        records = [
            Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode())
            for turn in [*turns, *repeated]
        ]
        records += [
            Outgoing(topic=FEEDBACK_TOPIC, key=b"p", value=self._feedback(turn).to_json().encode())
            for turn in turns[::20]
        ]
        records += [
            Outgoing(topic=DEAD_LETTER_TOPIC, key=b"p", value=b"{", headers={"reason": "json", "turn_id": "x"}),
            Outgoing(topic=TURN_TOPIC, key=b"p", value=b"not a turn"),
        ]
        self._servers.topics.send(records)

    def wait_until_complete(self, indexer: IndexerProcess) -> None:
        """Wait until the index has a document for each record that has one, then compare all of them."""
        turns, crises, feedback, dead = self._expected()
        index = self._servers.index
        wanted = {TURN_INDEX: len(turns), FEEDBACK_INDEX: len(feedback), DEAD_LETTER_INDEX: dead}

        def counts() -> dict[IndexName, int]:
            try:
                return {name: index.count(name) for name in wanted}
            except Unavailable:
                return {}

        def describe() -> str:
            return f"expected {wanted}, found {counts()}; {indexer.health()} {indexer.tail()}"

        wait_until(lambda: counts() == wanted and indexer.health().get("lag_s") == 0, RECOVERY_S, describe)
        assert self._documents(TURN_INDEX) == turns
        assert self._documents(FEEDBACK_INDEX).keys() == feedback
        lacking = [one for one, document in self._documents(FEEDBACK_INDEX).items() if "bot" not in document]
        assert lacking == [], "their turns were indexed before them"
        found = Counter[str]()
        for document in self._documents(SAFETY_INDEX).values():
            found[str(document["bot"])] += int(str(document["count"]))
        assert found == crises

    def _documents(self, name: IndexName) -> dict[str, Mapping[str, object]]:
        return dict(self._servers.index.scan(name, list(FIELDS_BY_INDEX[name])))

    def _expected(self) -> tuple[dict[str, Mapping[str, object]], Counter[str], set[str], int]:
        """Return the documents of turns, the crises by bot, the ids of feedback and the number of dead letters."""
        reader = RecordReader(ingested_at=datetime.now(UTC))
        turns: dict[str, Mapping[str, object]] = {}
        crises: Counter[str] = Counter()
        for record in sorted(self._records(TURN_TOPIC), key=lambda record: record.timestamp_ms):
            try:
                row = reader.read(record)
            except InvalidMessage:
                continue
            if row is None:
                continue
            if safety_kind(row):
                crises[str(row["bot"])] += 1
            else:
                turns[str(row["turn_id"])] = turn_document({n: row[n] for n in row if n not in LAKE_ONLY})
        rows = (reader.read(record) for record in self._records(FEEDBACK_TOPIC))
        feedback = {feedback_id(row) for row in rows if row is not None}
        dead = len(list(self._records(DEAD_LETTER_TOPIC)))
        assert self._shown <= turns.keys(), "turns that were sent cannot be read"
        return turns, crises, feedback, dead

    def _records(self, topic: str) -> Iterator[Any]:
        topics = self._servers.topics
        for partition, end in topics.end_positions(topic).items():
            yield from topics.read(topic, partition, topics.start_positions(topic)[partition], end)

    def _turn(self, number: int) -> Turn:
        is_crisis = number % 100 == 7
        now = datetime.now(UTC).isoformat()
        return Turn(
            turn_id=f"bot_question-{self._base}-{number}", question_id=f"q{number}",
            bot="ChatbotC" if number % 3 else "ChatbotA", player_id=f"p{number % 40}", sender="하늘",
            text=CRISIS if is_crisis else f"오늘 {number}번째 이야기야, 어때?", answer="재미있는 이야기네요.",
            received_at=now, answered_at=now, latency_ms=5, consent_store=number % 10 != 9, consent_train=False,
            source="v1", worker="worker-1", model_version=1 + number % 2, fallback="safety" if is_crisis else None,
        )  # fmt: skip

    def _feedback(self, turn: Turn) -> Feedback:
        return Feedback(
            feedback_id=f"f-{turn.turn_id}", turn_id=turn.turn_id, player_id="p", kind="up", sent_at=turn.answered_at
        )


def _ports() -> list[int]:
    plain = Ports()
    return [plain.kafka, plain.kafka_controller, plain.elasticsearch, plain.elasticsearch_transport, plain.indexer]


def _print_progress(line: str) -> None:
    print(f"faults: {line}", flush=True)
