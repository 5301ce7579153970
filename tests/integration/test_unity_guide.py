"""The examples of docs/unity.md, sent as they are to a real broker, and its tables."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import get_args

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.prompt import MAX_SERVED_ANSWER_CHARS
from kogpt2_chat.domain.chat.question_fields import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS
from kogpt2_chat.domain.chat.topics import (
    DEAD_LETTER_TOPIC,
    FEEDBACK_TOPIC,
    OFFSETS_RETENTION_DAYS,
    QUESTION_TOPIC,
    TOPIC_BY_NAME,
    TURN_TOPIC,
)
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Fallback, Turn
from kogpt2_chat.domain.chat.wire import MAX_RECORD_BYTES, answer_headers, dead_letter_headers, read_question
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.ports import Record
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.world_keys import signing_keys
from tests.integration.worker_process import WorkerProcess

PAGE = (CHECKOUT / "docs" / "unity.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"(?ms)^```\w+ ([\w-]+)\n(.*?)\n```$", PAGE))
QUESTIONS = sorted(name for name in EXAMPLES if name.startswith("question-"))
FEEDBACK = sorted(name for name in EXAMPLES if name.startswith("feedback-"))
CONFIGURATIONS = {"consumer", "producer"}
SNIPPETS = {"headers", "assign", "subscribe", "consume"}
DEADLINE_S = 60.0
ORDINAL = 7
EXAMPLE_TURN = "bot_question-3-1042"


def table(first_cell: str, number: int = 0) -> list[list[str]]:
    """Return the rows of a table whose header begins with a cell; ``number`` counts such tables."""
    lines = PAGE.splitlines()
    rules = [place for place, line in enumerate(lines) if line.startswith("|---")]
    starts = [place + 1 for place in rules if lines[place - 1].startswith(f"| {first_cell} |")]
    rows = takewhile(lambda line: line.startswith("|"), lines[starts[number] :])
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def client_settings(example: str, broker: str) -> dict[str, str]:
    """Translate the properties of a C# object initializer to librdkafka's names."""
    found = {}
    for name, value in re.findall(r"(?m)^    ([A-Z]\w+) = (.+),$", EXAMPLES[example]):
        found[_words(name, ".")] = _value(name, value)
    return found | {"bootstrap.servers": broker}


def _words(name: str, between: str) -> str:
    return between.join(re.findall(r"[A-Z][a-z]*", name)).lower()


def _value(name: str, value: str) -> str:
    if value.startswith(f"{name}."):  # a value of the enumeration with the property's name
        return _words(value.removeprefix(f"{name}."), "_")
    return value.lstrip("$").strip('"').replace("{Guid.NewGuid()}", str(uuid.uuid4()))


class GuideClient:
    """A client that does what the page says.

    Args:
        broker: ``host:port``.
        has_group: whether it subscribes, instead of assigning the partitions to itself.
        topics: what it reads.
    """

    def __init__(self, broker: str, *, has_group: bool, topics: tuple[str, ...] = BOT_IDS) -> None:
        self._producer = Producer(client_settings("producer", broker))
        settings = client_settings("consumer", broker)
        self.group = settings["group.id"]
        self._consumer = Consumer(settings)
        self.arrived: list[Message] = []
        self._is_assigned = False
        if has_group:
            self._consumer.subscribe(list(topics), on_assign=self._assign)
        else:
            found = self._consumer.list_topics(timeout=10).topics
            places = [TopicPartition(topic, number) for topic in topics for number in found[topic].partitions]
            self._assign(self._consumer, places)
        deadline_s = time.monotonic() + DEADLINE_S
        while not self._is_assigned:
            assert time.monotonic() < deadline_s, "no partitions were assigned"
            self._poll()

    def send(self, topic: str, key: str | None, value: str) -> Message:
        """Send a record, and return its delivery report."""
        reports: list[Message] = []
        self._producer.produce(topic, key=key, value=value, on_delivery=lambda _, report: reports.append(report))
        assert self._producer.flush(30) == 0
        (report,) = reports
        if report.error() is not None:
            raise KafkaException(report.error())
        return report

    def answers(self, question_id: str) -> list[Message]:
        """Wait for an answer, and return the answers with its id."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not (found := [message for message in self.arrived if headers(message)["question_id"] == question_id]):
            assert time.monotonic() < deadline_s, f"no answer to {question_id}"
            self._poll()
        return found

    def close(self) -> None:
        self._consumer.close()

    def _assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in places:
            _, place.offset = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign(places)
        self._is_assigned = True

    def _poll(self) -> None:
        message = self._consumer.poll(0.2)
        if message is not None and message.error() is None:
            self.arrived.append(message)


def headers(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers() or ()}


@pytest.fixture(scope="module")
def worker(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """A worker of its own, with the keys of the stack: the stack's worker may be occupied."""
    keys = {"KOGPT2_WORLD__KEYS": json.dumps(signing_keys(stack_settings).keys)}
    running = WorkerProcess(stack_settings, ORDINAL, tmp_path_factory.mktemp("guide"), more=keys)
    yield running.wait_ready()
    running.terminate()


