"""Matching answers to questions, as a gateway does for many players at once."""

import random

import pytest

from kogpt2_chat.client.answer_matcher import AnswerMatcher, PendingQuestion
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Record

BOT = "ChatbotA"


def v1(question_id: str, sender: str = "하늘", bot: str = BOT) -> PendingQuestion:
    return PendingQuestion(question_id=question_id, bot=bot, sender=sender)


def legacy(question_id: str, sender: str = "하늘", bot: str = BOT) -> PendingQuestion:
    return PendingQuestion(question_id=question_id, bot=bot, sender=sender, legacy=True)


def answer(
    question_id: str | None, sender: str = "하늘", bot: str = BOT, turn_id: str | None = "bot_question-0-7"
) -> Record:
    headers = {"turn_id": turn_id, "question_id": question_id}
    return Record(
        topic=bot,
        partition=0,
        offset=0,
        key=sender.encode(),
        value="답".encode(),
        headers={name: value for name, value in headers.items() if value is not None},
    )


def matcher_of(*questions: PendingQuestion, timeout_s: float = 30.0) -> AnswerMatcher:
    matcher = AnswerMatcher(timeout_s)
    for question in questions:
        matcher.add(question, 100.0)
    return matcher


def test_an_answer_is_matched_once_by_its_question_id() -> None:
    """The order does not matter. A second answer to the same question matches nothing."""
    matcher = matcher_of(v1("a"), v1("b"))
    assert matcher.accept(answer("b")) == v1("b")
    assert matcher.accept(answer("a")) == v1("a")
    assert matcher.accept(answer("a")) is None
    assert len(matcher) == 0


@pytest.mark.parametrize(
    "other",
    [
        answer("b"),
        answer("a", sender="바다"),
        answer("a", bot="ChatbotB"),
        answer("a", turn_id=None),
        answer(None, turn_id=None),
        answer(None),
        Record(topic=BOT, partition=0, offset=0, key=b"\xff", value=b"", headers={"turn_id": "t", "question_id": "a"}),
        Record(topic=BOT, partition=0, offset=0, key=None, value=None),
    ],
    ids=["id", "sender", "bot", "no turn", "no headers", "no id", "broken key", "empty"],
)
def test_unrelated_records_are_ignored(other: Record) -> None:
    """Other clients use the same topics, and any client may write to them; the question stays pending."""
    matcher = matcher_of(v1("a"))
    assert matcher.accept(other) is None
    assert matcher.accept(answer("a")) == v1("a")


def test_players_may_choose_the_same_question_id() -> None:
    """A gateway passes on the ids of its players; bot and sender distinguish them."""
    questions = [v1("1", "하늘"), v1("1", "바다"), v1("1", "하늘", "ChatbotB")]
    matcher = matcher_of(*questions)
    for question in reversed(questions):
        assert matcher.accept(answer("1", question.sender, question.bot)) == question


def test_a_question_that_is_already_pending_is_refused() -> None:
    """Its answer could not be distinguished from the first one's. After the first answer the id is free."""
    matcher = matcher_of(v1("a"))
    with pytest.raises(InvalidInput, match="'하늘' has already asked ChatbotA a question 'a'"):
        matcher.add(v1("a"), 101.0)
    matcher.accept(answer("a"))
    matcher.add(v1("a"), 102.0)
    assert matcher.accept(answer("a")) == v1("a")


def test_legacy_answers_go_to_the_oldest_question_of_their_sender() -> None:
    """Their `question_id` is the turn id, which the client cannot know."""
    matcher = matcher_of(legacy("x"), legacy("y"), legacy("z", "바다"))
    turn = "bot_question-1-2"
    assert matcher.accept(answer(turn, "바다", turn_id=turn)) == legacy("z", "바다")
    assert matcher.accept(answer(turn, turn_id=turn)) == legacy("x")
    assert matcher.accept(answer(turn, turn_id=turn)) == legacy("y")
    assert matcher.accept(answer(turn, turn_id=turn)) is None


def test_a_v1_answer_never_matches_a_legacy_question() -> None:
    """The same player may use a second client, whose questions have their own ids."""
    matcher = matcher_of(legacy("x"))
    assert matcher.accept(answer("elsewhere")) is None
    assert len(matcher) == 1


def test_questions_expire_in_the_order_they_were_asked() -> None:
    """Each expires after the time limit from its own start; an answered question does not expire."""
    matcher = matcher_of(v1("a"), legacy("x"), v1("b"), timeout_s=30.0)
    matcher.add(legacy("y"), 110.0)
    matcher.accept(answer("b"))
    assert matcher.expire(129.9) == []
    assert matcher.expire(130.0) == [v1("a"), legacy("x")]
    assert matcher.accept(answer("a")) is None
    assert matcher.accept(answer("t", turn_id="t")) == legacy("y")
    assert matcher.expire(1000.0) == []


def test_thousands_of_players_are_matched_at_once() -> None:
    """Each answer matches its own question, and nothing about answered questions is kept."""
    players = [f"player-{number}" for number in range(5000)]
    questions = [kind("q", player) for player in players for kind in (v1, legacy)]
    matcher = matcher_of(*questions)
    answers = [answer("q", player) for player in players] + [answer("t", player, turn_id="t") for player in players]
    random.Random(1).shuffle(answers)
    matched = [matcher.accept(record) for record in answers]
    assert [question.sender for question in matched if question] == [record.key.decode() for record in answers]
    assert (len(matcher), matcher._legacy_by_sender) == (0, {})
