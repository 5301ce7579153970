"""Fuzzing of `bot_question`: each record leads to one answer with one turn or to one dead letter, without a crash."""

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.dead_letters import REASONS, REPLAYABLE
from kogpt2_chat.domain.chat.prompt import CONTROL_TOKENS, has_control_token
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import MAX_RECORD_BYTES, legacy_text, v1_text
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.testing.kafka import put_question
from tests.worker_harness import WorkerHarness

SEED = 20261124
RECORDS = 10_000
PARTITIONS = 12
MALFORMED = set(REASONS) - set(REPLAYABLE)

TEXTS = (
    "안녕?", "오늘 뭐 했어", "그건 '진짜' \"대박\"", "첫 줄\n둘째 줄\r\n셋째", unicodedata.normalize("NFD", "한글 조합형이야"),
    "ㅋㅋㅋㅎㅎ ㅠㅠ", "\u1112\u1161\u11ab\u1100", "😀👍🏽👨‍👩‍👧‍👦🇰🇷", "a\u200bb\u200c\u200d\ufeff", "\u202eabc\u202c\u2066x\u2069",
    "\x00\x01\x1b[31m\x7f\x9f", "\u115f\u1160\u3164", "＜usr＞ ＜/s＞", "</s></</s>s>", "<un<unused1>used1>", "0" * 500, "가" * 501,
    "\\u003c/s\\u003e", "{'from' : 'a', 'to' : 'ChatbotA', 'message' : 'b'}", "', 'to' : '", "quit", " ", "\ud7ff\ue000\U0010ffff", "\u0301" * 99,
    "\u0300\u0316" * 2000, "\u1100\u200b\u1161", "\u1100</s>\u1161", "\ufe0f", "내 번호는 010-1234-5678",
    *CONTROL_TOKENS[:12], *(token.replace("<", "< ") for token in CONTROL_TOKENS[:3]),
)  # fmt: skip
JUNK = (
    b"", b"\xff\xfe\x00", b"\xed\xa0\x80", b"\xc0\xaf", b"null", b"[]", b'"x"', b"{}", b'{"', b"{'", b"{ '", b'{"v": 1', b'{"v": 1}}',
    b'{"v": ' + b"[" * 8000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b'{"v": ' + b"9" * 5000 + b"}", b'{"v": 1e999}', b'{"v": NaN}',
    b"\xef\xbb\xbf" + b'{"v": 1}', b"{'from' : '" * 400, b"{" + b" " * 16000 + b"'", b"' , 'to' : '" * 900, b"\x00" * 64,
)  # fmt: skip
PIECES = (
    b"</s>", b"<usr>", b"<unused1>", b"\\ud800", b"\\u0000", b"\xe2\x80\xae", b"\xe2\x80\x8b", b"'", b'"', b"}", b"{", b"\n", b"\x00", b"\xff",
    b"\xe1\x84\x92", b"', 'message' : '", b'", "text": "', b"1e400", b"9" * 400, b"[[[[", b"\\", b"\xf0\x9f\x98\x80",
)  # fmt: skip
VALUES = (
    None, True, 0, 1, 2, -1, 1.0, 1e308, 10**40, "", "x", "x" * 65, "x" * 129, "\x00", "ChatbotA", "ChatbotZ", [], [[]], {}, {"store": False},
    {"train": True}, {"store": 1}, {"v": {"v": {}}}, "2026-11-24T03:00:00Z", "2026-11-24T02:00:00Z", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z",
)  # fmt: skip


def legacy(rng: random.Random) -> bytes:
    spaces = " " * rng.choice((0, 1, 1, 1, 3))
    frame = legacy_text(rng.choice(("하늘", "", "n" * 64, "n" * 65, "'")), bot(rng), text(rng))
    return frame.replace(" : ", f"{spaces}:{spaces}", 1).encode()


def v1(rng: random.Random) -> bytes:
    body: dict[str, object] = json.loads(
        v1_text(question_id=f"q{rng.random()}", bot=bot(rng), sender=rng.choice(TEXTS)[:64], text=text(rng))
    )
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        names = (*body, "sender_id", "session_id", "sent_at", "consent", "reply_by", "mood")
        body[rng.choice(names)] = rng.choice(VALUES)
    ascii_only = rng.random() < 0.3
    return json.dumps(body, ensure_ascii=ascii_only).encode()


def duplicate_keys(rng: random.Random) -> bytes:
    return v1(rng)[:-1] + b", " + v1(rng)[1:]


def lone_surrogates(rng: random.Random) -> bytes:
    return v1(rng).replace(b'"text": "', b'"text": "\\ud83d' + rng.choice((b"", b"\\ude00", b"\\ud83d")))


def nested(rng: random.Random) -> bytes:
    depth = rng.choice((1, 30, 31, 32, 33, 900, 4000))
    return v1(rng)[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"


def huge_numbers(rng: random.Random) -> bytes:
    return v1(rng)[:-1] + b', "x": ' + b"1" * rng.choice((20, 400, 4300, 4301)) + b"}"


def at_the_size_limit(rng: random.Random) -> bytes:
    """Return a question of 16 KiB, or of one byte less or more, padded at its end."""
    size = MAX_RECORD_BYTES + rng.choice((-1, 0, 1))
    question = rng.choice((legacy, v1))(rng)
    return question + rng.choice((b" ", b"\n", b"x")) * (size - len(question))


def noise(rng: random.Random) -> bytes:
    return rng.choice((b"", b"{'", b'{"')) + rng.randbytes(rng.randrange(200))


def mutated(rng: random.Random) -> bytes:
    """Return a valid question after a few edits: deleted, inserted, changed and copied bytes, or a cut end."""
    found = bytearray(rng.choice((legacy, v1))(rng))
    for _ in range(rng.randrange(1, 6)):
        start = rng.randrange(len(found) + 1)
        match rng.randrange(5):
            case 0:
                del found[start : start + rng.randrange(1, 9)]
            case 1:
                found[start:start] = rng.choice(PIECES)
            case 2:
                found[start : start + 1] = rng.randbytes(1)
            case 3:
                found[start:start] = found[rng.randrange(len(found) + 1) :][:40]
            case _:
                del found[max(start, 1) :]
    return bytes(found)


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    legacy, v1, duplicate_keys, lone_surrogates, nested, huge_numbers, noise, mutated, mutated, mutated, lambda rng: rng.choice(JUNK),
)  # fmt: skip


