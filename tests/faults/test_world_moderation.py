"""Reports, feedback and moderators' decisions through a real broker: from a player to an operator's command and back."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC
from kogpt2_chat.domain.chat.turns import CONSENT_KEY
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.ports import Topics
from tests.faults.broker_process import BrokerProcess
from tests.faults.gateway_process import GatewayProcess, guest_id
from tests.world.served import KEYS, EchoBot
from tests.world.waiting import wait_until

DEADLINE_S = 60.0
Command = Callable[..., dict]


@pytest.fixture
def operate(kafka: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs `kogpt2-chat` on the broker, and returns what it prints."""
    monkeypatch.setenv("KOGPT2_HOME", str(tmp_path))
    monkeypatch.setenv("KOGPT2_KAFKA__BOOTSTRAP", kafka.settings.kafka_bootstrap)

    def run(*arguments: str) -> dict:
        done = CliRunner().invoke(app, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


@pytest.fixture
def enter(gateway: GatewayProcess) -> Iterator[Callable[[str], WorldPlayer]]:
    """Return a function that lets a player enter."""
    players: list[WorldPlayer] = []

    def join(name: str) -> WorldPlayer:
        players.append(WorldPlayer(gateway.url, name, learn=True))
        players[-1].enter()
        return players[-1]

    yield join
    for player in players:
        player.close()


def heard(player: WorldPlayer, text: str) -> dict:
    return dict(player.wait_for(lambda event: event["t"] == "said" and event["text"] == text))


def test_a_report_reaches_the_operator(enter, operate: Command) -> None:
    """With who, whom, the line and those before it; and a person is reported without a line."""
    loud, other = enter("시끄럼"), enter("조용이")
    for text in ("하나", "둘", "못된 말"):
        loud.say(text)
    line = [heard(other, text) for text in ("하나", "둘", "못된 말")][-1]
    other.send("report_player", seat=line["seat"], line=line["line"], text="욕을 해요")
    other.send("report_player", seat=line["seat"])
    for _ in range(2):
        other.wait_for(lambda event: event["t"] == "reported")
    by = guest_id(other)
    wait_until(lambda: len(reports(operate, by)) == 2, DEADLINE_S)
    person, found = reports(operate, by)
    assert (found["kind"], found["line_id"], found["text"]) == ("line", line["line"], "욕을 해요")
    assert (found["player_id"], found["name"], found["gateway"]) == (guest_id(loud), "시끄럼", "gateway-1")
    assert [(one["player_id"], one["text"]) for one in found["lines"]] == [
        (guest_id(loud), text) for text in ("하나", "둘", "못된 말")
    ]
    assert (person["kind"], person["line_id"], person["player_id"]) == ("person", None, guest_id(loud))


def reports(operate: Command, by: str) -> list[dict]:
    """Return a player's reports, newest first."""
    return [report for report in operate("reports")["reports"] if report["by"] == by]


def test_a_mute_is_obeyed_until_it_is_lifted(enter, operate: Command) -> None:
    """While the player is in the world; others go on talking."""
    loud, other = enter("시끄럼"), enter("조용이")
    operate("moderate", "mute", guest_id(loud), "--reason", "욕설", "--by", "시험")
    wait_until(lambda: refusal_of_say(loud, other) == "muted", DEADLINE_S)
    other.say("나는 말해도 돼")
    heard(loud, "나는 말해도 돼")
    operate("moderate", "lift", guest_id(loud), "--by", "시험")
    wait_until(lambda: refusal_of_say(loud, other) is None, DEADLINE_S)


def refusal_of_say(player: WorldPlayer, other: WorldPlayer) -> str | None:
    """Say something that another player must hear; return why it was refused, or None."""
    said = player.say("들려?")
    event = player.wait_for(lambda event: said in (event.get("of"), event.get("id")))
    if event["t"] == "said":
        heard(other, "들려?")
    return event.get("reason")


def test_a_ban_ends_the_connection_and_keeps_the_player_out(enter, operate: Command) -> None:
    """Others see that the player has left."""
    loud, other = enter("시끄럼"), enter("조용이")
    operate("moderate", "ban", guest_id(loud), "--reason", "도배", "--by", "시험")
    with pytest.raises(Unavailable, match="4403"):
        loud.wait_for(lambda event: event["t"] == "never", DEADLINE_S)
    assert other.wait_for(lambda event: event["t"] == "left")["name"] == "시끄럼"
    with pytest.raises((InvalidInput, Unavailable), match="banned"):
        loud.enter()


def test_a_ban_is_known_to_a_gateway_that_starts(enter, operate: Command, gateway: GatewayProcess) -> None:
    """Before anybody can enter."""
    loud = enter("시끄럼")
    guest = guest_id(loud)
    gateway.kill()
    operate("moderate", "ban", guest, "--reason", "도배", "--by", "시험")
    gateway.start()
    with pytest.raises((InvalidInput, Unavailable), match="banned"):
        loud.enter()


def test_a_hidden_line_is_hidden_for_all(enter, operate: Command) -> None:
    """Also for who said it."""
    loud, other = enter("시끄럼"), enter("조용이")
    loud.say("전화번호 말할까?")
    line = heard(other, "전화번호 말할까?")["line"]
    operate("moderate", "hide", line, "--reason", "개인 정보", "--by", "시험")
    for player in (loud, other):
        player.wait_for(lambda event: event["t"] == "hidden" and event["line"] == line, DEADLINE_S)


def test_feedback_is_signed_and_can_be_ingested(enter, topics: Topics, echo_bot: EchoBot) -> None:
    """A thumb, a correction and a report of an answer become rows of the lake, with the turn and the consent."""
    starts = topics.end_positions(FEEDBACK_TOPIC)
    player = enter("하늘")
    turn = player.answer_to(player.ask("ChatbotA", "호수 어디야?"))["turn"]
    player.send("rate", turn=turn, up=False)
    player.send("teach", turn=turn, text="남쪽이에요!")
    player.send("report_turn", turn=turn, text="이상해요")
    rows: list[dict] = []

    def all_are_there() -> bool:
        reader = RecordReader(ingested_at=datetime.now(UTC), keys=KEYS)
        ends = topics.end_positions(FEEDBACK_TOPIC)
        records = [
            one for number, end in ends.items() for one in topics.read(FEEDBACK_TOPIC, number, starts[number], end)
        ]
        rows[:] = [row for record in records if (row := reader.read(record)) is not None]
        return len(rows) == 3

    wait_until(all_are_there, DEADLINE_S)
    assert [(row["kind"], row["text"]) for row in rows] == [
        ("down", None), ("correction", "남쪽이에요!"), ("report", "이상해요"),
    ]  # fmt: skip
    player_id = guest_id(player)
    for row in rows:
        assert (row["turn_id"], row["player_id"], row["authenticated"]) == (turn, player_id, True)
        assert json.loads(row["extra"])[CONSENT_KEY] is True
