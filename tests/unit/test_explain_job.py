"""Finding a turn and explaining what is known about it, without a model."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from kogpt2_chat.cli.explain import as_text
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Turn
from kogpt2_chat.domain.lake.layout import turn_from_document, turn_row
from kogpt2_chat.domain.learning.explanation import Explanation, Replay, Step, Token, TokenChoice, answer_changes
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput, InvalidMessage, NotFound
from kogpt2_chat.jobs import explain as job
from kogpt2_chat.lake import find_turn
from kogpt2_chat.lake.trace_turn import Sources
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from kogpt2_chat.testing.registry import InMemoryRegistry

TURN = Turn(
    turn_id="bot_question-3-17",
    question_id="q",
    bot="ChatbotA",
    player_id="legacy:하늘",
    sender="하늘",
    text="안녕?",
    answer=NOTICE_BY_FALLBACK["degraded"],
    fallback="degraded",
    sent_at="2026-11-24T01:00:00+00:00",
    received_at="2026-11-24T01:00:01+00:00",
    answered_at="2026-11-24T01:00:01.012000+00:00",
    latency_ms=12,
    consent_store=True,
    consent_train=False,
    source="legacy",
    worker="worker-1",
)


@pytest.fixture
def broker() -> Broker:
    broker = Broker()
    InMemoryTopics(broker).ensure()
    return broker


class CountingTopics(InMemoryTopics):
    """Topics that record which ranges were read."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.ranges: list[tuple[int, int, int]] = []

    def read(self, topic, partition, start, end):
        self.ranges.append((partition, start, end))
        yield from super().read(topic, partition, start, end)


def log(broker: Broker, *turns: Turn, header: bool = True) -> None:
    """Publish turns as the worker does; each transaction leaves a gap in the offsets."""
    for turn in turns:
        headers = {"turn_id": turn.turn_id} if header else {}
        record = Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode(), headers=headers)
        broker.append([record], transaction=True)


def document(turn: Turn) -> dict[str, object]:
    return turn_row(turn, partition=0, offset=5, timestamp_ms=0, ingested_at=datetime(2026, 11, 24, 2, tzinfo=UTC))


def explain(broker: Broker, *documents: dict[str, object], topics=None, turn_id: str = TURN.turn_id) -> Explanation:
    index = InMemoryIndex()
    index.put(TURN_INDEX, [(str(one["turn_id"]), one) for one in documents])
    return job.explain(
        turn_id=turn_id,
        top=5,
        topics=topics or InMemoryTopics(broker),
        sources=Sources(
            index=index,
            registry=InMemoryRegistry(),
            tables=InMemoryTables(),
            files=InMemoryFiles(),
            settings=Settings(),
        ),
    )


@pytest.mark.parametrize("header", [True, False])
def test_a_turn_is_found_in_kafka_by_header_or_by_its_field(broker: Broker, header) -> None:
    """Without headers, the record's turn id counts, not an id that its text mentions."""
    mentioning = replace(TURN, turn_id="bot_question-3-18", text=f'"{TURN.turn_id}"')
    log(broker, TURN, mentioning, header=header)
    found = explain(broker)
    assert found.turn == TURN
    assert found.found_in.startswith(f"{TURN_TOPIC}-")


def test_the_scan_goes_backwards_in_growing_blocks_and_stops_at_the_hit(broker: Broker, monkeypatch) -> None:
    """A new turn is found without reading old records; no record is read twice."""
    monkeypatch.setattr(find_turn, "_FIRST_BLOCK", 4)
    others = [replace(TURN, turn_id=f"bot_question-0-{number}") for number in range(20)]
    log(broker, *others, TURN)
    topics = CountingTopics(broker)
    (partition,) = [number for number, end in topics.end_positions(TURN_TOPIC).items() if end]
    end = topics.end_positions(TURN_TOPIC)[partition]
    explain(broker, topics=topics)
    assert [block for block in topics.ranges if block[0] == partition] == [(partition, end - 4, end)]

    topics.ranges.clear()
    explain(broker, topics=topics, turn_id="bot_question-0-0")
    blocks = [block[1:] for block in topics.ranges if block[0] == partition]
    assert [end - start for start, end in blocks][:3] == [4, 8, 16]
    assert [start for start, _ in blocks[:-1]] == [end for _, end in blocks[1:]]
    assert blocks[-1][0] == 0


def test_a_turn_that_kafka_no_longer_has_comes_from_the_index(broker: Broker) -> None:
    """The lake's row returns the same turn, with its times in UTC."""
    found = explain(broker, document(TURN))
    assert found.found_in == "search index"
    assert found.turn == TURN


def test_a_turn_survives_the_lake_and_the_index() -> None:
    """Tokens, decoding and unknown fields are preserved; a damaged document is refused."""
    turn = replace(TURN, answer_token_ids=(7, 8), decoding={"max_new_tokens": 9}, extra={"mood": "기쁨"}, fallback=None)
    index = InMemoryIndex()
    index.put(TURN_INDEX, [(turn.turn_id, document(turn))])
    found = index.find(TURN_INDEX, turn.turn_id)
    assert found is not None
    assert turn_from_document(found) == turn
    for damage in ({"decoding": "{"}, {"latency_ms": "12"}):
        with pytest.raises(InvalidMessage):
            turn_from_document({**found, **damage})


