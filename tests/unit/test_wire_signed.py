"""Signed questions and those of minors: on the wire, in the worker, in the client, and between releases."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.client.ask import Utterance, question_record
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import Question, legacy_text, read_question, v1_body
from kogpt2_chat.domain.lake.layout import turn_from_document, turn_row
from kogpt2_chat.errors import InvalidMessage
from tests.worker_harness import WorkerHarness

KEYS = SigningKeys(("k" * 32,))
NOW = datetime(2026, 11, 27, tzinfo=UTC)
ASKED = Utterance(bot="ChatbotA", sender="하늘", text="안녕?", player_id="w-7fQ2", train=True)


def body(**more: object) -> dict[str, Any]:
    return v1_body(question_id="q", bot="ChatbotA", sender="하늘", text="안녕?", consent=True, **more)


def read(value: dict[str, Any], keys: SigningKeys = KEYS, **options: Any) -> Question:
    return read_question(json.dumps(value, ensure_ascii=False).encode(), 0, 1, keys=keys, **options)


def test_a_signed_question_is_authenticated() -> None:
    """Its ``auth`` is not an unknown field; an unknown field is signed too."""
    question = read(KEYS.sign(body(sender_id="w-7fQ2", mood="기쁨")))
    assert (question.authenticated, question.player_id, question.extra) == (True, "w-7fQ2", {"mood": "기쁨"})


def test_the_signature_covers_the_record_as_it_was_parsed() -> None:
    """Odd white space that the reader accepts does not break it, a changed player does."""
    signed = KEYS.sign(body(sender_id="w-7fQ2"))
    text = "\ufeff" + json.dumps(signed, indent=1).replace("\n", "\u00a0\n")
    assert read_question(text.encode(), 0, 1, keys=KEYS).authenticated
    assert not read({**signed, "sender_id": "w-other"}).authenticated


@pytest.mark.parametrize(
    "auth", [None, "", True, 7, [], {}, {"key": 1, "mac": 2}, {"key": "8464a28f", "mac": "0" * 64}], ids=repr
)
def test_a_bad_signature_refuses_nothing(auth: object) -> None:
    """A worker of the last release would answer such a question, and so does this one."""
    question = read({**body(), "auth": auth})
    assert (question.authenticated, question.text, question.extra) == (False, "안녕?", {})


def test_a_client_cannot_say_that_it_is_authenticated() -> None:
    """The field is an unknown one, as in every release."""
    question = read(body(authenticated=True))
    assert (question.authenticated, question.extra) == (False, {"authenticated": True})


def test_unity_questions_and_unknown_keys_are_not_authenticated() -> None:
    """A legacy question has no place for a signature."""
    unity = read_question(legacy_text("하늘", "ChatbotA", "안녕?").encode(), 0, 1, keys=KEYS)
    assert (unity.authenticated, unity.minor) == (False, False)
    assert not read(KEYS.sign(body()), keys=SigningKeys()).authenticated
    assert not read(KEYS.sign(body()), keys=SigningKeys(("z" * 32,))).authenticated


@pytest.mark.parametrize("consent", [True, {"store": True, "train": True}, {"train": True}], ids=repr)
def test_nothing_is_learned_from_a_minor(consent: object) -> None:
    """Whatever the consent says. The turn may still be stored."""
    question = read({**body(), "consent": consent, "minor": True})
    assert (question.minor, question.consent_store, question.consent_train) == (True, True, False)


@pytest.mark.parametrize(
    ("value", "minor"), [(None, False), (False, False), (True, True), (1, True), (0, True), ("no", True), ({}, True)]
)
def test_an_odd_value_means_a_minor(value: object, minor: bool) -> None:
    """It is no dead letter, and learning nothing is the harmless mistake."""
    question = read({**body(), "minor": value})
    assert (question.minor, question.consent_train, question.extra) == (minor, not minor, {})


def test_a_wrong_consent_is_still_a_dead_letter() -> None:
    """A minor's question is checked like any other."""
    with pytest.raises(InvalidMessage, match="consent"):
        read({**body(minor=True), "consent": "yes"})


def test_an_oversized_question_can_be_signed() -> None:
    """It is answered with a vetted text if it may be about a crisis."""
    signed = KEYS.sign(body(note="x" * 20_000))
    assert read(signed, of_any_length=True).authenticated


def test_the_client_signs_what_it_sends() -> None:
    """A gateway's fields reach the worker; without keys the record is unsigned."""
    asked = Utterance(
        bot="ChatbotA", sender="하늘", text="안녕?", store=False, train=True, player_id="w-7fQ2", session_id="s",
        reply_by=NOW, minor=True,
    )  # fmt: skip
    question = read_question(question_record("q", asked, KEYS).value, 0, 1, keys=KEYS)
    assert (question.authenticated, question.minor, question.consent_store) == (True, True, False)
    assert (question.player_id, question.session_id, question.reply_by) == ("w-7fQ2", "s", NOW)
    assert not read_question(question_record("q", asked).value, 0, 1, keys=KEYS).authenticated