@pytest.fixture(scope="module", params=[False, True], ids=["without-a-group", "with-a-group"])
def client(stack_settings: Settings, worker: WorkerProcess, request: pytest.FixtureRequest) -> Iterator[GuideClient]:
    with closing(GuideClient(stack_settings.kafka_bootstrap, has_group=request.param)) as found:
        yield found


def as_read(value: str, report: Message | None = None):
    partition, offset = (0, 0) if report is None else (report.partition(), report.offset())
    return read_question(value.encode(), partition, offset)


def ask(client: GuideClient, value: str) -> tuple[Message, dict[str, str]]:
    """Ask, wait for the only answer, check what holds for all answers, and return it with its headers."""
    before = as_read(value)
    client.arrived.clear()
    report = client.send(QUESTION_TOPIC, before.player_id, value)
    question = as_read(value, report)
    (answer,) = client.answers(question.question_id)
    found = headers(answer)
    assert (answer.topic(), answer.key().decode()) == (question.bot, question.sender)
    place = f"{QUESTION_TOPIC}-{report.partition()}-{report.offset()}"
    assert (found["turn_id"], found["question_id"]) == (place, question.question_id)
    assert (int(found["question_partition"]), int(found["question_offset"])) == (report.partition(), report.offset())
    required = {name for row in table("header") for name in names(row[0])} - {"fallback"}
    assert required <= found.keys() <= required | {"fallback"}
    assert all(int(found[name]) >= 0 for name in ("model_version", "epoch", "latency_ms"))
    text, fallback = answer.value().decode(), found.get("fallback")
    assert int(found["model_version"]) > 0 or fallback in {"degraded", "safety", "muted"}
    assert fallback in {None, *(name for row in table("`fallback`") for name in names(row[0]))}
    assert fallback == "safety" or 0 < len(text) <= MAX_SERVED_ANSWER_CHARS
    return answer, found


def test_every_example_of_the_page_is_tested():
    """A new example needs a test."""
    fences = re.findall(r"(?m)^```\w.*$", PAGE)
    assert len(fences) == len(EXAMPLES)
    assert set(EXAMPLES) == {*QUESTIONS, *FEEDBACK, *CONFIGURATIONS, *SNIPPETS, "dead-letter-unknown-bot"}
    assert {json.loads(EXAMPLES[name])["kind"] for name in FEEDBACK} == {"up", "down", "correction", "report"}


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_question_is_answered_once_with_all_headers(client, name):
    """Sent exactly as on the page, by both kinds of readers."""
    _, found = ask(client, EXAMPLES[name])
    is_crisis = name == "question-crisis"
    assert (found.get("fallback") == "safety") is is_crisis


def test_a_client_without_a_group_joins_none(stack_settings):
    """Although the library wants a group id. A client that subscribes is a member, until it is closed."""
    admin = AdminClient({"bootstrap.servers": stack_settings.kafka_bootstrap})
    for has_group in (False, True):
        with closing(GuideClient(stack_settings.kafka_bootstrap, has_group=has_group)) as client:
            groups = {one.group_id for one in admin.list_consumer_groups(request_timeout=10).result().valid}
            assert (client.group in groups) is has_group


def test_a_safety_answer_names_a_help_line_also_if_the_turn_may_not_be_stored(client):
    """In every bot."""
    body = json.loads(EXAMPLES["question-crisis"])
    for bot in BOT_IDS:
        asked = body | {"bot": bot, "question_id": str(uuid.uuid4()), "consent": {"store": False}}
        answer, found = ask(client, json.dumps(asked))
        assert found["fallback"] == "safety"
        assert re.search(r"\d{3}", answer.value().decode())


