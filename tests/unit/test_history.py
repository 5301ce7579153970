"""What a prompt remembers of a conversation."""

from datetime import UTC, datetime, timedelta

from kogpt2_chat.domain.prompt import END_ID
from serving.history import History, Said

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def said(number: int, *, version: int = 1, at: datetime = NOW, tokens: int = 3) -> Said:
    return Said(turn_id=f"t{number}", version=version, prompt_ids=(2, number, 4), answer_ids=(number,) * tokens, at=at)


def test_a_prompt_begins_with_the_last_turns_that_fit():
    """Oldest first, each closed by the end token; what does not fit is left out from the oldest on."""
    history = History(turns=3, max_tokens=25)
    for number in range(5):
        history.remember("p", "ChatbotA", said(number))
    found = history.before("p", "ChatbotA", 1, [2, 9, 4], NOW)
    assert [turn.turn_id for turn in found] == ["t2", "t3", "t4"]
    assert found[0].ids == (2, 2, 4, 2, 2, 2, END_ID)
    assert [turn.turn_id for turn in history.before("p", "ChatbotA", 1, [2] * 12, NOW)] == ["t4"]
    assert history.before("p", "ChatbotB", 1, [2], NOW) == []
    assert history.before("q", "ChatbotA", 1, [2], NOW) == []


def test_a_silence_or_another_version_begins_anew():
    """Tokens of one version mean nothing to another."""
    history = History(turns=3, max_tokens=100)
    history.remember("p", "ChatbotA", said(1))
    history.remember("p", "ChatbotA", said(2, version=2))
    assert [turn.turn_id for turn in history.before("p", "ChatbotA", 2, [2], NOW)] == ["t2"]
    assert history.before("p", "ChatbotA", 2, [2], NOW + timedelta(minutes=31)) == []


def test_a_turn_that_is_answered_again_is_remembered_once():
    """After a dropped flight the same question comes a second time."""
    history = History(turns=3, max_tokens=100)
    history.remember("p", "ChatbotA", said(1))
    history.remember("p", "ChatbotA", said(1, tokens=5))
    (turn,) = history.before("p", "ChatbotA", 1, [2], NOW)
    assert len(turn.answer_ids) == 5


def test_without_the_setting_nothing_is_remembered():
    """Most models were never shown a second turn."""
    history = History(turns=0, max_tokens=100)
    history.remember("p", "ChatbotA", said(1))
    assert history.before("p", "ChatbotA", 1, [2], NOW) == []
