"""Movement: how far a player may get in which time, and where nobody can stand.

Positions are on the ground plane, in metres: x grows to the east, z to the south. Heights are the client's affair, but
for the jump, which all clients draw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RUN_M_PER_S: Final = 6.0
TOLERANCE: Final = 1.2
SLACK_M: Final = 1.5
"""Distance that is always allowed, for jitter of the network."""
MOST_SAVED_S: Final = 1.0
"""A client that was silent for longer does not save up more distance than this many seconds of running."""
ARRIVAL_S: Final = 3.0
"""How long after a jump a client may still send moves from where it was before."""
BODY_M: Final = 0.35


@dataclass(frozen=True, slots=True)
class Walkway:
    """A straight way from one point to another, on which nothing is in the way."""

    x: float
    z: float
    to_x: float
    to_z: float
    width_m: float

    def nearest(self, x: float, z: float) -> tuple[float, float]:
        """Return the nearest position at which a body is on the way."""
        dx, dz = self.to_x - self.x, self.to_z - self.z
        length = math.hypot(dx, dz)
        ax, az = dx / length, dz / length
        along = min(length, max(0.0, (x - self.x) * ax + (z - self.z) * az))
        side = max(0.0, self.width_m / 2 - BODY_M)
        across = min(side, max(-side, (x - self.x) * az - (z - self.z) * ax))
        return self.x + ax * along + az * across, self.z + az * along - ax * across


@dataclass(frozen=True, slots=True)
class Circle:
    """An obstacle on the ground; walkways may lead through it, as a pier through a lake."""

    x: float
    z: float
    radius_m: float
    walkways: Sequence[Walkway] = ()

    def nearest_free(self, x: float, z: float) -> tuple[float, float]:
        """Return the nearest position at the rim or on a walkway, for a position that is not outside."""
        dx, dz = x - self.x, z - self.z
        distance, least = math.hypot(dx, dz), self.radius_m + BODY_M
        if distance >= least:
            return x, z
        dx, dz, distance = (dx, dz, distance) if distance > 0 else (0.0, 1.0, 1.0)
        rim = self.x + dx / distance * least, self.z + dz / distance * least
        if not self.walkways:
            return rim
        ways = [way.nearest(x, z) for way in self.walkways]
        return min(rim, *ways, key=lambda spot: math.hypot(spot[0] - x, spot[1] - z))


@dataclass(frozen=True, slots=True)
class Ground:
    """Where players may be: within a radius of the centre, and outside all obstacles."""

    radius_m: float
    obstacles: Sequence[Circle]

    def nearest_free(self, x: float, z: float) -> tuple[float, float]:
        """Return the nearest allowed position, approximately: out of each obstacle in turn, then inside the bounds."""
        for circle in self.obstacles:
            x, z = circle.nearest_free(x, z)
        distance = math.hypot(x, z)
        if distance > self.radius_m:
            x, z = x / distance * self.radius_m, z / distance * self.radius_m
        return x, z


class Walker:
    """A player's position as the gateway believes it.

    The distance that a player may move grows with time, like a token bucket: the average speed is bounded, and short
    bursts of late packets are allowed.
    """

    def __init__(self, ground: Ground, x: float, z: float, now_s: float) -> None:
        self._ground = ground
        self.x, self.z = ground.nearest_free(x, z)
        self._allowed_m, self._at_s = SLACK_M, now_s
        self._arriving_until_s = -math.inf

    def move(self, x: float, z: float, now_s: float) -> bool:
        """Move to a position, or as far towards it as the rules allow.

        After a jump, moves to where the rules do not allow are ignored until the client has heard of it.

        Args:
            x: metres to the east.
            z: metres to the south.
            now_s: the time in monotonic seconds.

        Returns:
            Whether the client need not be corrected: it is where it asked to be, or is being told of a jump.
        """
        speed = RUN_M_PER_S * TOLERANCE
        elapsed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(self._at_s, now_s)
        self._allowed_m = min(self._allowed_m + elapsed_s * speed, SLACK_M + MOST_SAVED_S * speed)
        dx, dz = x - self.x, z - self.z
        distance = math.hypot(dx, dz)
        if distance > self._allowed_m and now_s < self._arriving_until_s:
            return True
        self._arriving_until_s = -math.inf
        share = 1.0 if distance <= self._allowed_m else self._allowed_m / distance
        self._allowed_m -= distance * share
        wanted = self.x + dx * share, self.z + dz * share
        self.x, self.z = self._ground.nearest_free(*wanted)
        is_blocked = math.hypot(self.x - wanted[0], self.z - wanted[1]) > BODY_M
        return share == 1.0 and not is_blocked

    def jump_to(self, x: float, z: float, now_s: float) -> None:
        """Put the player somewhere else, as a portal does."""
        self.x, self.z = self._ground.nearest_free(x, z)
        self._allowed_m, self._at_s = SLACK_M, now_s
        self._arriving_until_s = now_s + ARRIVAL_S
