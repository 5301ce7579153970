"""The places of the world, from the file that the client's scene is built from as well."""

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from world.gateway.rules.movement import Circle, Ground, Walkway

PLACES_FILE: Final = Path(__file__).resolve().parents[1] / "places.json"


class Spawn(Struct, frozen=True):
    """Where players enter, and how far from there they are spread."""

    x: float
    z: float
    spread_m: float


class Place(Struct, frozen=True):
    """A named place."""

    id: str
    ko: str
    en: str
    x: float
    z: float
    radius_m: float
    about_ko: str
    about_en: str
    height_m: float = 0
    direction_ko: str = ""


class Portal(Struct, frozen=True, rename={"start": "from"}):
    """A door from one place to another. Who arrives looks in a direction; 0 is south, 90 is east."""

    start: str
    to: str
    x: float
    z: float
    arrive_x: float
    arrive_z: float
    arrive_yaw_deg: float


class WebPortal(Struct, frozen=True):
    """Where the doors to web sites stand; the settings name the sites."""

    place: str
    x: float
    z: float


class BotStand(Struct, frozen=True):
    """Where a bot stands."""

    bot: str
    place: str
    x: float
    z: float
    yaw_deg: float


class Strip(Struct, frozen=True):
    """A straight way from one point to another through an obstacle, such as a pier."""

    what: str
    x: float
    z: float
    to_x: float
    to_z: float
    width_m: float


class Obstacle(Struct, frozen=True):
    """Something that nobody can walk through, but on its walkways."""

    what: str
    x: float
    z: float
    radius_m: float
    walkways: list[Strip] = []


class Places(Struct, frozen=True):
    """The whole file."""

    radius_m: float
    spawn: Spawn
    places: list[Place]
    portals: list[Portal]
    web_portals: list[WebPortal]
    bots: list[BotStand]
    obstacles: list[Obstacle]

    @property
    def ground(self) -> Ground:
        """Where players may be."""
        return Ground(radius_m=self.radius_m, obstacles=[_circle(found) for found in self.obstacles])


def _circle(obstacle: Obstacle) -> Circle:
    walkways = [Walkway(way.x, way.z, way.to_x, way.to_z, way.width_m) for way in obstacle.walkways]
    return Circle(obstacle.x, obstacle.z, obstacle.radius_m, walkways)


def load_places(path: Path = PLACES_FILE) -> Places:
    """Return the places."""
    return msgspec.json.decode(path.read_bytes(), type=Places)