def test_a_time_in_the_future_is_accepted_as_csharp_writes_it(client):
    """Seven digits after the second, and the local offset."""
    reply_by = (datetime.now(UTC) + timedelta(seconds=12)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "7+00:00"
    body = json.loads(EXAMPLES["question-v1-full"]) | {"question_id": str(uuid.uuid4()), "reply_by": reply_by}
    ask(client, json.dumps(body))


def test_past_the_time_of_the_reply_the_model_is_not_asked(client):
    """The example on the page has such a time."""
    _, found = ask(client, EXAMPLES["question-v1-full"])
    assert found["fallback"] in {"timeout", "nearest", "degraded"}


def test_a_question_asked_twice_is_answered_twice(client):
    """With the same id."""
    value = json.dumps(json.loads(EXAMPLES["question-v1"]) | {"question_id": "twice-" + uuid.uuid4().hex})
    first, second = (ask(client, value)[1] for _ in range(2))
    assert first["question_id"] == second["question_id"]
    assert first["turn_id"] != second["turn_id"]


def test_turns_of_the_examples_are_not_authenticated(client, stack_settings):
    """The turn has the player, and what the player allows."""
    topics = bootstrap.topics(stack_settings)
    starts = topics.end_positions(TURN_TOPIC)
    asked = {name: ask(client, EXAMPLES[name])[1]["turn_id"] for name in QUESTIONS}
    turns = {turn.turn_id: turn for record in records(topics, TURN_TOPIC, starts) if (turn := Turn.from_json(record))}
    for name, turn_id in asked.items():
        turn, question = turns[turn_id], as_read(EXAMPLES[name])
        assert (turn.authenticated, turn.consent_store, turn.minor) == (False, True, False)
        assert (turn.player_id, turn.text, turn.sender) == (question.player_id, question.text, question.sender)
    assert turns[asked["question-v1-full"]].player_id == "unity-2f9c1d7a"
    assert turns[asked["question-v1-empty-fields"]].player_id == "legacy:하늘"


def test_what_the_page_says_about_consent_is_so():
    """Each row of its table."""
    rows = {row[0]: row[1:] for row in table("what the question says")}
    for fields, (stored, learned) in rows.items():
        for example in re.findall(r'`("[^`]+)`', fields):
            body = json.loads(EXAMPLES["question-v1"]) | json.loads(f"{{{example}}}")
            question = as_read(json.dumps(body))
            assert question.consent_train is (learned == "yes"), fields
            assert question.consent_store is not stored.startswith("without"), fields
    assert "legacy frame" in rows
    bare = as_read(EXAMPLES["question-v1"])
    assert (bare.consent_store, bare.consent_train) == (True, False)


def test_legacy_frames_are_split_as_the_page_says():
    """Its table shows name, bot and text of each frame."""
    rows = table("frame")
    assert {names(row[0])[0] for row in rows} == {name for name in QUESTIONS if name.startswith("question-legacy")}
    for frame, *parts in rows:
        question = as_read(EXAMPLES[names(frame)[0]])
        assert [question.sender, question.bot, question.text] == [part[1:-1] for part in parts]


def test_an_unknown_bot_makes_a_dead_letter_with_the_headers_of_the_page(worker, stack_settings):
    """The client that wants to know reads the topic of the dead letters like a bot's."""
    rows = {name: row[1] for row in table("header of a dead letter") for name in names(row[0])}
    assert rows.keys() == dead_letter_headers(InvalidMessage("schema", "x", "q"), 0, 0).keys()
    assert set(names(rows["reason"])) == set(REASONS)
    value = EXAMPLES["dead-letter-unknown-bot"]
    with closing(GuideClient(stack_settings.kafka_bootstrap, has_group=False, topics=(DEAD_LETTER_TOPIC,))) as client:
        client.send(QUESTION_TOPIC, "하늘", value)
        (letter,) = client.answers(json.loads(value)["question_id"])
    assert letter.value().decode() == value
    assert headers(letter).keys() == rows.keys()
    assert headers(letter)["reason"] == "unknown_bot"


@pytest.mark.parametrize("name", FEEDBACK)
def test_feedback_is_stored_and_is_not_authenticated(stack_settings, name):
    """The example becomes a row of the lake's table."""
    topics, value = bootstrap.topics(stack_settings), EXAMPLES[name]
    starts = topics.end_positions(FEEDBACK_TOPIC)
    with closing(GuideClient(stack_settings.kafka_bootstrap, has_group=False)) as client:
        client.send(FEEDBACK_TOPIC, EXAMPLE_TURN, value)
    body = json.loads(value)
    reader = RecordReader(ingested_at=datetime.now(UTC), keys=signing_keys(stack_settings))
    rows = [reader.read(record) for record in read(topics, FEEDBACK_TOPIC, starts)]
    (row,) = [row for row in rows if row is not None and row["feedback_id"] == body["feedback_id"]]
    assert row["sent_at"] == datetime.fromisoformat(body["sent_at"])
    assert {field: row[field] for field in ("turn_id", "player_id", "kind")} == {
        "turn_id": EXAMPLE_TURN,
        "player_id": json.loads(EXAMPLES["question-v1-full"])["sender_id"],
        "kind": name.removeprefix("feedback-"),
    }
    assert row["text"] == body.get("text")
    assert not row["authenticated"]
    stated = {"consent_train": False, "minor": True} if body.get("minor") else {}
    stated |= {"consent_train": True} if "consent_train" in body else {}
    assert json.loads(str(row["extra"] or "{}")) == stated


def test_the_topic_question_does_not_exist(stack_settings):
    """The original client copies whispers to it."""
    with closing(GuideClient(stack_settings.kafka_bootstrap, has_group=False)) as client:
        assert "question" not in client._consumer.list_topics(timeout=10).topics
        with pytest.raises(KafkaException):
            client.send("question", None, "귓속말")


def test_settings_have_the_names_and_values_of_the_library():
    """Those that the page explains are there; the library would refuse unknown ones."""
    consumer, again = (client_settings("consumer", "broker:9092") for _ in range(2))
    assert consumer.pop("group.id") != again.pop("group.id"), "each client has a group of its own"
    assert consumer == {
        "bootstrap.servers": "broker:9092",
        "auto.offset.reset": "latest",
        "isolation.level": "read_committed",
        "enable.auto.commit": "false",
    }
    assert client_settings("producer", "broker:9092")["enable.idempotence"] == "true"
    assert all(f"`{name}" in PAGE for name in ("AutoOffsetReset", "IsolationLevel", "EnableAutoCommit"))
    assert OFFSETS_RETENTION_DAYS == 3650


def test_the_tables_of_the_page_agree_with_the_code():
    """Headers, fallbacks, fields and limits."""
    question = as_read(EXAMPLES["question-v1"])
    written = answer_headers(question, model_version=1, epoch=1, latency_ms=1, fallback="timeout")
    assert {name for row in table("header") for name in names(row[0])} == written.keys()
    rows = {(names(row[0]) or [None])[0]: row for row in table("`fallback`")}
    assert rows.keys() == {None, *get_args(Fallback)}
    for name, (_, text, shown, rated) in rows.items():
        assert text.startswith("a notice") is (name in NOTICE_BY_FALLBACK) is (shown == "as a notice")
        assert (rated == "yes") is (name not in NOTICE_BY_FALLBACK and name != "safety")
    limits = {row[0]: row[1] for row in table("what") if len(row) == 2}
    assert limits == {
        "`text`": f"1 to {MAX_TEXT_CHARS} characters",
        "`sender`": f"1 to {MAX_NAME_CHARS} characters",
        "`question_id`": f"1 to {MAX_NAME_CHARS} characters",
        "`sender_id`, `session_id`": f"at most {MAX_ID_CHARS} characters",
        "record": f"at most {MAX_RECORD_BYTES} bytes",
        "answer": f"at most {MAX_SERVED_ANSWER_CHARS} characters; a `safety` answer is never cut",
        "kept in `bot_question`": kept(QUESTION_TOPIC),
        "kept in a bot's topic": kept(BOT_IDS[0]),
        "kept in `feedback`": kept(FEEDBACK_TOPIC),
    }


def test_the_fields_of_the_page_are_those_of_its_examples():
    """In its tables for questions and for feedback."""
    questions, feedback = ({name for row in table("field", number) for name in names(row[0])} for number in range(2))
    assert questions == json.loads(EXAMPLES["question-v1-full"]).keys()
    assert feedback == {name for example in FEEDBACK for name in json.loads(EXAMPLES[example])}


def test_snippets_use_headers_and_settings_that_exist():
    """C# is not compiled here, but its names are compared."""
    written = {name for row in table("header") for name in names(row[0])}
    used = re.findall(r'Header\(headers, "(\w+)"\)', EXAMPLES["consume"])
    assert set(used) == {"question_id", "turn_id", "fallback"}
    assert set(used) <= written
    for name in ("assign", "subscribe"):
        assert re.findall(r'"(Chatbot\w)"', EXAMPLES[name]) == list(BOT_IDS)


def kept(topic: str) -> str:
    days = int(TOPIC_BY_NAME[topic].configs["retention.ms"]) // (24 * 60 * 60 * 1000)
    return f"{days} days"


def read(topics, topic: str, starts: dict[int, int]) -> list[Record]:
    """Return the records since some positions."""
    ends = topics.end_positions(topic)
    return [record for number, end in ends.items() for record in topics.read(topic, number, starts[number], end)]


def records(topics, topic: str, starts: dict[int, int]) -> list[bytes]:
    return [record.value or b"" for record in read(topics, topic, starts)]
