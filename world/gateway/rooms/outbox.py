"""What waits to be sent to one client: events in order, and the latest positions."""

import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from world.gateway.protocol.events import Event, numbered, write_event

KEPT_EVENTS: Final = 400
"""Events that a client can get again after it has lost its connection."""


class Outbox:
    """The events and positions of one client.

    Events are kept after they were taken, so that they can be sent again. Only the latest positions are kept: a slow
    client misses some, and its queue does not grow. A client that is more than :data:`KEPT_EVENTS` behind has
    overflowed, and must connect again.

    Attributes:
        epoch: which count the events' numbers belong to. A client may go back only in the outbox that it knows: another
            one, for example of a gateway that was started again, has other events with the same numbers.
        wake: called when there is something to take; replaced when a client connects.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.wake, self.epoch = wake, secrets.token_hex(8)
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT_EVENTS)
        self._last = 0
        self._taken = 0
        self._positions: bytes | None = None

    @property
    def has_overflowed(self) -> bool:
        """Whether events were dropped before they were taken."""
        return bool(self._kept) and self._kept[0][0] > self._taken + 1

    def put(self, event: Event) -> None:
        """Add an event."""
        self.put_written(write_event(event))

    def put_written(self, body: bytes) -> None:
        """Add an event that was written once for many players."""
        self._last += 1
        self._kept.append((self._last, body))
        self.wake()

    def put_positions(self, frame: bytes) -> None:
        """Replace the positions that wait."""
        self._positions = frame
        self.wake()

    def take(self) -> tuple[list[bytes], bytes | None]:
        """Return the events and the positions to send now."""
        positions, self._positions = self._positions, None
        behind = self._last - self._taken
        if not behind:
            return [], positions
        events = [numbered(body, number) for number, body in list(self._kept)[-behind:]]
        self._taken = self._last
        return events, positions

    def go_back(self, last: int) -> bool:
        """Send the events after ``last`` again.

        Args:
            last: the number of the last event that the client has seen.

        Returns:
            Whether all of them are still kept. If not, nothing changes.
        """
        is_known = last == self._last or (last < self._last and bool(self._kept) and self._kept[0][0] <= last + 1)
        if is_known:
            self._taken = last
        return is_known

    def skip(self) -> None:
        """Send nothing of what was added so far."""
        self._taken, self._positions = self._last, None
