"""A worker of the last release and one of this release serve the same bots, controlled by commands of either release.

``release-COMMIT.tar.xz`` is that release's code, packed by ``pack_release.sh``. It runs with this release's libraries.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.cli.status import bots
from kogpt2_chat.client.ask import ReceivedAnswer, Utterance, question_record
from kogpt2_chat.client.feedback import Opinion, feedback_record
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, WorkerState
from kogpt2_chat.jobs.mute import mute
from kogpt2_chat.jobs.rollback import rollback
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.testing.tiny_gpt2 import tiny_version
from tests.faults.broker_process import keeps_home, own_broker
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import QUICK
from tests.integration.worker_process import WorkerProcess
from tests.loop import ask_bots, wait_until

PACKED: Final = Path(__file__).with_name("release-daa018b.tar.xz")
MOST_BYTES: Final = 1_000_000
BOT: Final = "ChatbotA"
NEW, OLD = 1, 2
BOTH: Final = (f"worker-{NEW}", f"worker-{OLD}")
TIMEOUT_S: Final = 120.0
PRINT_STATES: Final = """
from kogpt2_chat.domain.rollout import RolloutState, SlotReport, WorkerState
slot = SlotReport(bot="ChatbotA", version=2, state="degraded", detail="왜냐하면")
print(RolloutState(bot="ChatbotA", epoch=3, champion=2, previous=1, muted=True, reason="시험", by="나", at="2026").to_json())
print(WorkerState(worker="worker-2", epoch_by_bot={"ChatbotA": 3}, slots=(slot,), at="2026").to_json())
"""
READ_STATES: Final = """
import sys
from kogpt2_chat.domain.rollout import RolloutState, WorkerState
state, worker = RolloutState.from_json(sys.argv[1]), WorkerState.from_json(sys.argv[2])
print(state.bot, state.epoch, state.champion, state.previous, state.muted)
print(worker.worker, dict(worker.epoch_by_bot), worker.slots[0].version, worker.slots[0].state)
"""


READ_SIGNED: Final = """
import json, sys
from kogpt2_chat.domain.turns import Feedback, Turn
from kogpt2_chat.domain.wire import read_question
question, turn, feedback = (text.encode() for text in sys.argv[1:])
asked, said, stored = read_question(question, 0, 1), Feedback.from_json(feedback), Turn.from_json(turn)
print(json.dumps([asked.player_id, asked.text, dict(asked.extra)]))
print(json.dumps([stored.text, dict(stored.extra)]))
print(json.dumps([said.text, said.consent_train, dict(said.extra)]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The last release's code, unpacked."""

    folder: Path

    @property
    def path(self) -> str:
        return os.pathsep.join([str(self.folder / "src"), str(self.folder)])

    def run(self, *argv: str, variables: dict[str, str] | None = None) -> str:
        """Run Python with that code, and return what it prints."""
        environment = {**os.environ, "PYTHONPATH": self.path, "KOGPT2_ENV_FILE": "", **(variables or {})}
        done = subprocess.run(
            [sys.executable, *argv], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    return Release(folder=folder)


def test_the_packed_release_is_small_and_only_code() -> None:
    """It is part of every clone of the repository."""
    assert PACKED.stat().st_size <= MOST_BYTES
    with tarfile.open(PACKED) as archive:
        members = archive.getmembers()
    assert {member.name.split("/")[0] for member in members} == {"src", "serving"}
    assert all(member.isfile() or member.isdir() for member in members)


def test_states_of_the_last_release_are_read(release: Release) -> None:
    """This release's workers and jobs can read what the last release's jobs and workers write."""
    rollout_state, worker_state = release.run("-c", PRINT_STATES).splitlines()
    assert RolloutState.from_json(rollout_state) == RolloutState(
        bot=BOT, epoch=3, champion=2, previous=1, muted=True, reason="시험", by="나", at="2026"
    )
    worker = WorkerState.from_json(worker_state)
    slot = worker.slot(BOT)
    assert slot is not None
    assert (worker.worker, worker.epoch_by_bot, slot.version, slot.state) == ("worker-2", {BOT: 3}, 2, "degraded")
    assert (slot.detail, slot.muted) == ("왜냐하면", None)


def test_the_last_release_reads_the_states_of_this_one(release: Release) -> None:
    """It ignores the fields that it does not know."""
    state = RolloutState(bot=BOT, epoch=4, champion=2, digest="ab", previous=1, earlier=3, muted=True)
    slot = SlotReport(bot=BOT, version=2, state="ready", form="int8", muted=True)
    worker = WorkerState(worker="worker-1", epoch_by_bot={BOT: 4}, slots=(slot,), at="2026")
    printed = release.run("-c", READ_STATES, state.to_json(), worker.to_json()).splitlines()
    assert printed == [f"{BOT} 4 2 1 True", f"worker-1 {{'{BOT}': 4}} 2 ready"]


def test_the_last_release_keeps_signatures_and_minors_in_extra(release: Release) -> None:
    """Its worker answers a signed question, and its ingest stores turns and feedback of this release."""
    keys = SigningKeys(("k" * 32,))
    asked = Utterance(bot=BOT, sender="노을", text="안녕?", player_id="w-7fQ2", minor=True)
    opinion = Opinion(turn_id="bot_question-0-1", player_id="w-7fQ2", kind="correction", text="응", minor=True)
    question, feedback = question_record("q", asked, keys).value, feedback_record(opinion, keys).value
    body: dict[str, object] = dict.fromkeys(("turn_id", "question_id", "player_id", "sender", "answer", "worker"), "x")
    body |= dict.fromkeys(("received_at", "answered_at"), "2026-11-27T10:00:00+09:00")
    body |= {"v": 1, "bot": BOT, "text": "안녕?", "source": "v1", "latency_ms": 1}
    body |= {"consent_store": True, "consent_train": False}
    new_turn = replace(Turn.from_json(json.dumps(body)), authenticated=True, minor=True, kafka_ms=7).to_json()
    printed = release.run("-c", READ_SIGNED, (question or b"").decode(), new_turn, (feedback or b"").decode())
    read, stored, said = (json.loads(line) for line in printed.splitlines())
    assert read == ["w-7fQ2", "안녕?", {"minor": True, "auth": json.loads(question or b"")["auth"]}]
    assert stored == ["안녕?", {"authenticated": True, "minor": True, "kafka_ms": 7}]
    assert said == ["응", None, {"minor": True, "auth": json.loads(feedback or b"")["auth"]}]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """A broker, a registry in memory, and one worker of each release."""

    settings: Settings
    registry: InMemoryRegistry
    release: Release
    workers: dict[int, WorkerProcess]

    def ask(self) -> ReceivedAnswer:
        (reply,) = ask_bots(self.settings, Utterance(bot=BOT, sender="노을", text="안녕? '따옴표'도 괜찮지?"))
        return reply

    def old_command(self, *argv: str) -> dict[str, Any]:
        """Run a command of the last release."""
        variables = {"KOGPT2_PORTS__OFFSET": str(self.settings.ports.offset), "KOGPT2_HOME": str(self.settings.home)}
        found: dict[str, Any] = json.loads(
            self.release.run("-m", "kogpt2_chat.cli", *argv, "--json", variables=variables)
        )
        return found

    def tails(self) -> str:
        return "\n".join(f"worker-{ordinal}: {worker.tail()}" for ordinal, worker in self.workers.items())


@pytest.fixture(scope="module")
def side_by_side(release: Release) -> Iterator[SideBySide]:
    with ExitStack() as stack:
        kafka = stack.enter_context(own_broker(keep=keeps_home()))
        settings, registry = kafka.settings, InMemoryRegistry()
        old = {"PYTHONPATH": release.path, "KOGPT2_ENV_FILE": ""}
        workers = {
            NEW: WorkerProcess(settings, NEW, kafka.home, more=QUICK),
            OLD: WorkerProcess(
                settings, OLD, kafka.home, more=QUICK | old, folder=release.folder, ordinal_name="KOGPT2_SERVING__SLOT"
            ),
        }
        for worker in workers.values():
            stack.callback(worker.kill)
            stack.callback(worker.terminate)
        for worker in workers.values():
            worker.wait_ready()
        first = _registered(registry, kafka.home / "versions" / BOT)
        registry.set_alias(BOT, "champion", first)
        second = tiny_version(kafka.home / "versions" / "second", bot=BOT, seed=2)
        for ordinal in workers:
            _put_on_disk(second, kafka.home / "models" / f"worker-{ordinal}" / BOT, _registered(registry, second))
        yield SideBySide(settings=settings, registry=registry, release=release, workers=workers)


def _registered(registry: InMemoryRegistry, folder: Path) -> int:
    """Register a version that passed the gate; a second call for the same folder returns the same number."""
    run_id = next((known for known, run in registry.runs.items() if run.name == folder.name), None)
    run_id = run_id or registry.start_run(folder.name, {}, {})
    registry.log_files(run_id, folder, "version")
    return registry.add_version(BOT, run_id, "version", {"gate": "pass"})


def _put_on_disk(version: Path, models: Path, number: int) -> None:
    """Put a version where a worker looks first, once it has removed everything but the version that it serves."""
    wait_until((models / "last_good").exists, TIMEOUT_S, lambda: f"found {list(models.iterdir())}")
    shutil.copytree(version, models / str(number))


@pytest.mark.stack
def test_workers_of_both_releases_share_the_questions(side_by_side: SideBySide) -> None:
    """In one consumer group: each question has one answer and one turn, and both workers answer."""
    audit = ReplyAudit(side_by_side.settings)

    def names() -> set[str]:
        return {Turn.from_json(record.value or b"").worker for record in audit.seen[TURN_TOPIC]}

    audit.ask(24)
    audit.wait(lambda: names() == set(BOTH), TIMEOUT_S, on_wait=lambda: audit.ask(3))
    audit.wait_for_replies(TIMEOUT_S)
    result = audit.result()
    assert (result.is_exactly_once, result.dead_letters) == (True, 0), f"{result}\n{side_by_side.tails()}"


@pytest.mark.stack
def test_a_rollout_and_a_rollback_reach_workers_of_both_releases(side_by_side: SideBySide) -> None:
    """The jobs wait for both, and the next question is answered by the version that they name."""
    settings, registry = side_by_side.settings, side_by_side.registry
    arguments = {"bot": BOT, "topics": bootstrap.topics(settings), "registry": registry, "settings": settings}
    result = rollout(**arguments, progress=print, version=2)  # type: ignore[arg-type]
    assert (result.workers, result.version) == (BOTH, 2)
    assert side_by_side.ask().version == "2"
    assert {row.bot: row.version for row in bots(settings)}[BOT] == 2
    result = rollback(**arguments, progress=print)  # type: ignore[arg-type]
    assert (result.workers, result.version) == (BOTH, 1)
    assert side_by_side.ask().version == "1"


@pytest.mark.stack
def test_each_worker_runs_the_code_of_its_release(side_by_side: SideBySide) -> None:
    """The event for a received rollout has another name since the last release."""
    new, old = (side_by_side.workers[ordinal].log_path.read_text("utf-8") for ordinal in (NEW, OLD))
    assert '"rollout_state_received"' in new
    assert '"rollout_heard"' not in new
    assert '"rollout_heard"' in old


@pytest.mark.stack
def test_this_release_mutes_workers_of_both(side_by_side: SideBySide) -> None:
    """Both acknowledge it, and players get the notice until the bot is unmuted."""
    settings = side_by_side.settings
    for muted, fallback in ((True, "muted"), (False, None)):
        result = mute(bot=BOT, topics=bootstrap.topics(settings), settings=settings, progress=print, muted=muted)
        assert (result.workers, result.muted) == (BOTH, muted)
        assert side_by_side.ask().fallback == fallback


@pytest.mark.stack
def test_the_last_release_mutes_workers_of_both(side_by_side: SideBySide) -> None:
    """Its command writes a state with fewer fields, and this release's worker keeps serving the same version."""
    version = side_by_side.ask().version
    for command, fallback in (("mute", "muted"), ("unmute", None)):
        result = side_by_side.old_command(command, BOT)
        assert (result["workers"], result["muted"]) == (list(BOTH), fallback == "muted")
        assert side_by_side.ask().fallback == fallback
    assert side_by_side.ask().version == version
