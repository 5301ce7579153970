"""The world's gateway without Kafka: it says so, every question ends, and none is sent later."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.moderation import Moderation, moderation_key
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing, Topics
from kogpt2_chat.testing.tcp_proxy import TcpProxy
from tests.faults.broker_process import PROXY, BrokerProcess
from tests.faults.gateway_process import PagePlayer, QuestionLog, gateway_process, guest_id
from tests.world.served import EchoBot
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
            problems = gateway.health()[1]
            assert {problem.rpartition(" ")[2] for problem in problems} == {"Kafka"}
            refused = players[3].ask("ChatbotB", "이제는?")
            assert players[3].end_of(refused)["reason"] == "unavailable"
            for player, question in zip(players[:3], given_up, strict=True):
                assert player.end_of(question)["t"] == "unanswered"
            assert time.monotonic() - asked_at_s < WAIT_S + PATIENCE_S
            wait_until(lambda: len(gateway.health()[1]) == 3, UNHEALTHY_S)
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
