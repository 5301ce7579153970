"""Limits on how often a client may do something: token buckets, strikes, and counts per address."""

from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Final, Literal

from world.gateway.refused import Refused

Action = Literal["move", "chat", "ask", "report", "social", "sign_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often an action is allowed.

    Attributes:
        per_s: actions per second on average.
        burst: actions at once after a pause.
    """

    per_s: float
    burst: float


RATE_BY_ACTION: Final[dict[Action, Rate]] = {
    "move": Rate(per_s=20, burst=30),
    "chat": Rate(per_s=1, burst=5),
    "ask": Rate(per_s=0.5, burst=2),
    "report": Rate(per_s=1 / 60, burst=5),
    "social": Rate(per_s=2, burst=8),
    "sign_in": Rate(per_s=0.1, burst=10),
}
"""``social``: emotes, thumbs, looks, blocks and whatever else is neither chat nor a question. ``sign_in``: a new name
or another consent at the door."""
TALK: Final[frozenset[Action]] = frozenset({"chat", "ask"})
"""What others may suffer from: too much of it is a strike."""
STRIKES: Final = 3
STRIKES_EXPIRE_S: Final = 60.0
MUTE_S: Final = 30.0
_FORGIVEN: Final = 10
"""Messages of a muted player before the connection is closed: people go on typing for a moment."""
KEPT_S: Final = 600.0
"""After this time without use, a guest's limits are as those of a new guest: all buckets are full, no strike counts."""


class TokenBucket:
    """Allows actions at a rate, and a burst after a pause."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate, self._tokens, self._at_s = rate, rate.burst, now_s

    def take(self, now_s: float, count: float = 1) -> float:
        """Take tokens.

        Args:
            now_s: the time in monotonic seconds.
            count: how many.

        Returns:
            0 if the action is allowed, otherwise the seconds until it will be.
        """
        self._tokens = min(self._rate.burst, self._tokens + max(0.0, now_s - self._at_s) * self._rate.per_s)
        self._at_s = max(self._at_s, now_s)
        if self._tokens >= count:
            self._tokens -= count
            return 0.0
        return (count - self._tokens) / self._rate.per_s

    def put_back(self, count: float = 1) -> None:
        """Undo a :meth:`take`, because the action turned out not to count."""
        self._tokens += count


class ClientLimits:
    """The limits of one guest: a bucket per action, and strikes for talking too fast.

    The third strike within a minute mutes the player for 30 s. Who goes on talking while muted is sent away.

    Attributes:
        should_close: whether the last action was a muted player's that should end the connection.
        used_at_s: when the limits were last used, in monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        self.should_close, self.used_at_s = False, now_s
        self._buckets = {action: TokenBucket(rate, now_s) for action, rate in RATE_BY_ACTION.items()}
        self._strikes: list[float] = []
        self._muted_until_s = float("-inf")

    def check(self, action: Action, now_s: float) -> None:
        """Count an action.

        Raises:
            Refused: ``too_fast``, or ``muted`` after strikes. Moves and gestures that are too fast are no strikes.
        """
        self.should_close, self.used_at_s = False, now_s
        if action in TALK and now_s < self._muted_until_s:
            self._strike(now_s)
            self.should_close = len(self._strikes) > STRIKES + _FORGIVEN
            raise Refused("muted", "too many messages before", self._muted_until_s - now_s)
        if wait_s := self._buckets[action].take(now_s):
            if action in TALK:
                self._strike(now_s)
            raise Refused("too_fast", f"{action}: {RATE_BY_ACTION[action].per_s:g} per second", wait_s)

    def _strike(self, now_s: float) -> None:
        self._strikes = [at_s for at_s in self._strikes if now_s - at_s < STRIKES_EXPIRE_S]
        self._strikes.append(now_s)
        if len(self._strikes) >= STRIKES and now_s >= self._muted_until_s:
            self._muted_until_s = now_s + MUTE_S


class GuestLimits:
    """The limits of all guests. They are not those of a seat, so a new seat or a new name does not give new ones.

    Args:
        most: how many guests are remembered; those whose limits were not used for the longest time go first.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most, self._by_guest = most, dict[str, ClientLimits]()
        self._swept_at_s = float("-inf")

    def __len__(self) -> int:
        return len(self._by_guest)

    def of(self, guest_id: str, now_s: float) -> ClientLimits:
        """Return a guest's limits."""
        if now_s - self._swept_at_s > KEPT_S or len(self._by_guest) >= self._most:
            self._sweep(now_s)
        limits = self._by_guest.setdefault(guest_id, ClientLimits(now_s))
        limits.used_at_s = now_s
        return limits

    def _sweep(self, now_s: float) -> None:
        """Forget limits that were not used for long, and so many of the others that there is room for a while."""
        self._swept_at_s = now_s
        used = {guest: limits for guest, limits in self._by_guest.items() if now_s - limits.used_at_s <= KEPT_S}
        latest = sorted(used.items(), key=lambda one: one[1].used_at_s, reverse=True)
        self._by_guest = dict(latest[: self._most * 9 // 10])


@dataclass(slots=True)
class _Counted:
    buckets: dict[str, TokenBucket] = field(default_factory=dict)
    open: int = 0


def counted_as(host: str) -> str:
    """Return what a client's address counts as: itself, or its network of 2^64 addresses if it is an IPv6 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))


class AddressLimits:
    """Limits per network address: new guest ids per hour, handshakes per minute, and open connections.

    Args:
        ids_per_hour: new guest ids.
        handshakes_per_minute: WebSocket handshakes.
        connections: connections that are open at the same time.
        most_addresses: how many addresses are remembered; the least recent without a connection is forgotten first.
    """

    def __init__(
        self, *, ids_per_hour: int, handshakes_per_minute: int, connections: int, most_addresses: int = 20_000
    ) -> None:
        self._rates = {
            "id": Rate(per_s=ids_per_hour / 3600, burst=ids_per_hour),
            "handshake": Rate(per_s=handshakes_per_minute / 60, burst=handshakes_per_minute),
        }
        self._connections, self._most = connections, most_addresses
        self._by_address: OrderedDict[str, _Counted] = OrderedDict()

    def new_id(self, address: str, now_s: float) -> None:
        """Count a new guest id.

        Raises:
            Refused: ``too_many_ids``.
        """
        self._take("id", address, now_s)

    def open(self, address: str, now_s: float) -> None:
        """Count a new connection; call :meth:`close` when it ends.

        Raises:
            Refused: ``too_fast`` or ``busy``.
        """
        counted = self._take("handshake", address, now_s)
        if counted.open >= self._connections:
            raise Refused("busy", f"an address may have {self._connections} connections")
        counted.open += 1

    def close(self, address: str) -> None:
        """Count the end of a connection."""
        if address in self._by_address:
            self._by_address[address].open -= 1

    def _take(self, what: Literal["id", "handshake"], address: str, now_s: float) -> _Counted:
        counted = self._by_address.setdefault(address, _Counted())
        self._by_address.move_to_end(address)
        self._forget()
        bucket = counted.buckets.setdefault(what, TokenBucket(self._rates[what], now_s))
        if wait_s := bucket.take(now_s):
            reason: Literal["too_many_ids", "too_fast"] = "too_many_ids" if what == "id" else "too_fast"
            raise Refused(reason, f"{what}: at most {self._rates[what].burst:g} at once from one address", wait_s)
        return counted

    def _forget(self) -> None:
        while len(self._by_address) > self._most:
            address, counted = self._by_address.popitem(last=False)
            if counted.open:
                self._by_address[address] = counted  # to the end: it is in use
                return


class LoginLimits:
    """Limits on wrong tries to log in: per address, and of all addresses together.

    Whoever has many addresses meets the second limit. While it is reached nobody can log in, but those who are logged
    in stay so.

    Args:
        per_address: tries from one address.
        overall: tries from all addresses.
        most_addresses: how many addresses are remembered; the least recent is forgotten first.
    """

    def __init__(
        self,
        per_address: Rate = Rate(per_s=1 / 30, burst=5),
        overall: Rate = Rate(per_s=1 / 5, burst=30),
        most_addresses: int = 10_000,
    ) -> None:
        self._per_address, self._most = per_address, most_addresses
        self._overall = TokenBucket(overall, float("-inf"))
        self._by_address: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str, now_s: float) -> float:
        """Count a try before it is known whether it is right; :meth:`put_back` undoes that.

        Args:
            address: what the client counts as.
            now_s: the time in monotonic seconds.

        Returns:
            0 if the try is allowed, otherwise the seconds until it will be.
        """
        bucket = self._by_address.setdefault(address, TokenBucket(self._per_address, now_s))
        self._by_address.move_to_end(address)
        if len(self._by_address) > self._most:
            self._by_address.popitem(last=False)
        if wait_s := bucket.take(now_s):
            return wait_s
        if wait_s := self._overall.take(now_s):
            bucket.put_back()
        return wait_s

    def put_back(self, address: str) -> None:
        """Let the last try from an address not count: it was right."""
        self._by_address[address].put_back()
        self._overall.put_back()
