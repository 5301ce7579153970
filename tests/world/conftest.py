"""A gateway with a bot that echoes, and players who enter it. Property tests keep no database and measure no time."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.testing.kafka import InMemoryTopics
from tests.world.served import EchoBot, Served, in_memory_topics, serve
from tests.world.waiting import wait_until

settings.register_profile("world", database=None, deadline=None)
settings.load_profile("world")


@pytest.fixture(scope="module")
def topics() -> InMemoryTopics:
    return in_memory_topics()


@pytest.fixture(scope="module")
def served(topics: InMemoryTopics) -> Iterator[Served]:
    with serve(topics) as running:
        yield running


@pytest.fixture(scope="module")
def bot(topics: InMemoryTopics) -> Iterator[EchoBot]:
    echo = EchoBot(topics)
    yield echo
    echo.stop()


@pytest.fixture
def join(served: Served) -> Iterator[Callable[..., WorldPlayer]]:
    """Return a function that lets a player enter; all leave at the end."""
    players: list[WorldPlayer] = []

    def enter(name: str, **fields: object) -> WorldPlayer:
        options = {key: fields.pop(key) for key in ("store", "learn", "minor") if key in fields}
        player = WorldPlayer(served.url, name, **options)
        players.append(player)
        player.enter(**fields)
        return player

    yield enter
    for player in players:
        player.close()
    wait_until(lambda: all(not seat.is_connected for seat in served.gateway.rooms))
    loop = served.gateway._loop
    assert loop is not None
    loop.call_soon_threadsafe(lambda: [served.gateway.rooms.leave(seat) for seat in list(served.gateway.rooms)])
    wait_until(lambda: len(served.gateway.rooms) == 0)
