"""The wire format: every record is either a question or becomes a dead letter with a reason from the contract."""

import contextlib
import json
import re
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat import wire
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.question_fields import stored_text
from kogpt2_chat.domain.chat.wire import (
    MAX_RECORD_BYTES,
    answer_headers,
    dead_letter_headers,
    legacy_text,
    read_question,
    v1_text,
)
from kogpt2_chat.domain.text.characters import shows_nothing
from kogpt2_chat.errors import InvalidMessage
from tests.growth import growth

V1 = {"v": 1, "question_id": "q-1", "bot": "ChatbotA", "sender": "하늘", "text": "안녕?"}


def read(value, **options):
    return read_question(value.encode() if isinstance(value, str) else value, 3, 42, **options)


def reason_of(value) -> str:
    with pytest.raises(InvalidMessage) as caught:
        read(value)
    return caught.value.reason


def v1(**changes) -> str:
    body = {**V1, **changes}
    return json.dumps({name: value for name, value in body.items() if value is not ...}, ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        "안녕?",
        "quit",
        "그건 '진짜' \"대박\"이야",
        "}{ {'to' : 'x'} '}",
        "첫 줄\n둘째 줄\t끝",
        "역슬래시 \\n \\' 끝",
        "😀👍🏽 좋아",
        "', 'message' : '",
        "it's",
        "'",
        "</s><usr>",
    ],
)
def test_the_legacy_frame_does_not_interpret_the_message(text):
    """Quotes, braces, newlines, `quit` and separators inside the message are text."""
    question = read(legacy_text("하늘", "ChatbotB", text))
    assert (question.sender, question.bot, question.text) == ("하늘", "ChatbotB", text)
    assert question.question_id == question.turn_id == "bot_question-3-42"
    assert question.player_id == "legacy:하늘"
    assert (question.source, question.consent_store, question.consent_train) == ("legacy", True, False)


def test_spaces_around_each_token_of_the_legacy_frame_are_optional():
    """Hand-written clients put different spaces between the tokens."""
    for frame in (
        "{'from':'하늘','to':'ChatbotA','message':'응'}",
        "  {  'from'  : '하늘' , 'to':  'ChatbotA'  ,  'message'  :  '응' }\n",
    ):
        assert read(frame).text == "응"


def test_a_setting_allows_training_on_legacy_questions():
    """The legacy client cannot ask for consent, so the deployment decides."""
    assert read(legacy_text("하늘", "ChatbotA", "안녕"), legacy_consent=True).consent_train


BODY = '"v": 1, "question_id": "q-1", "bot": "ChatbotA", "sender": "하늘", "text": "안녕?"'
CLIENT_FRAMES = {
    "indented": json.dumps(V1, ensure_ascii=False, indent=2),
    "indented by tabs, with carriage returns": json.dumps(V1, ensure_ascii=False, indent="\t").replace("\n", "\r\n"),
    "a space after the brace": f"{{ {BODY}}}",
    "a byte order mark": f"\ufeff{{{BODY}}}",
    "two byte order marks with white space": f"\ufeff \ufeff\n{{{BODY}}}\n",
    "a byte order mark after the brace": f"{{\ufeff{BODY}}}",
    "byte order marks between tokens": "{" + BODY.replace(": ", ":\ufeff\u00a0") + "}",
    "a NUL at the end": f"{{{BODY}}}\x00",
    "nulls": f'{{{BODY}, "sender_id": null, "session_id": null, "sent_at": null, "reply_by": null, "consent": null}}',
    "empty strings": f'{{{BODY}, "sender_id": "", "session_id": "", "sent_at": "", "reply_by": ""}}',
    "nulls in consent": f'{{{BODY}, "consent": {{"store": null, "train": null}}}}',
    "a time without an offset": f'{{{BODY}, "sent_at": "2026-11-26T10:00:00"}}',
    "an offset without a colon": f'{{{BODY}, "sent_at": "2026-11-26T10:00:00.1234567+0900"}}',
    "lower case letters in a time": f'{{{BODY}, "sent_at": "2026-11-26t01:00:00z"}}',
    "a time with a space": f'{{{BODY}, "sent_at": "2026-11-26 10:00:00"}}',
    "an invisible character after the bot": f"{{{BODY}}}".replace("ChatbotA", "ChatbotA\u200b"),
    "a legacy frame on three lines": "{'from' : '하늘',\n 'to' : 'ChatbotA',\n 'message' : '안녕?'}",
    "a legacy frame with a byte order mark": "\ufeff{'from' : '하늘', 'to' : 'ChatbotA', 'message' : '안녕?'}",
    "a legacy frame with byte order marks and tabs inside": (
        "{\ufeff'from'\t:\t'하늘'\u00a0, 'to' : 'ChatbotA\u200b', 'message' : '안녕?'\r\n\ufeff}\r\n"
    ),
}


