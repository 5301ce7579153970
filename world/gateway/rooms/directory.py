"""Who has which name, and which rooms there are, over all gateways: a fold over one log that every gateway reads.

All gateways read the same records in the same order, so they agree without asking each other. A claim that comes first
wins. Times are those of the broker, so the gateways' clocks do not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from world.gateway.protocol.views import RoomView

SILENT_MS: Final = 15_000
"""A gateway that has written no state for this long is gone, and so are its players: five states were missed."""


class Claim(Struct, frozen=True, tag="claim"):
    """A gateway wants a name for a guest.

    Attributes:
        id: identifies the claim for the gateway that waits for it.
    """

    id: str
    gateway: str
    name: str
    guest: str


class Release(Struct, frozen=True, tag="release"):
    """A gateway gives up a name."""

    gateway: str
    name: str
    guest: str


class State(Struct, frozen=True, tag="state"):
    """What a gateway has, written every few seconds.

    Attributes:
        url: the address at which players reach the gateway.
        seen: offset of the last record that the gateway had read. Its own claims after that are not in ``names`` yet.
        names: the guest of each name.
        rooms: room, players and seats of each room in use.
    """

    gateway: str
    url: str
    seen: int
    names: dict[str, str]
    rooms: list[tuple[int, int, int]]


class Gone(Struct, frozen=True, tag="gone"):
    """A gateway stops."""

    gateway: str


Entry = Claim | Release | State | Gone
_DECODER: Final = msgspec.json.Decoder(Entry)


def read_entry(value: bytes | None) -> Entry | None:
    """Read a record of the log; None if another program wrote it."""
    try:
        entry: Entry = _DECODER.decode(value or b"")
    except msgspec.DecodeError:
        return None
    return entry


def write_entry(entry: Entry) -> bytes:
    """Return the value of a record."""
    return msgspec.json.encode(entry)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a name, and the offset of the record that says so."""

    guest: str
    gateway: str
    offset: int


@dataclass(slots=True)
class _Known:
    url: str
    rooms: Sequence[tuple[int, int, int]]
    at_ms: int


@dataclass(slots=True)
class DirectoryLog:
    """The state that follows from the records read so far.

    Attributes:
        holder_by_name: who holds each name.
        offset: offset of the last record.
    """

    holder_by_name: dict[str, Holder] = field(default_factory=dict)
    offset: int = -1
    _known: dict[str, _Known] = field(default_factory=dict)
    _now_ms: int = 0

    def read(self, entry: Entry, offset: int, at_ms: int) -> Holder | None:
        """Take a record.

        Args:
            entry: the record.
            offset: its offset; each is higher than the one before.
            at_ms: its broker time.

        Returns:
            The former holder, if the name of a guest moves from one gateway to another.
        """
        self.offset, self._now_ms = offset, max(self._now_ms, at_ms)
        if (known := self._known.get(entry.gateway)) is not None:
            known.at_ms = at_ms
        self._forget_silent()
        if isinstance(entry, Claim):
            return self._claim(entry)
        if isinstance(entry, Release):
            self._release(entry)
        elif isinstance(entry, State):
            self._state(entry, at_ms)
        else:
            self._forget(entry.gateway)
        return None

    def holds(self, name: str, guest: str, gateway: str) -> bool:
        """Return whether a guest holds a name at a gateway."""
        holder = self.holder_by_name.get(name)
        return holder is not None and (holder.guest, holder.gateway) == (guest, gateway)

    def rooms_elsewhere(self, gateway: str) -> list[RoomView]:
        """Return the rooms of the other gateways, with the addresses of these."""
        return [
            RoomView(room, players, seats, known.url)
            for name, known in sorted(self._known.items())
            if name != gateway
            for room, players, seats in known.rooms
        ]

    def names_of(self, gateway: str) -> Mapping[str, str]:
        """Return the guest of each name that a gateway holds."""
        return {name: holder.guest for name, holder in self.holder_by_name.items() if holder.gateway == gateway}

    def _claim(self, claim: Claim) -> Holder | None:
        before = self.holder_by_name.get(claim.name)
        if before is not None and before.guest != claim.guest:
            return None
        self.holder_by_name[claim.name] = Holder(claim.guest, claim.gateway, self.offset)
        return before if before is not None and before.gateway != claim.gateway else None

    def _release(self, release: Release) -> None:
        if self.holds(release.name, release.guest, release.gateway):
            del self.holder_by_name[release.name]

    def _state(self, state: State, at_ms: int) -> None:
        self._known[state.gateway] = _Known(state.url, state.rooms, at_ms)
        for name in self.names_of(state.gateway):
            if name not in state.names and self.holder_by_name[name].offset <= state.seen:
                del self.holder_by_name[name]
        for name, guest in state.names.items():
            holder = self.holder_by_name.get(name)
            # A reader that started late may have taken a refused claim for a granted one. The holder knows better.
            if holder is None or holder.offset <= state.seen:
                self.holder_by_name[name] = Holder(guest, state.gateway, self.offset)

    def _forget_silent(self) -> None:
        for gateway in [name for name, known in self._known.items() if self._now_ms - known.at_ms > SILENT_MS]:
            self._forget(gateway)

    def _forget(self, gateway: str) -> None:
        self._known.pop(gateway, None)
        for name in list(self.names_of(gateway)):
            del self.holder_by_name[name]
