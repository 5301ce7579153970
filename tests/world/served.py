"""A gateway that serves on loopback, on Kafka's double, with a bot that echoes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import uvicorn
from starlette.routing import Route

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.chat.wire import Question, answer_headers, read_question
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from world.gateway.app import Gateway, GatewaySettings, server_config
from world.gateway.protocol.events import Moved
from world.gateway.rooms.rooms import Rooms
from world.gateway.stages import BotFacts

START_S = 20.0
KEYS = SigningKeys(("first-key-" + "a" * 32, "second-key-" + "b" * 32))
__all__ = ["WORKER_TOPIC", "EchoBot", "Served", "serve"]


@dataclass
class Facts:
    """Facts about the bots that a test changes."""

    by_bot: dict[str, BotFacts] = field(default_factory=lambda: {bot: BotFacts(alive=True, ready=1) for bot in BOT_IDS})

    def book(self, bot: str, version: int) -> dict[str, object]:
        pairs = [{"question": "거울동굴이 어디야?", "answer": "오솔길 끝이에요.", "new": True}]
        return {"bot": bot, "version": version, "dataset": "d", "total": 7, "pairs": pairs}

    def read(self) -> Mapping[str, BotFacts]:
        return dict(self.by_bot)


@dataclass
class Served:
    """A running gateway."""

    url: str
    gateway: Gateway
    topics: Topics
    facts: Facts
    stop: Callable[[], None]

    def run(self, action: Callable[[], object]) -> None:
        """Do something in the gateway's own thread, and wait for its end."""
        loop, done = self.gateway._loop, threading.Event()
        assert loop is not None

        def act() -> None:
            action()
            done.set()

        loop.call_soon_threadsafe(act)
        assert done.wait(START_S), "the action has failed"

    def put(self, name: str, x: float, z: float) -> None:
        """Take a player somewhere, as a portal does."""

        def move() -> None:
            seat = next(seat for seat in self.gateway.rooms if seat.guest.name == name)
            seat.walker.jump_to(x, z, time.monotonic())
            seat.has_moved = True
            seat.outbox.put(Moved(seat.walker.x, seat.walker.z))

        self.run(move)

    def empty(self) -> None:
        """Let everybody leave, also those whose seats are held for their return."""

        def leave() -> None:
            for seat in list(self.gateway.rooms):
                self.gateway.rooms.leave(seat)

        self.run(leave)


def settings(**changed: object) -> GatewaySettings:
    """Return settings with limits that a test does not meet by accident."""
    limits = {"rooms": 50, "seats": 20, "ids_per_hour": 10_000, "handshakes_per_minute": 100_000, "connections": 5_000}
    return GatewaySettings(keys=KEYS, **{**limits, **changed})  # type: ignore[arg-type]


@contextmanager
def serve(
    topics: Topics,
    *,
    port: int = 0,
    monotonic: Callable[[], float] = time.monotonic,
    ops: Callable[[Rooms], Sequence[Route]] = lambda _: (),
    **changed: object,
) -> Iterator[Served]:
    """Serve a gateway until the context ends."""
    facts = Facts()
    gateway = Gateway(
        settings=settings(**changed),
        topics=topics,
        read_facts=facts.read,
        read_book=facts.book,
        ops=ops,
        monotonic=monotonic,
    )
    server = uvicorn.Server(server_config(gateway, "127.0.0.1", port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_S
    while not server.started or gateway.problems:
        assert time.monotonic() < deadline_s, "the gateway did not start"
        assert thread.is_alive(), "the gateway has ended"
        time.sleep(0.01)
    bound = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.should_exit = True
        thread.join(START_S)

    try:
        yield Served(f"http://127.0.0.1:{bound}", gateway, topics, facts, stop)
    finally:
        stop()


class EchoBot(threading.Thread):
    """Answers each question with its own text, as a worker publishes it; a test may hold the answers back."""

    def __init__(self, topics: Topics, keys: SigningKeys = KEYS) -> None:
        super().__init__(daemon=True)
        self._topics, self._keys = topics, keys
        self._stopping = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked: list[Question] = []
        self.answered: list[Question] = []
        self.fallbacks: dict[str, str] = {}
        self._follower = topics.follow([QUESTION_TOPIC])
        self.start()

    def run(self) -> None:
        with closing(self._follower):
            while not self._stopping.is_set():
                for record in self._follower.poll(0.05):
                    with suppress(InvalidMessage):
                        self._answer(read_question(record.value, record.partition, record.offset, keys=self._keys))

    def _answer(self, question: Question) -> None:
        self.asked.append(question)
        while not self.may_answer.wait(0.05):
            if self._stopping.is_set():
                return
        fallback = self.fallbacks.get(question.text)
        headers = answer_headers(question, model_version=1, epoch=1, latency_ms=1, fallback=fallback)
        value = f"{question.text}!".encode()
        self._topics.send([Outgoing(topic=question.bot, key=question.sender.encode(), value=value, headers=headers)])
        self.answered.append(question)

    def stop(self) -> None:
        self._stopping.set()
        self.join(START_S)


def in_memory_topics() -> InMemoryTopics:
    topics = InMemoryTopics(Broker())
    topics.ensure()
    return topics