@pytest.mark.parametrize("frame", CLIENT_FRAMES.values(), ids=CLIENT_FRAMES)
def test_the_output_of_common_serialisers_is_accepted(frame):
    """White space and byte order marks are ignored, null is a missing value, and times without offset are Seoul time."""
    question = read(frame)
    assert (question.sender, question.bot, question.text) == ("하늘", "ChatbotA", "안녕?")
    assert question.player_id == "legacy:하늘"
    assert (question.session_id, question.reply_by) == (None, None)
    assert (question.consent_store, question.consent_train, question.extra) == (True, False, {})
    if question.sent_at:
        assert datetime.fromisoformat(question.sent_at).astimezone(UTC).hour == 1


def test_padding_characters_inside_a_string_are_kept():
    """Only the characters between tokens are ignored, and an unclosed string is an error."""
    assert read(f"{{\ufeff{BODY}}}".replace("안녕?", '안\u00a0녕\\"?')).text == '안\u00a0녕"?'
    assert read("{\ufeff" + BODY.replace("하늘", "하\u200b늘") + "}").sender == "하\u200b늘"
    assert reason_of('{\ufeff"v": 1, "text": "') == "schema"


@pytest.mark.parametrize("sender", ["하늘\u200b", " 하늘", unicodedata.normalize("NFD", "하늘"), "\ufeff하늘"])
def test_the_sender_is_unchanged_and_the_player_id_is_normalised(sender):
    """The client waits for the key that it sent. Invisible differences do not make another player."""
    for question in (read(v1(sender=sender)), read(legacy_text(sender, "ChatbotA", "안녕?"))):
        assert (question.sender, question.player_id) == (sender, "legacy:하늘")
    assert read(v1(sender_id="p-1\u200b")).player_id == "p-1"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (v1(sender=None), "`sender` must be a string, found null"),
        (v1(sender=...), "`sender` must be a string, found missing"),
        (v1(text=3), "`text` must be a string, found int"),
        (v1(sent_at="어제"), "`sent_at` must be an RFC 3339 time, e.g. 2026-11-24T10:00:00+09:00"),
        ('{"v": 1 "bot": 2}', "not valid JSON: Expecting ',' delimiter, at character 8"),
        (
            v1().encode("utf-16"),
            "byte 0 is not UTF-8: invalid start byte; the record starts with a UTF-16 byte order mark",
        ),
    ],
)
def test_a_dead_letter_explains_the_error(value, message):
    """Authors of clients read the message, so it names the field and what was found."""
    with pytest.raises(InvalidMessage) as caught:
        read(value)
    assert str(caught.value) == message


def separators_overlap(nick: str) -> bool:
    """Check whether the first separator of the frame would begin inside the nickname."""
    found = wire._LEGACY_TO.search(nick + "', 'to' : '")
    return found is None or found.start() != len(nick)


@given(
    nick=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bot=st.sampled_from(BOT_IDS),
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
)
@example(nick="'", bot="ChatbotA", text="'}")
@example(nick="{'from' : '", bot="ChatbotC", text="a' ")
def test_a_question_of_the_unity_client_is_read_back(nick, bot, text):
    """This holds for every nickname without the separator and every message. Invisible characters are removed."""
    assume(not separators_overlap(nick) and len(unicodedata.normalize("NFC", nick)) <= 64)
    assume(not shows_nothing(text))
    question = read(legacy_text(nick, bot, text))
    assert (question.sender, question.bot, question.text) == (nick, bot, stored_text(text))


@given(
    sender=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    text=st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), max_size=80),
    extra=st.dictionaries(
        st.text(min_size=1, max_size=8).map(lambda name: f"x{name}"), st.integers() | st.text(max_size=9), max_size=3
    ),
)
def test_v1_questions_are_read_back_with_their_unknown_fields(sender, text, extra):
    """JSON escapes are decoded once, and the fields of later releases are kept."""
    assume(not any(0xD800 <= ord(char) <= 0xDFFF for char in json.dumps(extra, ensure_ascii=False)))
    question = read(v1_text(question_id="q", bot="ChatbotA", sender=sender, text=f"가{text}", **extra))
    assert (question.sender, question.text, question.extra) == (sender, stored_text(f"가{text}"), extra)


@given(st.binary(max_size=400))
@example(b"{'")
@example(b"{'}")
@example(b"{'from' : '")
@example(b"{'from' : 'a', 'to' : 'ChatbotA', 'message' : '}")
@example(b'{"')
def test_random_bytes_raise_only_invalid_message(value):
    """No other exception reaches the worker."""
    with contextlib.suppress(InvalidMessage):
        read(value)


