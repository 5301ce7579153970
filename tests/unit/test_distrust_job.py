"""Entries of distrust: adding, undoing and listing them."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.learning.distrust import Subject, subject_of
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.distrust import distrust
from kogpt2_chat.jobs.list_distrusted import list_distrusted
from kogpt2_chat.testing.delta import InMemoryTables

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def add_entry(tables: InMemoryTables, subject: str, *, hours: int = 0, undo: bool = False) -> None:
    now = NOW + timedelta(hours=hours)
    distrust(subject=subject, by="김하늘", reason="가르치며 장난친다", tables=tables, undo=undo, now=now)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("bot_question-3-17", Subject(kind="turn", name="bot_question-3-17")),
        ("legacy:민수", Subject(kind="player", name="민수")),
        (" 민\u200b수 ", Subject(kind="player", name="민수")),
        ("bot_question-x", Subject(kind="player", name="bot_question-x")),
        ("legacy:\u3164", Subject(kind="player", name=player_key("\u3164"))),
        (player_key("\u3164"), Subject(kind="player", name=player_key("\u3164"))),
    ],
)
def test_a_subject_is_a_turn_or_a_player_under_any_spelling(text: str, subject: Subject) -> None:
    """The player's key is stored, so every spelling of the name is distrusted."""
    assert subject_of(text) == subject


def test_the_last_entry_on_a_subject_counts() -> None:
    """Distrust can be undone and repeated; the table keeps every entry."""
    tables = InMemoryTables()
    add_entry(tables, "민수")
    add_entry(tables, "bot_question-3-17", hours=1)
    add_entry(tables, "legacy:민수", hours=2, undo=True)
    assert [row.subject for row in list_distrusted(tables=tables).distrusted] == ["bot_question-3-17"]

    add_entry(tables, "민수", hours=3)
    assert [row.subject for row in list_distrusted(tables=tables).distrusted] == ["민수", "bot_question-3-17"]
    assert len(tables.read("distrust")) == 4
    assert {row["by"] for row in tables.read("distrust")} == {"김하늘"}


@pytest.mark.parametrize(
    ("subject", "by", "reason"), [("민수", " ", "why"), ("민수", "me", ""), ("legacy: ", "me", "why")]
)
def test_distrust_requires_a_name_and_a_reason(subject: str, by: str, reason: str) -> None:
    """Without them nothing is written."""
    tables = InMemoryTables()
    with pytest.raises(InvalidInput):
        distrust(subject=subject, by=by, reason=reason, tables=tables)
    assert tables.read("distrust") == []


@pytest.mark.parametrize("options", [["--by", "a", "--reason", "b"], ["--undo"], ["--reason", "b"]])
def test_an_empty_subject_does_not_list(options: list[str]) -> None:
    """A script with an empty variable must not exit with 0 as if the entry had been added."""
    result = CliRunner().invoke(app, ["distrust", "", *options])
    assert result.exit_code == 2
    assert "PLAYER|TURN" in result.stderr


def test_without_a_subject_the_command_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing is the default."""
    tables = InMemoryTables()
    add_entry(tables, "민수")
    monkeypatch.setattr("kogpt2_chat.bootstrap.tables", lambda _settings: tables)
    assert "player 민수: 가르치며 장난친다 (김하늘" in CliRunner().invoke(app, ["distrust"]).stdout
