"""What guests said last about storing and learning, for a while longer than their seats."""

import time
from collections import OrderedDict
from collections.abc import Callable

from world.gateway.rules.tokens import Guest, consenting


class LastConsents:
    """The consents that players changed in the world.

    A page that changes the consent also signs in again, for a new token. If that fails, the browser keeps the old one.
    So until a later sign-in, the stricter of the two counts.

    Args:
        most: how many guests are remembered.
        clock: returns seconds since the epoch.
    """

    def __init__(self, most: int = 20_000, clock: Callable[[], float] = time.time) -> None:
        self._most, self._clock = most, clock
        self._last: OrderedDict[str, Guest] = OrderedDict()

    def say(self, guest: Guest) -> None:
        """Remember what a guest consents to now."""
        self._last[guest.id] = consenting(guest, self._clock(), store=guest.store, learn=guest.learn, minor=guest.minor)
        self._last.move_to_end(guest.id)
        if len(self._last) > self._most:
            self._last.popitem(last=False)

    def forget(self, guest_id: str) -> None:
        """Forget what a guest said before: the guest has signed in here."""
        self._last.pop(guest_id, None)

    def applied(self, guest: Guest) -> Guest:
        """Return the guest of a token with the consent that counts."""
        last = self._last.get(guest.id)
        if last is None or guest.consented > last.consented:
            return guest
        store, learn = guest.store and last.store, guest.learn and last.learn
        return consenting(guest, guest.consented, store=store, learn=learn, minor=guest.minor)
