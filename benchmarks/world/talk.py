"""Questions through a real broker: how long an answer takes, and what becomes of it when connections are lost."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop

from benchmarks.through_kafka import broker
from benchmarks.world.client import TEXT, WebSocketClient, open_client
from benchmarks.world.guests import KEY, cookie_of
from benchmarks.world.processes import cpu_s, load, python, server
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import settings_environment

ASK_EVERY_S: Final = 2.2
"""A player may ask every two seconds."""
_ANSWER_S: Final = 20.0
_AWAY_S: Final = 0.3
_ADDRESS_PLAYERS: Final = 4
_RECONNECT_S: Final = 10.0


class Talker:
    """A player who asks, may lose the connection, and comes back with what it has not seen.

    Attributes:
        answers_s: how long each answer took that came without a drop.
        shown: how often each question's answer was shown.
        asked: ids of the questions.
        again: how many questions were asked again because they had not reached the gateway.
    """

    def __init__(self, number: int, port: int, tag: str) -> None:
        self._port = port
        self._source = f"127.0.3.{1 + number // _ADDRESS_PLAYERS}"
        self._cookie = cookie_of(f"{tag}묻{number}")
        self._bot = BOT_IDS[number % len(BOT_IDS)]
        self._ids = itertools.count(1)
        self._last = 0
        self._seat: dict[str, Any] = {}
        self._unknown = False
        self._arrived = asyncio.Event()
        self._client: WebSocketClient | None = None
        self.answers_s: list[float] = []
        self.shown: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.asked: list[str] = []
        self.again = 0

    async def enter(self) -> None:
        """Enter, or come back."""
        waiting = [question for question in self.asked if not self.shown[question]]
        resumed = {**self._seat, "last": self._last, "waiting": waiting} if self._seat else {}
        self._client = await open_client("127.0.0.1", self._port, self._cookie, self._receive, source=self._source)
        self._send({"t": "enter", "v": 1, **resumed})

    async def ask(self) -> None:
        """Ask, and wait for the answer."""
        question = self._next_id()
        began_s = time.perf_counter()
        self._send_question(question)
        await self._answer(question)
        self.answers_s.append(time.perf_counter() - began_s)

    async def ask_and_drop(self, draw: random.Random) -> None:
        """Ask, lose the connection at some time, come back and wait for the answer."""
        question = self._next_id()
        self._send_question(question)
        await asyncio.sleep(draw.uniform(0, 2 * draw.choice((0.001, 0.02, 0.05))))
        if self._client is not None:
            self._client.abort()
        await asyncio.sleep(draw.uniform(0, _AWAY_S))
        await self.enter()
        await self._answer(question)

    def _next_id(self) -> str:
        self.asked.append(f"q{next(self._ids)}")
        return self.asked[-1]

    async def _answer(self, question: str) -> None:
        async with asyncio.timeout(_ANSWER_S):
            while not self.shown[question]:
                self._arrived.clear()
                if self._unknown:  # it never reached the gateway: the client asks again, under the same id
                    self._unknown = False
                    self.again += 1
                    self._send_question(question)
                await self._arrived.wait()

    def _send_question(self, question: str) -> None:
        self._send({"t": "ask", "id": question, "bot": self._bot, "text": f"지금 들려? {question}"})

    def _send(self, command: dict[str, Any]) -> None:
        if self._client is not None:
            self._client.send(TEXT, json.dumps(command, ensure_ascii=False).encode())

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode != TEXT:
            return
        event = json.loads(payload)
        self._last = event["n"] if event["t"] == "welcome" else max(self._last, event["n"])
        if event["t"] == "welcome":
            self._seat = {"seat": event["you"], "epoch": event["epoch"]}
        elif event["t"] == "answered" and event.get("id"):
            self.shown[event["id"]] += 1
        elif event["t"] == "unanswered":
            self._unknown = event["reason"] == "unknown"
            self.unanswered[event["reason"]] += 1
        elif event["t"] == "refusal":
            self.unanswered[event["reason"]] += 1
        self._arrived.set()


async def _in_turn(talkers: list[Talker], turns: int, act: Callable[[Talker], Any]) -> None:
    """Let all players act a number of times, evenly spread over time."""

    async def one(index: int, talker: Talker) -> None:
        await asyncio.sleep(ASK_EVERY_S * index / len(talkers))
        for _ in range(turns):
            next_s = time.monotonic() + ASK_EVERY_S
            await act(talker)
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    await asyncio.gather(*(one(index, talker) for index, talker in enumerate(talkers)))


async def answers(port: int, players: int, seconds: float) -> list[float]:
    """Return how long each answer took, in seconds, in order of their lengths.

    The first question of each player is not counted: the first ones open the connections to Kafka.
    """
    talkers = [Talker(number, port, "가") for number in range(players)]
    for talker in talkers:
        await talker.enter()
    await _in_turn(talkers, 1, Talker.ask)
    for talker in talkers:
        talker.answers_s.clear()
    await _in_turn(talkers, max(1, round(seconds / ASK_EVERY_S)), Talker.ask)
    return sorted(itertools.chain.from_iterable(talker.answers_s for talker in talkers))


async def drops(port: int, players: int, count: int) -> dict[str, int]:
    """Drop connections around answers; return what became of the questions."""
    talkers, draw = [Talker(number, port, "나") for number in range(players)], random.Random(1)  # noqa: S311
    for talker in talkers:
        await talker.enter()
    lost = 0
    try:
        await _in_turn(talkers, count // players, lambda talker: talker.ask_and_drop(draw))
    except TimeoutError:
        lost = 1
    shown = [talker.shown[question] for talker in talkers for question in talker.asked]
    return {
        "drops": len(shown),
        "lost": max(lost, sum(times == 0 for times in shown)),
        "shown_twice": sum(times > 1 for times in shown),
        "asked_again": sum(talker.again for talker in talkers),
        "refused": sum(sum(talker.unanswered.values()) for talker in talkers) - sum(talker.again for talker in talkers),
    }


@contextmanager
def gateway_on_kafka(
    settings: Settings, home: Path, say: Callable[[str], None], more: Mapping[str, str] | None = None
) -> Iterator[tuple[psutil.Process, int]]:
    """Run a broker, the echoing bot and a gateway; yield the gateway's process and port.

    Args:
        settings: of the broker.
        home: folder for logs.
        say: called with lines of progress.
        more: further environment variables.
    """
    environment = {**settings_environment(settings), "KOGPT2_WORLD__KEYS": json.dumps([KEY]), **(more or {})}
    port = settings.ports.at(settings.ports.gateway)
    with broker(settings, say), ExitStack() as running:
        home.mkdir(parents=True, exist_ok=True)
        process = running.enter_context(
            server(python("world.gateway"), port, home / "gateway-kafka.log", environment=environment)
        )
        lines = running.enter_context(load(python("benchmarks.world.echo"), core=None, environment=environment))
        next(lines)
        yield process, port


def talk(
    settings: Settings, home: Path, *, players: int, seconds: float, count: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure answers and drops.

    Args:
        settings: of the benchmark's own broker.
        home: folder for logs.
        players: players who ask.
        seconds: duration of the measurement of answers.
        count: number of drops.
        say: called with lines of progress.

    Returns:
        The figures.
    """
    with gateway_on_kafka(settings, home, say) as (process, port):
        before_s, began_s = cpu_s(process), time.monotonic()
        found = uvloop.run(answers(port, players, seconds))
        took_s = time.monotonic() - began_s
        result: dict[str, Any] = {
            "players": players,
            "answers": len(found),
            **{f"p{share}_ms": found[len(found) * share // 100] * 1000 for share in (50, 95, 99)},
            "cpu_share": (cpu_s(process) - before_s) / took_s,
            "load_average": psutil.getloadavg()[0],
        }
        say(f"answers: {result}")
        result["drops"] = uvloop.run(drops(port, players, count))
        say(f"drops: {result['drops']}")
    return result
