"""The gateway: its parts, and the web application around them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, MODERATION_TOPIC, QUESTION_TOPIC
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.ports import Outgoing, Record, Topics
from world.gateway.connection import Connection, refuse
from world.gateway.dispatch import Dispatch
from world.gateway.door import Door
from world.gateway.follow import TopicThread
from world.gateway.incoming import address_of
from world.gateway.learned import Book, LearnedBooks, read_book
from world.gateway.moderators import Moderators
from world.gateway.outside import KafkaOutside
from world.gateway.pages import ClientFiles, SecurityHeaders, is_built, show_places
from world.gateway.places import Places, load_places
from world.gateway.protocol.close_codes import REPLACED
from world.gateway.protocol.commands import MAX_FRAME_BYTES
from world.gateway.protocol.events import Staged
from world.gateway.protocol.frames import TICK_HZ
from world.gateway.protocol.views import BotView, RoomView
from world.gateway.recent import question_of, recent_records
from world.gateway.refused import Refused
from world.gateway.rooms.asking import WAIT_S, Asking
from world.gateway.rooms.chat import Chat
from world.gateway.rooms.rooms import Rooms
from world.gateway.rules.limits import AddressLimits
from world.gateway.rules.tokens import Guest, GuestTokens
from world.gateway.send import SendThread
from world.gateway.shared import SharedDirectory
from world.gateway.stages import BotFacts, StageBook, StageReader
from world.gateway.wire import Wire

ANSWER_TOPICS: Final = (*BOT_IDS, DEAD_LETTER_TOPIC)
_RETRY_S: Final = 5.0
_REMEMBERED_S: Final = 60.0
"""How far back a gateway that starts reads questions and answers, for players who wait since before its start."""
_STOP_TIMEOUT_S: Final = 3.0
_FOLLOW_TIMEOUT_S: Final = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What a gateway needs to know.

    Attributes:
        keys: the keys that sign guests' tokens, questions and feedback.
        name: the gateway's name.
        url: the address at which players reach it.
        others: the addresses of the world's other gateways.
        first_room: number of the first room.
        rooms: number of rooms.
        seats: players per room.
        origins: further origins from which pages may connect.
        trusted_proxies: addresses and networks of proxies that say where a client is and whether it comes over https.
        ids_per_hour: new guest ids per address.
        handshakes_per_minute: WebSocket handshakes per address.
        connections: open connections per address.
        facts: what every page gets to know.
    """

    keys: SigningKeys
    rooms: int
    seats: int
    ids_per_hour: int
    handshakes_per_minute: int
    connections: int
    name: str = "gateway-1"
    url: str = ""
    others: tuple[str, ...] = ()
    first_room: int = 1
    origins: frozenset[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


class Gateway:
    """One gateway.

    Args:
        settings: what it needs to know.
        topics: Kafka.
        read_facts: reads the facts about the bots.
        read_book: reads what a bot's version has learned.
        places: where things are.
        ops: returns the routes of the operators' pages.
        monotonic: returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        topics: Topics,
        read_facts: Callable[[], Mapping[str, BotFacts]],
        read_book: Callable[[str, int], Book | None] = read_book,
        places: Places | None = None,
        ops: Callable[[Rooms], Sequence[Route]] = lambda _: (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._topics, self._monotonic = settings, topics, monotonic
        self._stage_book = StageBook()
        self.learned = LearnedBooks(read_book, self._stage_book.set_learned)
        self.rooms = Rooms(
            places=places or load_places(),
            elsewhere=self._rooms_elsewhere,
            released=self._released,
            first_room=settings.first_room,
            rooms=settings.rooms,
            capacity=settings.seats,
            bots=self._stage_book.views,
        )
        self.ops_routes = ops(self.rooms)
        self.asking, self.moderators = Asking(self.rooms), Moderators(self.rooms)
        self._sending = SendThread(topics, monotonic)
        self._answers = TopicThread(topics, ANSWER_TOPICS, self._deliver)
        self._decisions = TopicThread(topics, [MODERATION_TOPIC], self.moderators.accept, from_end=False)
        self._dispatch = Dispatch(
            self.rooms,
            Chat(self.rooms),
            self.asking,
            KafkaOutside(self._send, settings.keys, settings.name),
            self.moderators.raise_if_muted,
        )
        self._stages = StageReader(self._stage_book, read_facts, self._show_stages, self.learned.expect, monotonic)
        self._addresses = AddressLimits(
            ids_per_hour=settings.ids_per_hour,
            handshakes_per_minute=settings.handshakes_per_minute,
            connections=settings.connections,
        )
        self.door = self._new_door()
        self._shared = self._new_directory() if settings.others else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[Record] | None = []
        self._has_stumbled = False

    def _new_door(self) -> Door:
        return Door(
            tokens=GuestTokens(self._settings.keys.keys),
            addresses=self._addresses,
            guests=self.rooms.limits,
            origins=self._settings.origins,
            facts=self._settings.facts,
            last_consent=self.rooms.consents.applied,
            signed_in=self.rooms.signed_in,
            signed_out=self._signed_out,
            banned=self.moderators.is_banned,
            monotonic=self._monotonic,
        )

    def _new_directory(self) -> SharedDirectory:
        return SharedDirectory(
            gateway=self._settings.name,
            url=self._settings.url,
            topics=self._topics,
            send=self._sending,
            rooms=lambda: self.rooms,
            moved=self._moved,
            clock=self._monotonic,
        )

    @property
    def others(self) -> tuple[str, ...]:
        """The addresses of the world's other gateways."""
        return self._settings.others

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """The proxies that say where a client is."""
        return self._settings.trusted_proxies

    @property
    def problems(self) -> list[str]:
        """What does not work now, in words; empty if all does. They name no address, since players can read them."""
        works = {
            "the bots' answers cannot be read from Kafka": self._answers.is_following,
            "moderators' decisions cannot be read from Kafka": self._decisions.is_following,
            "questions cannot be sent to Kafka": self._sending.is_up,
            "names cannot be claimed in Kafka at the other gateways": self._shared is None or self._shared.is_up,
            "the world does not move: see `tick_failed` in the gateway's log": not self._has_stumbled,
        }
        return [problem for problem, is_fine in works.items() if not is_fine]

    @asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        """Run the gateway's threads and its ticks while the web application runs."""
        del app
        self._loop = asyncio.get_running_loop()
        self._sending.start()
        self._answers.start(self._loop)
        self._decisions.start(self._loop)
        self._stages.start()
        await self._remember()
        tasks = [asyncio.create_task(self._tick())]
        if self._shared is not None:
            tasks.append(asyncio.create_task(self._shared.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stages.stop()
            self.learned.stop()
            for thread in (self._sending, self._decisions, self._answers):
                await asyncio.to_thread(thread.stop, _STOP_TIMEOUT_S)

    async def connect(self, socket: WebSocket) -> None:
        """``WS /world``: let a guest in."""
        address = address_of(socket)
        try:
            self._addresses.open(address, self._monotonic())
        except Refused as refused:
            await refuse(socket, refused)
            return
        try:
            guest = self.door.admitted(socket)
            await socket.accept()
            connection = Connection(
                socket, guest, self.rooms, self.asking, self._dispatch, self._claim, self._monotonic
            )
            await connection.run()
        except Refused as refused:
            await refuse(socket, refused)
        finally:
            self._addresses.close(address)

    async def health(self, request: Request) -> Response:
        """``GET /health``: whether players can talk with bots, and how many there are."""
        del request
        problems = self.problems
        body = {
            "ready": not problems,
            "problems": problems,
            "players": len(self.rooms),
            "waiting": len(self.asking),
            "client": is_built(),
        }
        return JSONResponse(body, 503 if problems else 200)

    async def _tick(self) -> None:
        period_s = 1 / TICK_HZ
        next_s = self._monotonic()
        while True:
            now_s = self._monotonic()
            works = [_does(step, now_s) for step in (self.rooms.tick, self.asking.expire)]
            self._has_stumbled = not all(works)
            next_s = max(next_s + period_s, now_s)  # a late tick is not made up for
            await asyncio.sleep(next_s - self._monotonic())

    async def _remember(self) -> None:
        """Wait for the answers to questions that an earlier process of this gateway has sent.

        1. Follow the answers, so that none is missed; those that arrive meanwhile are kept.
        2. Read the questions and the answers of the last minute.
        3. Take the questions, then the answers, then the kept ones.
        """
        questions: list[Record] = []
        answers: list[Record] = []
        try:
            await self._answers.following(_FOLLOW_TIMEOUT_S)
            await self._decisions.following(_FOLLOW_TIMEOUT_S)  # nobody who is banned may enter before that is known
            questions, answers = await asyncio.to_thread(self._recent)
        except (NotFound, Unavailable) as error:
            log.warning("questions_not_remembered", error=str(error))
        for record in questions:
            age_s = time.time() - record.timestamp_ms / 1000
            if (question := question_of(record, self._settings.keys)) is not None:
                self.asking.wait(question, self._monotonic() - min(age_s, WAIT_S))
        early, self._early = self._early or [], None
        self._answers.hand_over([*answers, *early])

    def _recent(self) -> tuple[list[Record], list[Record]]:
        since_ms = int((time.time() - _REMEMBERED_S) * 1000)
        questions = recent_records(self._topics, [QUESTION_TOPIC], since_ms)
        return questions, recent_records(self._topics, ANSWER_TOPICS, since_ms)

    async def _claim(self, guest: Guest) -> None:
        """Reserve a guest's name at the other gateways; this one's rooms check it themselves."""
        if self._shared is not None:
            await self._shared.claim(guest)

    def _rooms_elsewhere(self) -> Sequence[RoomView]:
        return () if self._shared is None else self._shared.rooms_elsewhere()

    def _released(self, name: str, guest_id: str) -> None:
        if self._shared is not None:
            self._shared.release(name, guest_id)

    def _moved(self, guest_id: str) -> None:
        """Let go of a player who has entered at another gateway."""
        if (seat := self.rooms.seat_of(guest_id)) is not None:
            seat.hang_up_with(REPLACED, "connected again")
            self.rooms.leave(seat)

    def _send(self, record: Outgoing) -> None:
        if not self._answers.is_following:
            raise Refused("unavailable", "answers could not be read", _RETRY_S)
        self._sending.send(record)

    def _deliver(self, record: Record) -> None:
        if self._early is not None:
            self._early.append(record)
        else:
            self.asking.accept(record)

    def _show_stages(self, views: list[BotView]) -> None:
        def tell() -> None:
            for view in views:
                self.rooms.tell_all(Staged(view))

        if self._loop is not None:
            self._loop.call_soon_threadsafe(tell)

    def _signed_out(self, guest_id: str) -> None:
        if (seat := self.rooms.seat_of(guest_id)) is not None:
            self.rooms.leave(seat)


def _does(step: Callable[[float], None], now_s: float) -> bool:
    """Do a step of a tick; return False if it fails. A fault that concerns one player must not stop the others."""
    try:
        step(now_s)
    except Exception:  # whatever it is
        log.exception("tick_failed")
        return False
    return True


def server_config(gateway: Gateway, host: str, port: int) -> uvicorn.Config:
    """Return how uvicorn serves a gateway: small messages, no compression, and headers of trusted proxies only."""
    return uvicorn.Config(
        web_application(gateway),
        host=host,
        port=port,
        lifespan="on",
        ws=Wire,
        ws_max_size=MAX_FRAME_BYTES,
        ws_max_queue=32,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(gateway.trusted_proxies),
        forwarded_allow_ips=[*gateway.trusted_proxies],
        timeout_graceful_shutdown=2,
    )


def web_application(gateway: Gateway) -> Starlette:
    """Return the web application of a gateway."""
    return Starlette(
        routes=[
            Route("/session", gateway.door.show, methods=["GET"]),
            Route("/session", gateway.door.sign_in, methods=["POST"]),
            Route("/session", gateway.door.sign_out, methods=["DELETE"]),
            Route("/health", gateway.health, methods=["GET"]),
            Route("/learned/{bot}", gateway.learned.show, methods=["GET"]),
            Route("/places", show_places, methods=["GET"]),
            WebSocketRoute("/world", gateway.connect),
            *gateway.ops_routes,
            Mount("/", ClientFiles(), name="client"),
        ],
        middleware=[Middleware(SecurityHeaders, gateways=gateway.others)],
        lifespan=gateway.running,
    )
