"""Reports and moderation: records, jobs and commands."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from kogpt2_chat import bootstrap
from kogpt2_chat.cli import app
from kogpt2_chat.domain.chat.moderation import (
    Action,
    Moderation,
    PlayerReport,
    ReportedLine,
    moderation_key,
    read_moderations,
)
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC, REPORT_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.errors import InvalidInput, InvalidMessage
from kogpt2_chat.jobs.list_moderations import list_moderations
from kogpt2_chat.jobs.list_reports import list_reports
from kogpt2_chat.jobs.moderate import ModerateResult, moderate
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LINES = tuple(ReportedLine(player_id=f"w-{n}", name=f"하늘{n}", text=f"{n}번째 말") for n in range(12))
REPORT = PlayerReport(
    report_id="r1", kind="line", by="w-1", player_id="w-2", name="민수", room=3, at="2026-11-27T10:00:00+09:00",
    text="욕을 했어요", line_id="c-41", lines=LINES[:3], gateway="gateway-1",
)  # fmt: skip


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> InMemoryTopics:
    made = InMemoryTopics(Broker())
    made.ensure()
    monkeypatch.setattr(bootstrap, "topics", lambda _: made)
    return made


def act(topics: InMemoryTopics, action: Action, subject: str, *, hours: int = 0, until: int = 0) -> ModerateResult:
    now = NOW + timedelta(hours=hours)
    ends = NOW + timedelta(hours=until) if until else None
    return moderate(action=action, subject=subject, by="김하늘", topics=topics, reason="욕설", until=ends, now=now)


def in_force(topics: InMemoryTopics, hours: int) -> list[tuple[str, str]]:
    found = list_moderations(topics=topics, now=NOW + timedelta(hours=hours)).moderations
    return [(one.action, one.subject) for one in found]


def test_a_report_is_read_back_as_it_was_written() -> None:
    """Unknown fields of a later release are ignored, and so is null."""
    assert PlayerReport.from_json(REPORT.to_json()) == REPORT
    assert PlayerReport.from_json(REPORT.to_json().replace('"v": 1', '"v": 1, "mood": "화남"')) == REPORT
    person = replace(REPORT, kind="person", line_id=None, lines=(), gateway=None, text="")
    assert PlayerReport.from_json(person.to_json()) == person


def test_personal_data_in_a_report_is_masked() -> None:
    """In every text, name and player id, also in the lines of others."""
    phone = "010-1234-5678"
    line = ReportedLine(player_id=f"legacy:{phone}", name=phone, text=f"내 번호는 {phone}")
    report = replace(REPORT, by=phone, player_id=phone, name=phone, text=f"{phone} 이래요", lines=(line,))
    text = report.to_json()
    assert "5678" not in text
    read = PlayerReport.from_json(text)
    assert read.lines[0].text == "내 번호는 [전화번호]"
    assert read.to_json() == text


def test_a_report_has_ten_lines_before_the_reported_one() -> None:
    """More than a person needs to judge it is not kept."""
    read = PlayerReport.from_json(replace(REPORT, lines=LINES).to_json())
    assert read.lines == LINES[-11:]
    person = replace(REPORT, kind="person", line_id=None, lines=LINES)
    assert PlayerReport.from_json(person.to_json()).lines == LINES[-10:]


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": True}, {"by": None}, {"room": "3"}, {"lines": {}}, {"lines": ["x"]}, {"lines": [{"name": "x"}]},
     {"text": 1}, {"line_id": 5}],
    ids=str,
)  # fmt: skip
def test_a_wrong_type_is_a_schema_error(change: dict[str, object]) -> None:
    """Values of another type are not converted."""
    with pytest.raises(InvalidMessage):
        PlayerReport.from_json(json.dumps({**json.loads(REPORT.to_json()), **change}))


def test_the_latest_reports_come_first(topics: InMemoryTopics) -> None:
    """A record that this release cannot read is counted and hides no other."""
    reports = [replace(REPORT, report_id=f"r{n}") for n in range(4)]
    values = [*(report.to_json().encode() for report in reports[:3]), b"{}", None, reports[3].to_json().encode()]
    topics.send([Outgoing(topic=REPORT_TOPIC, key=b"w-2", value=value) for value in values])
    found = list_reports(topics=topics, limit=2)
    assert [report.report_id for report in found.reports] == ["r3", "r2"]
    assert (found.total, found.unreadable) == (4, 2)


def test_the_key_of_a_decision_names_action_and_subject() -> None:
    """Every spelling of a player's id gives the same key; a line's id stays as it is."""
    assert moderation_key("mute", "w-7fQ2") == "mute:w-7fQ2"
    assert moderation_key("ban", " legacy:민\u200b수 ") == moderation_key("ban", "민수") == "ban:민수"
    assert moderation_key("hide", " c-41:x ") == "hide:c-41:x"
    for sanction, subject in (("mute", " legacy: "), ("hide", ""), ("hide", "c" * 129)):
        with pytest.raises(InvalidInput):
            moderation_key(sanction, subject)  # type: ignore[arg-type]


def test_the_last_decision_of_a_key_counts(topics: InMemoryTopics) -> None:
    """A mute and a ban of the same player are independent; lifting ends both and stays visible."""
    assert act(topics, "mute", "w-1").keys == ("mute:w-1",)
    act(topics, "ban", "w-1", hours=1)
    act(topics, "hide", "c-41", hours=2)
    assert in_force(topics, 3) == [("hide", "c-41"), ("ban", "w-1"), ("mute", "w-1")]
    assert act(topics, "none", "w-1", hours=4).keys == ("mute:w-1", "ban:w-1")
    assert in_force(topics, 5) == [("hide", "c-41")]
    lifted = read_moderations(topics.latest_by_key(MODERATION_TOPIC))["ban:w-1"]
    assert (lifted.action, lifted.subject, lifted.by) == ("none", "w-1", "김하늘")
    assert act(topics, "none", "w-1", hours=6).keys == ()
    act(topics, "none", "c-41", hours=7)
    assert in_force(topics, 8) == []
    act(topics, "mute", "w-1", hours=9)
    assert in_force(topics, 10) == [("mute", "w-1")]


def test_a_decision_ends_by_itself(topics: InMemoryTopics) -> None:
    """No other record is needed, and nothing is left to lift."""
    act(topics, "mute", "w-1", until=2)
    assert in_force(topics, 1) == [("mute", "w-1")]
    assert in_force(topics, 2) == []
    assert act(topics, "none", "w-1", hours=3).keys == ()


def test_an_end_that_cannot_be_read_does_not_end_a_decision() -> None:
    """A time without an offset is Seoul time. An action of a later release is ignored."""
    decision = Moderation(action="ban", subject="w-1", by="김하늘", at=NOW.isoformat())
    assert replace(decision, until="곧").in_force(NOW)
    assert replace(decision, until="2026-11-27T09:00:01").in_force(NOW)
    assert not replace(decision, until="2026-11-27T09:00:00").in_force(NOW)
    assert not replace(decision, action="slow").in_force(NOW)
    assert Moderation.from_json(replace(decision, action="slow").to_json()).action == "slow"
    assert read_moderations({"ban:w-1": decision.to_json().encode(), "ban:w-2": b"{}"}) == {"ban:w-1": decision}


def test_a_decision_needs_a_reason_and_an_end_in_the_future(topics: InMemoryTopics) -> None:
    """Without them nothing is published."""
    with pytest.raises(InvalidInput, match="--reason"):
        moderate(action="ban", subject="w-1", by="김하늘", topics=topics, reason=" ", now=NOW)
    with pytest.raises(InvalidInput, match="--until"):
        moderate(action="ban", subject="w-1", by="김하늘", topics=topics, reason="x", until=NOW, now=NOW)
    assert topics.latest_by_key(MODERATION_TOPIC) == {}


def test_topics_of_reports_and_moderation() -> None:
    """Reports expire; decisions are kept until they are replaced."""
    report, moderation = TOPIC_BY_NAME[REPORT_TOPIC], TOPIC_BY_NAME[MODERATION_TOPIC]
    assert (report.partitions, report.configs["retention.ms"]) == (1, str(30 * 24 * 3600 * 1000))
    assert (moderation.partitions, moderation.compacted) == (1, True)


def test_the_commands_mute_list_and_lift(topics: InMemoryTopics) -> None:
    """``--json`` has the fields of the result."""
    runner = CliRunner()
    done = runner.invoke(app, ["moderate", "mute", "w-1", "--reason", "욕설", "--until", "2150-01-01T09:00", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert (printed["keys"], printed["until"]) == (["mute:w-1"], "2150-01-01T09:00:00+09:00")
    shown = runner.invoke(app, ["moderate", "list"]).stdout
    assert shown.startswith("mute w-1 until 2150-01-01T09:00:00+09:00: 욕설 (")
    assert "mute:w-1: lifted" in runner.invoke(app, ["moderate", "lift", "w-1"]).stdout
    assert "nothing applies" in runner.invoke(app, ["moderate", "lift", "w-1"]).stdout
    assert "nobody" in runner.invoke(app, ["moderate", "list"]).stdout
    assert runner.invoke(app, ["moderate", "ban", "w-1", "--reason", "x", "--until", "soon"]).exit_code == 2
    assert runner.invoke(app, ["moderate", "hide", "c-1"]).exit_code == 2
    assert set(topics.latest_by_key(MODERATION_TOPIC)) == {"mute:w-1"}


def test_the_command_reports_prints_one_line_per_line(topics: InMemoryTopics) -> None:
    """A line feed or a control character in a player's text cannot imitate another line."""
    runner = CliRunner()
    assert "no reports" in runner.invoke(app, ["reports"]).stdout
    line = ReportedLine(player_id="w-2", name="민수", text="나쁜\n말\x1b[2J")
    topics.send([Outgoing(topic=REPORT_TOPIC, key=b"w-2", value=replace(REPORT, lines=(line,)).to_json().encode())])
    shown = runner.invoke(app, ["reports"]).stdout
    assert "line c-41 of 민수 (w-2), room 3, reported by w-1" in shown
    assert "  | 민수 (w-2): 나쁜 말[2J" in shown
    printed = json.loads(runner.invoke(app, ["reports", "--json"]).stdout)
    assert printed["reports"][0]["lines"] == [{"player_id": "w-2", "name": "민수", "text": "나쁜\n말\x1b[2J"}]
