"""The world of several gateways: names and rooms are shared over the topic ``world_state``.

Each gateway writes what it has every few seconds, and claims a name before a player enters with it. A claim is decided
once the gateway reads its own claim back: by then it has read all claims before it.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from kogpt2_chat.domain.chat.topics import WORLD_TOPIC
from kogpt2_chat.ports import Outgoing, Record, Topics
from world.gateway.follow import TopicThread
from world.gateway.protocol.views import RoomView
from world.gateway.refused import Refused
from world.gateway.rooms.directory import Claim, DirectoryLog, Entry, Gone, Release, State, read_entry, write_entry
from world.gateway.rooms.rooms import Rooms
from world.gateway.rules.names import name_key
from world.gateway.rules.tokens import Guest
from world.gateway.send import SendThread

STATE_EVERY_S: Final = 3.0
READY_AFTER_S: Final = 6.0
"""How long a gateway must have followed the topic without a break before it claims names. By then every gateway that is
alive has written its state, also after Kafka was away: it tries again within 2 s, and writes within further 3 s."""
_CLAIM_TIMEOUT_S: Final = 8.0
_CHECK_EVERY_S: Final = 0.05

log = structlog.get_logger(__name__)


class SharedDirectory:
    """The names and rooms of all gateways.

    Args:
        gateway: this gateway's name.
        url: the address at which players reach it.
        topics: Kafka.
        send: sends records.
        rooms: returns this gateway's rooms.
        moved: called with the id of a guest who has entered at another gateway.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        gateway: str,
        url: str,
        topics: Topics,
        send: SendThread,
        rooms: Callable[[], Rooms],
        moved: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway, self._url, self._send, self._rooms, self._moved = gateway, url, send, rooms, moved
        self._log = DirectoryLog()
        self._clock = clock
        self._following = TopicThread(topics, [WORLD_TOPIC], self._read, clock=clock)
        self._claims: dict[str, asyncio.Future[bool]] = {}

    @property
    def is_up(self) -> bool:
        """Whether names can be claimed: which ones are taken is known."""
        since_s = self._following.followed_since_s
        return since_s is not None and self._clock() - since_s >= READY_AFTER_S

    async def run(self) -> None:
        """Write this gateway's state until cancelled, and then that it is gone."""
        self._following.start(asyncio.get_running_loop())
        try:
            while True:
                try:
                    self._write_state()
                except Exception:  # the other gateways must not take this one for dead
                    log.exception("state_not_written")
                await asyncio.sleep(STATE_EVERY_S)
        finally:
            with suppress(Refused):
                self._write(Gone(self._gateway))
            self._following.stop(0)

    async def claim(self, guest: Guest) -> None:
        """Reserve a guest's name in the whole world.

        Raises:
            Refused: another player has the name, or Kafka does not answer.
        """
        name, claim_id = name_key(guest.name), uuid.uuid4().hex
        decided: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._claims[claim_id] = decided
        try:
            async with asyncio.timeout(_CLAIM_TIMEOUT_S):
                while not self.is_up:  # noqa: ASYNC110 - it comes true as time passes
                    await asyncio.sleep(_CHECK_EVERY_S)
                self._write(Claim(id=claim_id, gateway=self._gateway, name=name, guest=guest.id))
                has_name = await decided
        except TimeoutError:
            raise Refused("unavailable", "the other gateways cannot be asked for the name", 5) from None
        finally:
            del self._claims[claim_id]
        if not has_name:
            raise Refused("name_taken", "another player has this name")

    def release(self, name: str, guest_id: str) -> None:
        """Give up a name. If that is not possible now, the next state says so."""
        with suppress(Refused):
            self._write(Release(gateway=self._gateway, name=name, guest=guest_id))

    def rooms_elsewhere(self) -> Sequence[RoomView]:
        """Return the rooms of the other gateways."""
        return self._log.rooms_elsewhere(self._gateway)

    def _read(self, record: Record) -> None:
        if (entry := read_entry(record.value)) is None:
            return
        moved = self._log.read(entry, record.offset, record.timestamp_ms)
        if moved is not None and moved.gateway == self._gateway:
            self._moved(moved.guest)
        if isinstance(entry, Claim) and (decided := self._claims.get(entry.id)) is not None and not decided.done():
            decided.set_result(self._log.holds(entry.name, entry.guest, self._gateway))

    def _write_state(self) -> None:
        rooms = self._rooms()
        state = State(
            gateway=self._gateway,
            url=self._url,
            seen=self._log.offset,
            names={name_key(seat.guest.name): seat.guest.id for seat in rooms},
            rooms=[(view.room, view.players, view.seats) for view in rooms.own_views()],
        )
        with suppress(Refused):
            self._write(state)

    def _write(self, entry: Entry) -> None:
        self._send.send(Outgoing(topic=WORLD_TOPIC, key=self._gateway.encode(), value=write_entry(entry)))