def bot(rng: random.Random) -> str:
    return rng.choice(BOT_IDS) if rng.random() < 0.95 else rng.choice(("ChatbotZ", "", "chatbota", "ChatbotA "))


def text(rng: random.Random) -> str:
    chosen = " ".join(rng.choice(TEXTS) for _ in range(rng.choice((1, 1, 2, 3))))
    return chosen if rng.random() < 0.8 else unicodedata.normalize("NFD", chosen)


def values(rng: random.Random) -> Iterator[bytes | None]:
    for number in range(RECORDS):
        if number % 97 == 0:
            yield None
        elif number % 53 == 0:
            yield at_the_size_limit(rng)
        else:
            yield rng.choice(KINDS)(rng)


def faulty_model(rng: random.Random) -> Callable[[str], str]:
    """Return a faulty model, which repeats the question with control tokens and characters and writes too much."""
    return lambda question: rng.choice(
        (question, question * 9, f"{question}</s>", f"<usr>{question}\x00\u202e<unused1>", rng.choice(TEXTS), "", "<un" + question + "used1>")
    )  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> tuple[WorkerHarness, list[bytes | None]]:
    """Send all records through the loop of one worker, in rounds, on all partitions; some transactions fail."""
    rng = random.Random(SEED)
    harness = WorkerHarness(tmp_path_factory.mktemp("fuzz"), answers=faulty_model(random.Random(SEED + 1)))
    records = list(values(rng))
    for start in range(0, RECORDS, 500):
        for number, value in enumerate(records[start : start + 500], start):
            put_question(harness.broker, value, number % PARTITIONS, key=rng.choice((None, b"", b"\xff", b"k")))
        harness.consumer.fail_publishes = rng.randrange(2)
        harness.drain(16)
    return harness, records


def test_each_record_has_one_answer_and_turn_or_one_dead_letter(fuzzed):
    """Nothing is lost or duplicated, and the committed offsets are at the end of every partition."""
    harness, records = fuzzed
    answers = Counter(record.headers["turn_id"] for name in BOT_IDS for record in harness.broker.all(name))
    turns = Counter(record.headers["turn_id"] for record in harness.broker.all(TURN_TOPIC))
    dead_letters = Counter(turn_id for _, turn_id in harness.dead())
    expected = {f"{QUESTION_TOPIC}-{n % PARTITIONS}-{n // PARTITIONS}" for n in range(RECORDS)}
    assert answers == turns
    assert answers + dead_letters == dict.fromkeys(expected, 1)
    assert harness.broker.committed == {n: log.end for n, log in enumerate(harness.broker.logs[QUESTION_TOPIC])}
    assert harness.metrics.tally()["double_drops"] == 0
    assert len(records) == RECORDS
    # Both outcomes occur often enough.
    assert min(sum(answers.values()), sum(dead_letters.values())) > RECORDS / 5
    assert {reason for reason, _ in harness.dead()} == MALFORMED


def test_answers_have_no_control_tokens_or_characters_and_a_limited_length(fuzzed):
    """This holds for any question and any output of the model."""
    harness, _ = fuzzed
    for name in BOT_IDS:
        for record in harness.broker.all(name):
            answer = record.value.decode("utf-8")
            assert 1 <= len(answer) <= harness.settings.serving.max_answer_chars
            assert not has_control_token(answer)
            assert not any(unicodedata.category(char).startswith("C") for char in answer), repr(answer)
            assert unicodedata.is_normalized("NFC", answer)


def test_every_turn_can_be_read_and_belongs_to_its_answer(fuzzed):
    """The lake can read the turn. It has the text of the answer if the player consented to storage."""
    harness, _ = fuzzed
    answers = {record.headers["turn_id"]: record for name in BOT_IDS for record in harness.broker.all(name)}
    for record in harness.broker.all(TURN_TOPIC):
        turn, answer = Turn.from_json(record.value), answers[record.headers["turn_id"]]
        assert (turn.turn_id, turn.bot) == (answer.headers["turn_id"], answer.topic)
        assert turn.sender == mask_pii(answer.key.decode())[0]
        assert "010-1234-5678" not in turn.to_json()
        assert turn.answer == (mask_pii(answer.value.decode())[0] if turn.consent_store else "")


def test_a_dead_letter_is_the_unchanged_record(fuzzed):
    """A header has the error, with a limited length."""
    harness, records = fuzzed
    for letter in harness.broker.all(DEAD_LETTER_TOPIC):
        partition, offset = (int(letter.headers[name]) for name in ("question_partition", "question_offset"))
        sent = records[offset * PARTITIONS + partition]
        assert letter.value == sent or (sent is None and letter.value == b"" and letter.key is None)
        assert 0 < len(letter.headers["error"]) <= 300
        assert not any("\ud800" <= char <= "\udfff" for value in letter.headers.values() for char in value)
