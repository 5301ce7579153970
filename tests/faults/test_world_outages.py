"""The world's gateway without Kafka: it says so, every question ends, and none is sent later."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.moderation import Moderation, moderation_key
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.testing.tcp_proxy import TcpProxy
from tests.faults.broker_process import PROXY, BrokerProcess
from tests.faults.gateway_process import GatewayProcess, PagePlayer, QuestionLog, gateway_process, guest_id
from tests.faults.worker_pool import WorkerPool
from tests.world.served import KEYS, EchoBot
from tests.world.waiting import wait_until
from world.gateway.rooms.asking import WAIT_S

UNHEALTHY_S = 20.0
PATIENCE_S = 60.0
"""For what takes a few seconds on a quiet machine."""
NEVER_S = 3600.0


class Line:
    """The connection between the gateway and the broker.

    Args:
        kafka: the broker.
    """

    def __init__(self, kafka: BrokerProcess) -> None:
        self._kafka = kafka
        self._open: AbstractContextManager[TcpProxy] = kafka.proxy()
        self.proxy = self._open.__enter__()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Refuse and close connections, as without a broker."""
        self.close()
        try:
            yield
        finally:
            self._open = self._kafka.proxy()
            self.proxy = self._open.__enter__()

    @contextmanager
    def hang(self) -> Iterator[None]:
        """Accept connections and never answer."""
        self.proxy.delay_s = NEVER_S
        try:
            yield
        finally:
            self.proxy.delay_s = 0.0

    def close(self) -> None:
        self._open.__exit__(None, None, None)


@pytest.fixture
def line(kafka: BrokerProcess) -> Iterator[Line]:
    with closing(Line(kafka)) as made:
        yield made


@pytest.mark.parametrize("fault", [Line.cut, Line.hang], ids=["refuses", "hangs"])
def test_without_kafka_every_question_ends_and_none_is_sent_later(
    kafka: BrokerProcess,
    line: Line,
    echo_bot: EchoBot,
    topics: Topics,
    tmp_path: Path,
    fault: Callable[[Line], AbstractContextManager[None]],
) -> None:
    """The gateway says that it is not well. Afterwards it answers again, and obeys what moderators decided meanwhile."""
    with gateway_process(kafka.settings, tmp_path, bootstrap=kafka.settings.local(PROXY)) as gateway:
        gateway.start()
        log = QuestionLog(kafka.settings)
        players = [PagePlayer(gateway.url, name) for name in ("가나", "다라", "마바", "사아")]
        for player in players:
            assert player.end_of(player.ask("ChatbotA", "들려?"))["text"] == "들려?!"
        with fault(line):
            asked_at_s = time.monotonic()
            given_up = [player.ask("ChatbotB", "아직 들려?") for player in players[:3]]
            wait_until(lambda: gateway.health()[0] == 503, UNHEALTHY_S)
            wait_until(lambda: len(gateway.health()[1]) == 3, UNHEALTHY_S)
            problems = gateway.health()[1]
            assert {problem.rpartition(" ")[2] for problem in problems} == {"Kafka"}
            refused = players[3].ask("ChatbotB", "이제는?")
            assert players[3].end_of(refused)["reason"] == "unavailable"
            for player, question in zip(players[:3], given_up, strict=True):
                assert player.end_of(question)["t"] == "unanswered"
            assert time.monotonic() - asked_at_s < WAIT_S + PATIENCE_S
            before = log.counts()
            ban(topics, players[3].player)
        wait_until(lambda: gateway.health() == (200, []), PATIENCE_S)
        with pytest.raises(Unavailable, match="4403"):
            players[3].player.wait_for(lambda event: event["t"] == "never", PATIENCE_S)
        for player, question in zip(players[:3], given_up, strict=True):
            assert player.end_of(player.ask("ChatbotB", "다시 들려?"))["text"] == "다시 들려?!"
            assert len(player.all_shown(question)) == 1
        counts = log.counts()
        assert set(counts.values()) == {1}, "asked twice"
        assert {question: counts[question] for question in (*given_up, refused)} == {
            question: before[question] for question in (*given_up, refused)
        }, "sent after it was given up"
        for player in players:
            player.close()


def ban(topics: Topics, player: WorldPlayer) -> None:
    guest = guest_id(player)
    decision = Moderation(action="ban", subject=guest, by="시험", at="2026-11-27T00:00:00+00:00")
    key = moderation_key("ban", guest).encode()
    topics.send([Outgoing(topic=MODERATION_TOPIC, key=key, value=decision.to_json().encode())])


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("is_frozen", [False, True], ids=["killed", "frozen"])
def test_players_ask_while_the_broker_fails(
    kafka: BrokerProcess, pool: WorkerPool, gateway: GatewayProcess, is_frozen: bool
) -> None:
    """Three times; a worker answers. Each question ends once, none is sent twice, and at the end all are answered."""
    pool.more["KOGPT2_WORLD__KEYS"] = json.dumps(KEYS.keys)
    pool.start_ready(1)
    log, stopping = QuestionLog(kafka.settings), threading.Event()
    players = [Talker(PagePlayer(gateway.url, name), stopping) for name in ("가나", "다라", "마바", "사아", "자차")]
    for _ in range(3):
        wait_for_each(players, {"answered"})
        if is_frozen:
            broker = kafka.process()
            broker.send_signal(signal.SIGSTOP)
            try:
                wait_until(lambda: gateway.health()[0] == 503, PATIENCE_S)
                wait_for_each(players, {"unanswered", "refusal"})
            finally:
                broker.send_signal(signal.SIGCONT)
        else:
            kafka.kill()
            kafka.wait_until_listening()
        wait_until(lambda: gateway.health() == (200, []), PATIENCE_S)
    wait_for_each(players, {"answered"})
    stopping.set()
    for player in players:
        player.join(PATIENCE_S)
        assert not player.is_alive()
        assert player.error is None
    counts = log.counts()
    assert set(counts.values()) == {1}, "asked twice"
    ends = {question: events for player in players for question, events in player.page.shown.items()}
    assert {len(events) for events in ends.values()} == {1}
    assert {question for question, (end,) in ends.items() if end["t"] == "answered"} <= counts.keys()
    assert max(waited_s for player in players for waited_s in player.waited_s) < WAIT_S + PATIENCE_S


class Talker(threading.Thread):
    """A player who asks one question after the other.

    Attributes:
        page: the player.
        ends: how each question ended.
        waited_s: how long that took.
        error: what ended the talk before it was stopped.
    """

    def __init__(self, page: PagePlayer, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.page, self._stopping = page, stopping
        self.waited_s: list[float] = []
        self.error: Exception | None = None
        self.ends: list[str] = []
        self.start()

    def run(self) -> None:
        try:
            while not self._stopping.wait(2.5):  # the limit is one question in two seconds
                asked_at_s = time.monotonic()
                question = self.page.ask(BOT_IDS[len(self.waited_s) % 3], f"{len(self.waited_s)}번?")
                self.ends.append(self.page.end_of(question)["t"])
                self.waited_s.append(time.monotonic() - asked_at_s)
        except Exception as error:  # noqa: BLE001 - the test shows it
            self.error = error


def wait_for_each(players: Sequence[Talker], ends: set[str]) -> None:
    """Wait until a question of each player has ended in one of these ways, from now on."""
    known = [len(player.ends) for player in players]
    wait_until(
        lambda: all(ends & set(player.ends[count:]) for player, count in zip(players, known, strict=True)), PATIENCE_S
    )