@given(st.data())
def test_mutations_of_real_questions_raise_only_invalid_message(data):
    """Bytes may be lost, inserted or changed anywhere."""
    frame = data.draw(
        st.sampled_from(
            [legacy_text("하늘", "ChatbotA", "안녕?"), v1(consent={"store": True}, sent_at="2026-11-24T10:00:00+09:00")]
        )
    )
    value = bytearray(frame.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(value) - 1))
        value[start : start + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        assume(value)
    with contextlib.suppress(InvalidMessage):
        read(bytes(value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_a_question"),
        (b"", "not_a_question"),
        (b"   ", "not_a_question"),
        ("안녕?", "not_a_question"),
        ("[1]", "not_a_question"),
        (v1().encode("utf-16"), "not_utf8"),
        ('{ "v": 1}', "schema"),
        ("\ufeff[1]", "not_a_question"),
        (b"\xff\xfe", "not_utf8"),
        (legacy_text("n", "ChatbotA", "x").encode()[:-2] + b"\xed\xa0\x80'}", "not_utf8"),
        ("{'from' : 'n'}", "schema"),
        ("{'from' : 'n', 'to' : 'ChatbotA'}", "schema"),
        ("{'to' : 'ChatbotA', 'from' : 'n', 'message' : 'x'}", "schema"),
        ("{'from' : 'n', 'to' : 'ChatbotA', 'message' : 'x'", "schema"),
        ("{'from' : 'n', 'to' : 'ChatbotA', 'message' : '}", "schema"),
        ("{'from' : 'n', 'to' : 'ChatbotA', 'message' : 'x'} more", "schema"),
        (legacy_text("n", "chatbota", "x"), "unknown_bot"),
        (legacy_text("n", "", "x"), "unknown_bot"),
        (legacy_text("n" * 65, "ChatbotA", "x"), "too_long"),
        (legacy_text("n", "ChatbotA", "가" * 501), "too_long"),
        (legacy_text("n", "ChatbotA", ""), "empty"),
        (legacy_text("n", "ChatbotA", " \n\t "), "empty"),
        (legacy_text("n", "ChatbotA", "\u200b\u200d\ufeff\u3164\x00"), "empty"),
        ('{"v": 1', "schema"),
        ('{"v": 1} {}', "schema"),
        (v1(v=...), "schema"),
        (v1(v=2), "schema"),
        (v1(v=True), "schema"),
        (v1(v=1.0), "schema"),
        (v1(v="1"), "schema"),
        (v1(question_id=...), "schema"),
        (v1(question_id=""), "schema"),
        (v1(question_id=7), "schema"),
        (v1(question_id="q" * 65), "schema"),
        (v1(bot=3), "schema"),
        (v1(bot="ChatbotZ"), "unknown_bot"),
        (v1(sender=""), "schema"),
        (v1(sender=None), "schema"),
        (v1(sender="가" * 65), "too_long"),
        (v1(text=["안녕"]), "schema"),
        (v1(text="\u200b"), "empty"),
        *((v1(text=char * 3), "empty") for char in "\ufe0f\U000e0100\u180b\U0001d173\U0001bca0\u17b4\u3164"),
        (v1(text="가" + "\u0300\u0316" * 4000), "too_long"),
        (v1(sender="가" + "\u0300\u0316" * 4000), "too_long"),
        (v1(text="가" * 501), "too_long"),
        (v1(text=None), "schema"),
        (v1(v=None), "schema"),
        (v1(sender_id="p" * 129), "schema"),
        (v1(session_id=7), "schema"),
        (v1(sent_at="어제"), "schema"),
        (v1(sent_at=1700000000), "schema"),
        (v1(sent_at="2026-11-24"), "schema"),
        (v1(sent_at="2026-11-24T10:00:00+9"), "schema"),
        (v1(sent_at="2026-02-30T10:00:00Z"), "schema"),
        (v1(reply_by="0001-01-01T00:00:00+14:00"), "schema"),
        (v1(consent="yes"), "schema"),
        (v1(consent={"train": 1}), "schema"),
        ('{"v": 1, "x": NaN}', "schema"),
        ('{"v": 1, "x": 1e999}', "schema"),
        ('{"v": 1, "x": "\\ud800"}', "schema"),
        (v1()[:-1] + ', "n": ' + "9" * 5000 + "}", "schema"),
        (v1()[:-1] + ', "n": ' + "[" * 5000 + "]" * 5000 + "}", "schema"),
        (v1()[:-1] + ', "n": ' + "[" * 40 + "]" * 40 + "}", "schema"),
        (v1()[:-1] + ', "n": ' + '{"a":' * 2000 + "1" + "}" * 2000 + "}", "schema"),
    ],
    ids=lambda value: re.sub(r"\W+", " ", str(value))[:40],
)
def test_a_malformed_record_has_a_reason_from_the_contract(value, reason):
    """The reason says which kind of error the record has."""
    assert reason_of(value) == reason


def test_a_record_of_16_kib_is_read_and_one_byte_more_is_too_large():
    """The limit is in bytes, and is checked before the content."""
    frame = v1(pad="")
    padding = MAX_RECORD_BYTES - len(frame.encode())
    assert read(v1(pad="x" * padding)).text == "안녕?"
    assert reason_of(v1(pad="x" * (padding + 1))) == "too_large"
    assert reason_of(b"\xff" * (MAX_RECORD_BYTES + 1)) == "too_large"


def test_length_is_counted_in_code_points_after_nfc():
    """Decomposed Hangul has three times the bytes, but the same length. Invisible characters do not count."""
    decomposed = unicodedata.normalize("NFD", "각" * 500)
    assert read(legacy_text("n", "ChatbotA", decomposed)).text == "각" * 500
    assert read(legacy_text("n", "ChatbotA", "\u200b" * 9 + "😀" * 500)).text == "😀" * 500
    nick = unicodedata.normalize("NFD", "각" * 64)
    assert read(legacy_text(nick, "ChatbotA", "응")).sender == nick, "the client waits for the key that it sent"


def test_a_dead_letter_has_the_question_id_if_it_is_readable():
    """The client can find the dead letter of its question."""
    with pytest.raises(InvalidMessage) as caught:
        read(v1(text="", question_id="q-7"))
    headers = dead_letter_headers(caught.value, 3, 42)
    assert headers == {
        "reason": "empty",
        "error": "the question has no visible character",
        "turn_id": "bot_question-3-42",
        "question_partition": "3",
        "question_offset": "42",
        "question_id": "q-7",
    }


def test_a_v1_question_has_the_player_and_the_consent():
    """`sender_id` becomes the player id. Training needs explicit consent."""
    full = read(
        v1(
            sender_id="p-1",
            session_id="s",
            sent_at="2026-11-24T10:00:00.5+09:00",
            reply_by="2026-11-24T01:00:05Z",
            consent={"train": True},
        )
    )
    assert (full.player_id, full.session_id, full.sent_at) == ("p-1", "s", "2026-11-24T10:00:00.500000+09:00")
    assert full.reply_by is not None
    assert (full.consent_store, full.consent_train) == (True, True)
    plain = read(v1())
    assert (plain.player_id, plain.consent_store, plain.consent_train) == ("legacy:하늘", True, False)
    assert (read(v1(consent=True)).consent_train, read(v1(consent=False)).consent_store) == (True, True)
    refused = read(v1(consent={"store": False, "train": True}))
    assert (refused.consent_store, refused.consent_train) == (False, False), "training needs the stored turn"


def test_answer_headers_are_strings_with_the_position_of_the_question():
    """Readers use partition and offset to drop a second answer."""
    headers = answer_headers(read(v1()), model_version=3, epoch=2, latency_ms=15, fallback=None)
    assert headers == {
        "turn_id": "bot_question-3-42",
        "question_id": "q-1",
        "question_partition": "3",
        "question_offset": "42",
        "model_version": "3",
        "epoch": "2",
        "latency_ms": "15",
    }
    assert answer_headers(read(v1()), model_version=0, epoch=0, latency_ms=0, fallback="muted")["fallback"] == "muted"


FILLINGS = [
    "\u0300\u0316", "\u0f73", "가\u0300\u0316", "\uff9e\u0316", "\u1100\u1161", "\u200b", "\ufeff", "\u3164", "'", '"', "\\", "{", " \ufeff",
]  # fmt: skip


@pytest.mark.parametrize("of_any_length", [False, True])
@pytest.mark.parametrize("filling", FILLINGS)
def test_reading_takes_time_linear_in_the_record(filling, of_any_length):
    """Twenty times the text or sender takes about twenty times the work, with and without a length limit."""

    def work(text):
        for frame in (
            v1(text=text),
            v1(sender=text),
            legacy_text("n", "ChatbotA", text),
            legacy_text(text, "ChatbotA", "x"),
        ):
            with contextlib.suppress(InvalidMessage):
                read(frame, of_any_length=of_any_length)

    assert growth(work, filling) < 100


@pytest.mark.parametrize("filling", ["'", "' , ", "',   'to'", "'   ", "{", "'}"])
def test_incomplete_separators_do_not_cause_backtracking(filling):
    """Such a frame is malformed, and reading it takes time linear in its length."""
    beginnings = ("{'from' : '", "{'from' : 'n', 'to' : 'ChatbotA', 'message' : '", "{'")
    for beginning in beginnings:
        assert reason_of((beginning + filling * MAX_RECORD_BYTES)[: MAX_RECORD_BYTES - 8]) in {"schema", "too_long"}

    def work(text):
        for beginning in beginnings:
            with contextlib.suppress(InvalidMessage):
                read(beginning + text, of_any_length=True)

    assert growth(work, filling) < 100
