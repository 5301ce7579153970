"""Two gateways share one world: names are unique in both, and rooms of the other one have its address."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kogpt2_chat.client.world_player import Event, WorldPlayer
from kogpt2_chat.domain.chat.topics import WORLD_TOPIC
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Follower, Outgoing, Record
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.world.people import Town
from tests.world.served import EchoBot, Served, in_memory_topics, serve
from tests.world.waiting import entered, wait_until
from world.gateway import follow, shared
from world.gateway.refused import Refused
from world.gateway.rooms.directory import State, write_entry
from world.gateway.rules.names import name_key
from world.gateway.rules.tokens import new_guest
from world.gateway.send import SendThread
from world.gateway.shared import READY_AFTER_S, SharedDirectory


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


class LateTopics(InMemoryTopics):
    """Kafka's double; topics cannot be opened while it is away, and an error may end what was opened.

    Attributes:
        is_away: whether it is away.
        error: ends the follower that is polled next.
    """

    is_away = True
    error: Exception | None = None

    def follow(self, topics: Iterable[str], *, from_end: bool = True) -> Follower:
        if self.is_away:
            raise Unavailable("no broker")
        return EndingFollower(self, super().follow(topics, from_end=from_end))


class EndingFollower:
    """A follower of such topics."""

    def __init__(self, topics: LateTopics, inner: Follower) -> None:
        self._topics, self._inner = topics, inner
        self.behind, self.close = inner.behind, inner.close

    def poll(self, timeout_s: float) -> Sequence[Record]:
        if (error := self._topics.error) is not None:
            self._topics.error = None
            raise error
        return self._inner.poll(timeout_s)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - conditions of other threads
            await asyncio.sleep(0.01)


async def claim_and_read(directory: SharedDirectory, topics: LateTopics, now_s: list[float]) -> None:
    """Claim a name before the state is read that says who has it."""
    claiming = asyncio.create_task(directory.claim(new_guest("하늘", 0, store=False, learn=False, minor=False)))
    await asyncio.sleep(0.2)
    assert not claiming.done()
    assert not any(b"claim" in (record.value or b"") for record in topics._broker.all(WORLD_TOPIC))
    state = State(gateway="gateway-2", url="", seen=10**6, names={name_key("하늘"): "another guest"}, rooms=[])
    topics.send([Outgoing(topic=WORLD_TOPIC, key=b"gateway-2", value=write_entry(state))])
    await until(lambda: name_key("하늘") in directory._log.holder_by_name)
    now_s[0] += READY_AFTER_S
    with pytest.raises(Refused, match="name_taken"):
        await claiming


@pytest.mark.parametrize("error", [None, RuntimeError("a bug"), Unavailable("no broker")], ids=str)
def test_no_name_is_given_twice_after_the_topic_could_not_be_read(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are claimed only after the topic was followed for so long that all gateways have written what they have.

    This counts from when it is followed, not from the start, and begins again after every break.
    """
    monkeypatch.setattr(shared, "_CLAIM_TIMEOUT_S", 60)
    monkeypatch.setattr(follow, "RETRY_S", 0.02)
    monkeypatch.setattr(follow, "CHECK_EVERY_S", 0.02)
    now_s, topics = [100.0], LateTopics(Broker())
    topics.ensure()
    sending = SendThread(topics)
    sending.start()
    directory = SharedDirectory(
        gateway="gateway-1",
        url="",
        topics=topics,
        send=sending,
        rooms=lambda: Town().rooms,
        moved=lambda _: None,
        clock=lambda: now_s[0],
    )

    async def run() -> None:
        running = asyncio.create_task(directory.run())
        now_s[0] += 2 * READY_AFTER_S
        await asyncio.sleep(0.1)
        topics.is_away = False
        await until(lambda: directory._following.is_following)
        assert not directory.is_up
        if error is not None:
            now_s[0] += READY_AFTER_S
            assert directory.is_up
            topics.error = error
            await until(lambda: directory._following.followed_since_s == now_s[0])
            assert not directory.is_up
        await claim_and_read(directory, topics, now_s)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    sending.stop(5)


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
