"""A gateway of the world as a real process on the fault tests' broker, and players that behave like the page."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.client.world_player import Event, WorldPlayer
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import Question, read_question
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.settings import CHECKOUT, Settings
from tests.world.served import KEYS

START_S = 60.0
GENEROUS = {
    "KOGPT2_WORLD__IDS_PER_HOUR": "10000",
    "KOGPT2_WORLD__HANDSHAKES_PER_MINUTE": "10000",
    "KOGPT2_WORLD__CONNECTIONS": "1000",
}


class GatewayProcess:
    """`python -m world.gateway`, which a test kills and starts again on the same port.

    Args:
        settings: settings of a stack that runs only Kafka.
        home: the folder for its log.
        bootstrap: the broker's address; empty: as the settings say.
    """

    def __init__(self, settings: Settings, home: Path, *, bootstrap: str = "") -> None:
        self._settings, self._home, self._bootstrap = settings, home, bootstrap or settings.kafka_bootstrap
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{settings.local(settings.ports.gateway)}"

    def start(self, keys: Sequence[str] = KEYS.keys) -> "GatewayProcess":
        """Start it, and wait until it is healthy."""
        environment = {
            **os.environ,
            **GENEROUS,
            "KOGPT2_HOME": str(self._home),
            "KOGPT2_PORTS__OFFSET": str(self._settings.ports.offset),
            "KOGPT2_KAFKA__BOOTSTRAP": self._bootstrap,
            "KOGPT2_WORLD__KEYS": json.dumps(list(keys)),
        }
        with (self._home / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "world.gateway"], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_S
        while self.health() != (requests.codes.ok, []):
            assert self._process.poll() is None, f"the gateway ended: {self.tail()}"
            assert time.monotonic() < deadline_s, f"not healthy: {self.health()}: {self.tail()}"
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._end(signal.SIGTERM)

    def health(self) -> tuple[int, list[str]]:
        """Return the status and the problems that it reports; 0 if it does not answer."""
        try:
            reply = requests.get(f"{self.url}/health", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            return 0, []
        return reply.status_code, reply.json()["problems"]

    def tail(self) -> str:
        """Return the end of its log."""
        return (self._home / "gateway.log").read_text(errors="replace")[-4000:]

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None


@contextmanager
def gateway_process(settings: Settings, home: Path, *, bootstrap: str = "") -> Iterator[GatewayProcess]:
    """Make a gateway, and leave no process running."""
    home.mkdir(parents=True, exist_ok=True)
    made = GatewayProcess(settings, home, bootstrap=bootstrap)
    try:
        yield made
    finally:
        made.kill()


class PagePlayer:
    """A player whose client does what the page does with questions: it lists those that it saw a bot think about when
    it connects again, and sends the others once more, with the same id.

    Attributes:
        player: the connection.
        shown: the answers and notices that it has shown, by the question's id.
    """

    def __init__(self, url: str, name: str, **consent: bool) -> None:
        self.player = WorldPlayer(url, name, **consent)
        self.player.enter()
        self.shown: dict[str, list[Event]] = {}
        self._asked: dict[str, tuple[str, str]] = {}

    def ask(self, bot: str, text: str) -> str:
        """Ask a bot; return the question's id."""
        question = self.player.ask(bot, text)
        self._asked[question] = bot, text
        return question

    def drop(self) -> None:
        """Lose the connection."""
        self.player.drop()

    def come_back(self, **fields: object) -> None:
        """Connect again, after a restart of the gateway."""
        self._show()
        waiting = [question for question in self._asked if question not in self.shown]
        known = [question for question in waiting if self._has_thought(question)]
        self.player.enter(waiting=known, **fields)
        self._synchronize()
        for question in waiting:
            if not self._has_thought(question):
                bot, text = self._asked[question]
                self.player.ask(bot, text, id=question)

    def end_of(self, question: str) -> Event:
        """Wait for the end of a question, and show it."""
        self._show()
        if question not in self.shown:
            self.shown[question] = [self.player.answer_to(question)]
        return self.shown[question][0]

    def all_shown(self, question: str) -> list[Event]:
        """Ask the same bot once more, so that whatever came before is here; return what was shown of a question."""
        bot, text = self._asked[question]
        last = self.ask(bot, f"{text} 그리고?")
        assert self.end_of(last)["t"] == "answered"
        self._show()
        return self.shown[question]

    def close(self) -> None:
        """Leave."""
        self.player.close()

    def _synchronize(self) -> None:
        self.player.send("ping", at=0)
        self.player.wait_for(lambda event: event["t"] == "pong")

    def _has_thought(self, question: str) -> bool:
        return any(event["t"] == "thinking" and event.get("id") == question for event in list(self.player.events))

    def _show(self) -> None:
        for event in list(self.player.events):
            if event["t"] in ("answered", "unanswered") and event.get("id") in self._asked:
                self.player.events.remove(event)
                self.shown.setdefault(event["id"], []).append(event)


class QuestionLog:
    """The questions on the broker since this object was made.

    Args:
        settings: the broker's address.
    """

    def __init__(self, settings: Settings) -> None:
        self._topics = bootstrap.topics(settings)
        self._starts = self._topics.end_positions(QUESTION_TOPIC)

    def read(self, keys: SigningKeys = KEYS) -> list[Question]:
        """Return the questions of the world's players."""
        found = []
        for number, end in self._topics.end_positions(QUESTION_TOPIC).items():
            for record in self._topics.read(QUESTION_TOPIC, number, self._starts[number], end):
                with suppress(InvalidMessage):
                    found.append(read_question(record.value, record.partition, record.offset, keys=keys))
        return [question for question in found if question.source == "v1"]

    def counts(self) -> Counter[str]:
        """Return how often each question was sent, by the client's id."""
        return Counter(question.question_id.rpartition(".")[2] for question in self.read())


def guest_id(player: WorldPlayer) -> str:
    """Return a player's id."""
    reply = requests.get(f"{player.url}/session", headers={"Cookie": player.cookie}, timeout=10)
    return str(reply.json()["guest"]["id"])