def test_an_unsigned_question_is_written_as_before() -> None:
    """Workers of the last release see no new field from clients that do not use one."""
    asked = Utterance(bot="ChatbotA", sender="하늘", text="안녕?")
    assert json.loads(question_record("q", asked).value or b"") == {
        "v": 1, "question_id": "q", "bot": "ChatbotA", "sender": "하늘", "text": "안녕?",
        "consent": {"store": True, "train": False},
    }  # fmt: skip
    legacy = question_record("q", Utterance(bot="ChatbotA", sender="하늘", text="안녕?", legacy=True), KEYS)
    assert legacy.value == legacy_text("하늘", "ChatbotA", "안녕?").encode()


def test_the_turn_says_whether_it_is_authenticated(tmp_path: Path) -> None:
    """Signed, badly signed and Unity questions are answered alike; each has its mark in the turn and in its row."""
    harness = WorkerHarness(tmp_path)
    harness.worker.keys = KEYS
    harness.ask(
        *(question_record("q", ASKED, keys).value or b"" for keys in (KEYS, SigningKeys(("z" * 32,)))),
        legacy_text("하늘", "ChatbotA", "안녕?"),
    )
    harness.drain()
    assert harness.texts() == ["안녕하세요!"] * 3
    assert harness.dead() == []
    turns = harness.turns()
    assert [turn.authenticated for turn in turns] == [True, False, False]
    assert [turn.extra for turn in turns] == [{}] * 3
    assert [turn.consent_train for turn in turns] == [True, True, False]
    row = turn_row(turns[0], partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)
    assert (row["authenticated"], row["minor"]) == (True, False)


def test_a_minors_turn_is_not_for_training(tmp_path: Path) -> None:
    """The player's consent does not matter."""
    harness = WorkerHarness(tmp_path)
    harness.ask(json.dumps(body(minor=True)))
    harness.drain()
    (turn,) = harness.turns()
    assert (turn.minor, turn.consent_store, turn.consent_train) == (True, True, False)


OLD_TURN: dict[str, Any] = {
    "v": 1, "turn_id": "bot_question-0-1", "question_id": "q", "bot": "ChatbotA", "player_id": "w-7fQ2", "sender": "하늘",
    "text": "안녕?", "answer": "안녕하세요!", "received_at": "2026-11-24T10:00:00+09:00",
    "answered_at": "2026-11-24T10:00:01+09:00", "latency_ms": 12, "consent_store": True, "consent_train": True,
    "source": "v1", "worker": "worker-2", "extra": {"auth": {"key": "8464a28f", "mac": "0" * 64}},
}  # fmt: skip


def test_a_turn_of_the_last_release_is_not_authenticated() -> None:
    """Its worker has verified nothing, and has left the client's fields in ``extra``."""
    turn = Turn.from_json(json.dumps(OLD_TURN))
    assert (turn.authenticated, turn.minor, turn.consent_train) == (False, False, True)
    claimed = Turn.from_json(json.dumps({**OLD_TURN, "extra": {"authenticated": True}}))
    assert not claimed.authenticated


@pytest.mark.parametrize(("minor", "is_minor"), [(True, True), ("yes", True), (False, False), (None, False)])
def test_a_minors_turn_of_the_last_release_is_not_for_training(minor: object, is_minor: bool) -> None:
    """Its worker did not know the field and kept the consent."""
    turn = Turn.from_json(json.dumps({**OLD_TURN, "extra": {"minor": minor}}))
    assert (turn.minor, turn.consent_train) == (is_minor, not is_minor)


@pytest.mark.parametrize("name", ["authenticated", "minor"])
def test_a_turn_with_an_odd_mark_is_a_schema_error(name: str) -> None:
    """Only workers write turns, so a wrong type is a fault and no player's choice."""
    with pytest.raises(InvalidMessage, match=name):
        Turn.from_json(json.dumps({**OLD_TURN, name: "yes"}))


def test_a_null_in_the_lake_or_the_index_is_false() -> None:
    """Rows of earlier releases have no value in the new columns."""
    row = turn_row(Turn.from_json(json.dumps(OLD_TURN)), partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)
    document = json.loads(json.dumps({**row, "authenticated": None, "minor": None}, default=str))
    turn = turn_from_document(document)
    assert (turn.authenticated, turn.minor) == (False, False)
    del document["authenticated"], document["minor"]
    assert turn_from_document(document) == turn
