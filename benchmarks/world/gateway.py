"""A gateway on Kafka's double: `python -m benchmarks.world.gateway PORT [X Z]`, a process of its own.

X and Z, in metres, are where everybody enters, instead of about the fountain.
"""

import sys
from typing import Final

import msgspec
import uvicorn

from benchmarks.world.guests import KEYS
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.log import configure_logging
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from world.gateway.app import Gateway, GatewaySettings, server_config
from world.gateway.places import Places, Spawn, load_places
from world.gateway.stages import BotFacts

ROOMS: Final = 200


def places_with_spawn(spot: list[str]) -> Places:
    """Return the places; everybody enters at a spot if one is given."""
    places = load_places()
    if not spot:
        return places
    x, z = map(float, spot)
    return msgspec.structs.replace(places, spawn=Spawn(x=x, z=z, spread_m=0))


def main() -> None:
    """Serve players until asked to stop. The limits are the defaults, but for the number of rooms."""
    configure_logging("json")
    topics, world = InMemoryTopics(Broker()), Settings().world
    topics.ensure()
    gateway = Gateway(
        settings=GatewaySettings(
            keys=KEYS,
            rooms=ROOMS,
            seats=world.seats,
            ids_per_hour=world.ids_per_hour,
            handshakes_per_minute=world.handshakes_per_minute,
            connections=world.connections,
        ),
        topics=topics,
        read_facts=lambda: {bot: BotFacts(alive=True, ready=1) for bot in BOT_IDS},
        places=places_with_spawn(sys.argv[2:]),
    )
    uvicorn.Server(server_config(gateway, "127.0.0.1", int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
