"""Two gateways share one world: names are unique in both, and rooms of the other one have its address."""

import json
from collections.abc import Iterable, Iterator

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kogpt2_chat.client.world_player import Event, WorldPlayer
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.world.served import EchoBot, Served, in_memory_topics, serve
from tests.world.waiting import wait_until


@pytest.fixture(scope="module")
def gateways() -> Iterator[tuple[Served, Served]]:
    topics = in_memory_topics()
    bot = EchoBot(topics)
    with (
        serve(topics, name="gateway-1", url="http://one", others=("http://two",), rooms=5) as first,
        serve(topics, name="gateway-2", url="http://two", others=("http://one",), first_room=6, rooms=5) as second,
    ):
        yield first, second
    bot.stop()


def test_a_name_is_taken_at_every_gateway(gateways: tuple[Served, Served]) -> None:
    """Until its player has left for good."""
    first, second = gateways
    holder = WorldPlayer(first.url, "하늘")
    holder.enter()
    other = WorldPlayer(second.url, "하 늘")
    with pytest.raises(InvalidInput, match="name_taken"):
        other.enter()
    holder.close()
    loop = first.gateway._loop
    assert loop is not None
    loop.call_soon_threadsafe(lambda: [first.gateway.rooms.leave(seat) for seat in list(first.gateway.rooms)])
    wait_until(lambda: entered(other))
    other.close()


def entered(player: WorldPlayer) -> bool:
    try:
        player.enter()
    except InvalidInput:
        return False
    return True


def test_rooms_of_the_other_gateway_have_its_address(gateways: tuple[Served, Served]) -> None:
    """A client that chooses one connects there."""
    first, second = gateways
    there = WorldPlayer(second.url, "저쪽이")
    there.enter()
    here = WorldPlayer(first.url, "이쪽이")
    here.enter()
    listed: Event = {"rooms": []}

    def are_all_listed() -> bool:
        nonlocal listed
        here.send("rooms")
        listed = here.wait_for(lambda event: event["t"] in ("rooms", "refusal"))
        return sum(room["players"] > 0 for room in listed.get("rooms", [])) == 2

    wait_until(are_all_listed)
    assert {(room["room"], room.get("url", "")) for room in listed["rooms"] if room["players"]} == {
        (1, ""),
        (6, "http://two"),
    }
    here.close()
    there.close()


def test_a_guest_that_enters_elsewhere_leaves_here(gateways: tuple[Served, Served]) -> None:
    """As with a second tab: one player has one body, with one name, in the whole world."""
    first, second = gateways
    player = WorldPlayer(first.url, "나그네")
    player.enter()
    again = WorldPlayer(second.url, "다른이")
    again.cookie = player.cookie
    again.enter()
    assert again.welcome["name"] == "나그네"
    with pytest.raises(Unavailable, match="4001"):
        player.wait_for(lambda event: event["t"] == "never")
    assert again.answer_to(again.ask("ChatbotA", "여기서도?"))["text"] == "여기서도?!"
    again.close()


def test_pages_may_connect_to_the_other_gateways(gateways: tuple[Served, Served]) -> None:
    """And to nothing else."""
    policy = requests.get(f"{gateways[0].url}/session").headers["content-security-policy"]
    assert policy.endswith("connect-src 'self' ws://two")


class SilentTopics(InMemoryTopics):
    """Kafka's double; while it is silent, nothing can be written."""

    is_silent = False

    def send(self, records: Iterable[Outgoing]) -> None:
        if self.is_silent:
            raise Unavailable("no broker")
        super().send(records)


def test_without_kafka_a_player_is_told_how_long_to_wait() -> None:
    """The name cannot be claimed at the other gateways; the client tries again by itself."""
    topics = SilentTopics(Broker())
    topics.ensure()
    with serve(topics, name="gateway-1", url="http://one", others=("http://two",)) as alone:
        player = WorldPlayer(alone.url, "기다림")
        topics.is_silent = True
        with connect(
            f"ws{alone.url[4:]}/world", additional_headers={"Cookie": player.cookie}, proxy=None
        ) as connection:
            connection.send(json.dumps({"t": "enter", "v": 1}))
            refusal = json.loads(connection.recv(timeout=20))
            assert (refusal["of"], refusal["reason"]) == ("enter", "unavailable")
            assert 0 < refusal["wait_s"] <= 10
            with pytest.raises(ConnectionClosed, match="1008"):
                connection.recv(timeout=20)
        topics.is_silent = False
        wait_until(lambda: entered(player))
        player.close()
