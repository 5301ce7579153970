"""The threads that use Kafka: they survive whatever goes wrong, say so, and send nothing that came too late."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Follower, Outgoing, Record
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.world.waiting import wait_until
from world.gateway import follow, send
from world.gateway.follow import TopicThread
from world.gateway.refused import Refused
from world.gateway.send import LASTS_S, MOST_QUEUED, SendThread

TOPIC = "feedback"


class FailingTopics(InMemoryTopics):
    """Kafka's double; the next calls fail with the given errors, and all while it is away.

    Attributes:
        is_away: whether every request fails; as with a real broker, polls then return nothing.
        opened: how many followers were opened.
        requests: how many requests were made, besides polls.
    """

    def __init__(self) -> None:
        super().__init__(Broker())
        self.ensure()
        self.errors: list[Exception] = []
        self.is_away = False
        self.opened = self.requests = 0

    def send(self, records: Iterable[Outgoing]) -> None:
        self.fail_if_away()
        super().send(records)

    def end_positions(self, topic: str) -> dict[int, int]:
        self.fail_if_away()
        return super().end_positions(topic)

    def follow(self, topics: Iterable[str], *, from_end: bool = True) -> Follower:
        self.fail_if_away()
        self.opened += 1
        return FailingFollower(self, super().follow(topics, from_end=from_end))

    def fail_if_away(self) -> None:
        self.requests += 1
        if self.is_away:
            raise Unavailable("no broker")
        if self.errors:
            raise self.errors.pop(0)


class FailingFollower:
    """A follower of such topics, which returns ten records at once."""

    def __init__(self, topics: FailingTopics, inner: Follower) -> None:
        self._topics, self._inner = topics, inner
        self._read: list[Record] = []
        self.close = inner.close

    def poll(self, timeout_s: float) -> Sequence[Record]:
        if self._topics.errors:
            raise self._topics.errors.pop(0)
        if self._topics.is_away:
            return []
        self._read = self._read or list(self._inner.poll(timeout_s))
        returned, self._read = self._read[:10], self._read[10:]
        return returned

    def behind(self) -> int:
        self._topics.fail_if_away()
        return len(self._read) + self._inner.behind()


class Following:
    """A thread that follows a topic, with an event loop of its own.

    Attributes:
        received: the values that it has delivered.
        before: how many of them it delivered before it said that it follows the topic.
    """

    def __init__(self, topics: FailingTopics, *, from_end: bool = True) -> None:
        self.received: list[str] = []
        self.before = 0
        self.faulty = ""
        self._loop = asyncio.new_event_loop()
        self._runner = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner.start()
        self.thread = TopicThread(topics, [TOPIC], self._take, from_end=from_end)
        self.thread.start(self._loop)

    def _take(self, record: Record) -> None:
        text = (record.value or b"").decode()
        if text == self.faulty:
            raise RuntimeError("a bug")
        self.received.append(text)
        self.before += not self.thread.is_following

    def stop(self) -> None:
        self.thread.stop(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._runner.join(5)
        self._loop.close()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHECK_EVERY_S", "RETRY_S"):
        monkeypatch.setattr(follow, name, 0.02)
    monkeypatch.setattr(send, "RETRY_S", 0.02)


@pytest.fixture
def topics() -> FailingTopics:
    return FailingTopics()


@pytest.fixture
def open_thread(topics: FailingTopics) -> Iterator[Callable[..., Following]]:
    made: list[Following] = []

    def start(**options: bool) -> Following:
        made.append(Following(topics, **options))
        return made[-1]

    yield start
    for following in made:
        following.stop()


def record(text: str) -> Outgoing:
    return Outgoing(topic=TOPIC, key=b"k", value=text.encode())


def sent(topics: InMemoryTopics) -> list[str]:
    return [(found.value or b"").decode() for found in topics._broker.all(TOPIC)]


@pytest.mark.parametrize("error", [Unavailable("no broker"), RuntimeError("a bug")])
def test_a_failure_to_send_is_not_repeated_and_ends_nothing(topics: FailingTopics, error: Exception) -> None:
    """The outcome is unknown, so the record is not sent again; later ones are, once the broker answers."""
    sending = SendThread(topics)
    sending.start()
    sending.send(record("영"))
    wait_until(lambda: sent(topics) == ["영"])
    topics.is_away = True
    sending.send(record("하나"))
    wait_until(lambda: not sending.is_up)
    with pytest.raises(Refused, match="unavailable"):
        sending.send(record("둘"))
    topics.errors.append(error)
    topics.is_away = False
    wait_until(lambda: sending.is_up)
    sending.send(record("셋"))
    wait_until(lambda: sent(topics) == ["영", "셋"])
    sending.stop(5)


def test_a_broker_that_stays_away_stays_down(topics: FailingTopics) -> None:
    """However long ago the failure was: only an answer of the broker ends it."""
    clock = [0.0]
    sending = SendThread(topics, lambda: clock[0])
    topics.is_away = True
    sending.start()
    sending.send(record("하나"))
    wait_until(lambda: not sending.is_up)
    clock[0] = 3600.0
    asked = topics.requests
    wait_until(lambda: topics.requests >= asked + 2)
    assert not sending.is_up
    sending.stop(5)


def test_what_waited_too_long_is_not_sent(topics: FailingTopics) -> None:
    """Its player has been told that there is no answer, and may have asked again."""
    clock = [0.0]
    sending = SendThread(topics, lambda: clock[0])
    sending.send(record("늦음"))
    clock[0] = LASTS_S
    sending.send(record("제때"))
    sending.start()
    wait_until(lambda: bool(sent(topics)))
    sending.stop(5)
    assert sent(topics) == ["제때"]


def test_what_is_queued_is_sent_before_the_end(topics: FailingTopics) -> None:
    """Also if the queue is full: stopping does not wait for a free place."""
    sending = SendThread(topics)
    for number in range(MOST_QUEUED):
        sending.send(record(str(number)))
    with pytest.raises(Refused, match="busy"):
        sending.send(record("너무 많음"))
    stopping = threading.Thread(target=sending.stop, args=(20,))
    sending.start()
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()
    assert len(sent(topics)) == MOST_QUEUED


def test_a_sender_without_a_broker_stops(topics: FailingTopics) -> None:
    """What it could not send is lost."""
    topics.is_away = True
    sending = SendThread(topics)
    sending.start()
    sending.send(record("하나"))
    wait_until(lambda: not sending.is_up)
    sending.stop(20)
    assert not sending._thread.is_alive()


def test_a_follower_that_fails_is_opened_again(topics: FailingTopics, open_thread) -> None:
    """Whatever the error was."""
    topics.errors += [Unavailable("no broker"), RuntimeError("a bug")]
    following = open_thread()
    wait_until(lambda: following.thread.is_following)
    topics.send([record("왔다")])
    wait_until(lambda: following.received == ["왔다"])
    topics.errors.append(RuntimeError("a bug while polling"))
    wait_until(lambda: topics.opened == 2 and following.thread.is_following)
    topics.send([record("또")])
    wait_until(lambda: following.received == ["왔다", "또"])


def test_a_follower_whose_broker_is_away_says_so_and_misses_nothing(topics: FailingTopics, open_thread) -> None:
    """A poll returns nothing then, as if there were no new records. Its positions stay."""
    following = open_thread()
    wait_until(lambda: following.thread.is_following)
    topics.is_away = True
    wait_until(lambda: not following.thread.is_following)
    topics._broker.append([record("그동안")], transaction=False)
    topics.is_away = False
    wait_until(lambda: following.thread.is_following)
    wait_until(lambda: following.received == ["그동안"])
    assert topics.opened == 1


def test_an_error_that_may_pass_does_not_close_a_follower(topics: FailingTopics, open_thread) -> None:
    """Otherwise it would miss what comes before it is open again."""
    following = open_thread()
    wait_until(lambda: following.thread.is_following)
    topics.errors.append(Unavailable("a hiccup"))
    wait_until(lambda: not topics.errors)
    topics.send([record("왔다")])
    wait_until(lambda: following.received == ["왔다"])
    assert topics.opened == 1


def test_who_follows_from_the_beginning_has_read_it_all(topics: FailingTopics, open_thread) -> None:
    """Until then, for example, a ban may not be known yet."""
    topics.send(record(str(number)) for number in range(500))
    following = open_thread(from_end=False)
    wait_until(lambda: following.thread.is_following)
    assert following.before == 500


def test_a_record_that_cannot_be_taken_does_not_hold_up_the_others(topics: FailingTopics, open_thread) -> None:
    """A fault that concerns one record is logged."""
    following = open_thread()
    following.faulty = "둘"
    wait_until(lambda: following.thread.is_following)
    topics.send([record("하나"), record("둘"), record("셋")])
    wait_until(lambda: following.received == ["하나", "셋"])
    assert following.thread.is_following