def test_an_unknown_turn_is_reported_with_remedies(broker: Broker) -> None:
    """The message says what to do; a text that is not a turn id starts no search.

    The operators' pages know by the beginning of the sentence that it is about the turn.
    """
    with pytest.raises(NotFound, match=r"^turn bot_question-3-17 .*`kogpt2-chat index`"):
        explain(broker)
    topics = CountingTopics(broker)
    with pytest.raises(InvalidInput, match="bot_question-PARTITION-OFFSET"):
        explain(broker, topics=topics, turn_id="17")
    assert not topics.ranges


def test_an_unreadable_turn_is_reported_with_its_position(broker: Broker) -> None:
    """It is not reported as missing."""
    record = Outgoing(topic=TURN_TOPIC, key=b"k", value=b"{}", headers={"turn_id": TURN.turn_id})
    broker.append([record], transaction=True)
    with pytest.raises(NotFound, match=rf"^turn bot_question-3-17 .*{TURN_TOPIC}-\d+ at 0"):
        explain(broker)


def test_without_consent_only_facts_are_shown(broker: Broker) -> None:
    """No text was stored, so none is shown and nothing is replayed."""
    unstored = replace(TURN, text="", answer="", consent_store=False, model_version=3, fallback=None)
    log(broker, unstored)
    found = explain(broker)
    facts = found.as_json()
    assert (facts["question"], facts["answer"], facts["replay"], facts["prompt"]) == (None, None, None, [])
    assert (facts["version"], facts["latency_ms"]) == (3, 12)
    assert "did not consent" in found.notes[0]
    assert "(not stored" in as_text(found)
    json.dumps(facts)


def test_a_notice_without_a_model_is_explained_without_a_replay(broker: Broker) -> None:
    """The reason for the notice is explained; version 0 cannot be replayed."""
    log(broker, TURN)
    found = explain(broker)
    assert found.replay is None
    assert [(change.rule, change.after) for change in found.changes] == [("fallback", TURN.answer)]
    assert "the slot had no model" in as_text(found)
    assert "nothing can be replayed" in found.notes[0]


def test_without_the_version_the_stored_facts_are_shown(broker: Broker) -> None:
    """The token ids are shown without their spelling."""
    log(broker, replace(TURN, model_version=4, fallback=None, answer_token_ids=(300, 301)))
    found = explain(broker)
    assert found.replay is None
    assert found.answer_tokens == (Token(token_id=300), Token(token_id=301))
    assert "version 4 can no longer run" in found.notes[0]
    assert "300  301" in as_text(found)


@pytest.mark.parametrize(
    ("spelled", "text", "answer", "max_chars", "rules"),
    [
        ("안녕!", "안녕!", "안녕!", 9, []),
        ("<pad>안녕!", "안녕!", "안녕!", 9, ["control_token_ids"]),
        ("안\ufffd녕", "안\ufffd녕", "안녕", 9, ["unreadable_bytes"]),
        ("안녕  !", "안녕  !", "안녕 !", 9, ["normalised"]),
        ("<us<pad>r>네", "<us<pad>r>네", "네", 9, ["control_tokens"]),
        ("가나다라", "가나다라", "가나", 2, ["cut"]),
        ("a@b.kr", "a@b.kr", "[메일]", 9, ["masked"]),
        ("네", "네", "아니요", 9, ["unexplained"]),
        ("<s> 가  나다", " 가  나다", "가 나", 3, ["control_token_ids", "normalised", "cut"]),
    ],
)
def test_each_rule_that_changed_the_text_is_named(spelled, text, answer, max_chars, rules) -> None:
    """Rules are listed in the order in which they apply; each one starts from the result of the previous one."""
    changes = answer_changes(spelled, text, answer, max_chars)
    assert [change.rule for change in changes] == rules
    for previous, following in pairwise(changes):
        assert following.before == previous.after


def replayed(*stored: int | None) -> Replay:
    """Return a replay with the tokens 200, 201 and the end token; the turn has ``stored``."""

    def choice(token_id: int, probability: float = 0.5) -> TokenChoice:
        return TokenChoice(token_id=token_id, piece=f"▁{token_id}", probability=probability)

    steps = tuple(
        Step(
            number=index + 1,
            chosen=choice(token_id),
            choices=(choice(token_id), choice(9, 0.125)),
            stored=None
            if stored[index] is None
            else choice(stored[index], 0.5 if stored[index] == token_id else 0.125),
        )
        for index, token_id in enumerate((200, 201, 1))
    )
    return Replay(max_new_tokens=8, stop_reason="end", answer="네", steps=steps)


def test_the_verdict_names_the_first_difference() -> None:
    """The difference has both choices and the margin between their probabilities."""
    assert replayed(200, 201, 1).verdict == "agrees"
    assert replayed(None, None, None).verdict == "nothing_to_compare"
    differing = replayed(200, 9, None)
    difference = differing.difference
    assert differing.verdict == "differs"
    assert difference is not None
    assert (difference.step, difference.stored.token_id, difference.replayed.token_id) == (2, 9, 201)
    assert difference.margin == 0.375


def test_the_text_output_shows_steps_and_verdict() -> None:
    """Korean is shown unchanged; control characters in a name never reach the terminal."""
    found = Explanation(
        turn=replace(TURN, sender="하\x1b[31m늘"), found_in="search index", replay=replayed(200, 9, None)
    )
    shown = as_text(found)
    assert "▁201 50.00%   rather than ▁9 12.50%   <- the turn has ▁9 12.50%" in shown
    assert "differ from step 2 on" in shown
    assert "\x1b" not in shown
    assert "agree on all 3 steps" in as_text(replace(found, replay=replayed(200, 201, 1)))
