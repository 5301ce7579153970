"""The answers that guests who have left may still rate."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

KEPT_TURNS_S: Final = 600.0
"""As long as a guest's limits: a player who comes back within minutes still sees the answers."""


class LeftTurns:
    """The bot of each turn, by guest, for guests without a seat.

    Args:
        most: how many guests are remembered; those who left first are forgotten first.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._by_guest: OrderedDict[str, tuple[float, Mapping[str, str]]] = OrderedDict()

    def keep(self, guest_id: str, turns: Mapping[str, str], now_s: float) -> None:
        """Remember the turns of a guest who leaves."""
        if turns:
            self._by_guest[guest_id] = now_s, turns
            if len(self._by_guest) > self._most:
                self._by_guest.popitem(last=False)

    def take(self, guest_id: str) -> OrderedDict[str, str]:
        """Return the turns of a guest who comes back, the oldest first."""
        _, turns = self._by_guest.pop(guest_id, (0, {}))
        return OrderedDict(turns)

    def expire(self, now_s: float) -> None:
        """Forget guests who have left too long ago."""
        while self._by_guest:
            guest_id, (left_s, _) = next(iter(self._by_guest.items()))
            if now_s - left_s <= KEPT_TURNS_S:
                return
            del self._by_guest[guest_id]
