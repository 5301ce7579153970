"""The Logstash pipeline. Its Ruby scripts run here if there is a Ruby; Logstash itself is not here."""

import json
import os
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kogpt2_chat.dashboards.logstash import LEFT_OUT, NOT_RUN, logstash_files, pipeline
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.topics import TOPICS
from kogpt2_chat.domain.search.fields import DEAD_LETTER_INDEX, FEEDBACK_INDEX, FIELDS_BY_INDEX, TURN_INDEX
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.testing.history import DeadLetterEvent, FeedbackEvent, History, TurnEvent, document_of

RUBY = shlex.split(os.environ.get("KOGPT2_TEST_RUBY", "")) or [found for found in [shutil.which("ruby")] if found]
needs_ruby = pytest.mark.skipif(
    not RUBY, reason="needs Ruby: `ruby` in PATH, or KOGPT2_TEST_RUBY='java -jar JRUBY.jar'"
)
END = datetime(2026, 11, 27, 15, tzinfo=UTC)
LOGGED_MS = 1_795_000_000_250
EVENTS = list(History(turns=300, start=END - timedelta(days=1), end=END).events())


def run_script(name: str, records: list[dict[str, Any]], key: str = "secret") -> list[dict[str, Any] | None]:
    """Return what Logstash would send for each record: its fields and metadata; None if it is dropped."""
    command = [
        *RUBY,
        CHECKOUT / "tests" / "logstash_events.rb",
        CHECKOUT / "docker" / "logstash" / "scripts" / name,
        key,
    ]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(records)
    return [one[0] if one else None for one in found]


def record(
    message: str, headers: dict[str, str] | None = None, *, partition: int = 0, offset: int = 0
) -> dict[str, Any]:
    kafka = {"partition": partition, "offset": offset, "timestamp": str(LOGGED_MS), "headers": headers or {}}
    return {"message": message, "@timestamp": "2026-11-27T00:00:00Z", "@version": "1", "@metadata": {"kafka": kafka}}


def turn_message(row: dict[str, Any]) -> str:
    """Return the record of `conversation_log` that a row of the lake is made of."""
    times = {name: row[name].isoformat() for name in ("received_at", "answered_at")}
    names = ("pii_hits", "date", "kafka_partition", "kafka_offset", "ingested_at", "logged_at")
    body = {name: value for name, value in row.items() if name not in names}
    body |= {"decoding": json.loads(row["decoding"]), "extra": {}, **times}
    return json.dumps(body, ensure_ascii=False)


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Compare documents; times are equal if they mean the same moment."""
    return found.keys() == expected.keys() and all(
        datetime.fromisoformat(found[name]) == datetime.fromisoformat(value)
        if name.endswith("_at")
        else found[name] == value
        for name, value in expected.items()
    )


@needs_ruby
def test_turns_are_the_indexers_but_for_texts_and_digests() -> None:
    """All fields that are not left out have the indexer's values, and no text of a turn is in any of them."""
    turns = [event for event in EVENTS if isinstance(event, TurnEvent)]
    logged_at = datetime.fromtimestamp(LOGGED_MS / 1000, UTC)
    rows = [
        {**event.row, "answered_at": logged_at - timedelta(milliseconds=number)} for number, event in enumerate(turns)
    ]
    places = [{"partition": row["kafka_partition"], "offset": row["kafka_offset"]} for row in rows]
    found = run_script("turn.rb", [record(turn_message(row), **place) for row, place in zip(rows, places, strict=True)])
    digests: dict[str, str] = {}
    for row, one in zip(rows, found, strict=True):
        assert one is not None
        assert one.pop("@metadata")["id"] == row["turn_id"]
        _, _, expected = document_of(TurnEvent(row={**row, "logged_at": logged_at}))
        for name in LEFT_OUT[TURN_INDEX]:
            expected.pop(name, None)
        for name in ("player_id", "conversation"):
            assert digests.setdefault(str(expected.pop(name)), one[name]) == one.pop(name)
        if expected.get("faults") != ["cut"]:  # the others are found in the text
            assert expected.pop("faults", None) != one.get("faults", [])
        assert same(one, expected), (one, expected)
        assert row["text"] not in json.dumps(one, ensure_ascii=False)
    assert len(set(digests.values())) == len(digests) > 50


@needs_ruby
def test_what_may_not_be_indexed_goes_no_further() -> None:
    """Nor does what is not a turn, or makes the script fail: Logstash would pass it on as it is, with its text."""
    turn = next(event for event in EVENTS if isinstance(event, TurnEvent))
    good = json.loads(turn_message(turn.row))
    changes: list[dict[str, Any]] = [
        {"consent_store": False}, {"consent_store": "true"}, {"fallback": "safety"}, {"bot": "비밀"}, {"v": 2},
        {"turn_id": "내 번호는 010"}, {"turn_id": "bot_question-1-2\n비밀"},
    ]  # fmt: skip
    refused = [json.dumps(good | change) for change in changes] + [
        "[1]",
        "비밀",
        "",
        json.dumps({"v": 1, "text": "비밀"}),
    ]
    broken = {"message": json.dumps(good), "@metadata": {"kafka": {"timestamp": {}}}}
    found = run_script("turn.rb", [record(json.dumps(good)), broken, *map(record, refused)])
    assert [one is not None for one in found] == [True] + [False] * (len(refused) + 1)


@needs_ruby
def test_feedback_has_no_text_and_no_name() -> None:
    """A player's second feedback on a turn has the id of the first."""
    rows = [event.row for event in EVENTS if isinstance(event, FeedbackEvent)][:40]
    bodies = [
        {"v": 1, **row, "received_at": None, "text": "비밀", "player_id": f"legacy:비밀{row['player_id']}"}
        for row in rows
    ]
    found = run_script(
        "feedback.rb", [record(json.dumps(body)) for body in (*bodies, bodies[0], {**bodies[0], "kind": "비밀"})]
    )
    assert found.pop() is None
    assert found[0] == found[-1]
    for row, one in zip(rows, found[:-1], strict=True):
        assert one is not None
        assert (one["turn_id"], one["kind"]) == (row["turn_id"], row["kind"])
        assert datetime.fromisoformat(one["received_at"]).timestamp() == pytest.approx(LOGGED_MS / 1000)
        assert "비밀" not in json.dumps(one, ensure_ascii=False)
        assert one.keys() - {"@metadata"} <= FIELDS_BY_INDEX[FEEDBACK_INDEX].keys() - set(LEFT_OUT[FEEDBACK_INDEX])


@needs_ruby
def test_of_each_kind_the_last_feedback_counts() -> None:
    """As in the indexer: a correction does not replace a thumb, and the last thumb replaces the earlier one."""
    body = {"v": 1, "turn_id": "bot_question-3-9", "player_id": "p"}
    kinds = ("up", "down", "correction", "report")
    found = run_script("feedback.rb", [record(json.dumps({**body, "kind": kind})) for kind in kinds])
    up, down, correction, report = [one["@metadata"]["id"] for one in found if one is not None]
    assert up == down
    assert len({up, correction, report}) == 3


@needs_ruby
def test_dead_letters_are_the_indexers() -> None:
    """Nothing of the value but its size and the bot that it names."""
    letters = [event for event in EVENTS if isinstance(event, DeadLetterEvent)]
    records = [record(event.value.decode(), event.headers, partition=3, offset=9) for event in letters]
    for event, one in zip(letters, run_script("dead_letter.rb", records), strict=True):
        assert one is not None
        assert one.pop("@metadata")["id"] == "3-9"
        _, _, expected = document_of(event)
        assert datetime.fromisoformat(one.pop("at")).timestamp() == pytest.approx(LOGGED_MS / 1000)
        del expected["at"]
        assert one == (expected if expected["reason"] in REASONS else {**expected, "reason": "other"})


@needs_ruby
def test_without_a_key_the_pipeline_does_not_start() -> None:
    with pytest.raises(AssertionError, match="LOGSTASH_KEY is empty"):
        run_script("turn.rb", [], key="")


def test_every_file_says_that_it_was_not_run() -> None:
    """On its first line."""
    for name, text in logstash_files().items():
        assert NOT_RUN in text.splitlines()[0], name


def test_the_pipeline_reads_topics_that_exist_and_writes_by_id() -> None:
    """Every index has its topic, its script, its template and its output."""
    text = pipeline()
    assert text.count("{") == text.count("}")
    assert set(re.findall(r'topics => \["(.*?)"\]', text)) <= {topic.name for topic in TOPICS}
    assert re.findall(r'\n      index => "(.*?)"\n      document_id', text) == [
        TURN_INDEX,
        FEEDBACK_INDEX,
        DEAD_LETTER_INDEX,
    ]
    assert text.count('document_id => "%{[@metadata][id]}"') == 3
    names = re.findall(r"/usr/share/logstash/kogpt2/(\S+)\"", text)
    assert set(names) == logstash_files().keys() - {"pipeline/kogpt2.conf"}


def test_the_templates_are_the_platforms_mappings() -> None:
    """A document of the indexer fits them, and an unknown field is refused."""
    for index in (TURN_INDEX, FEEDBACK_INDEX, DEAD_LETTER_INDEX):
        body = json.loads(logstash_files()[f"templates/{index}.json"])
        assert body["index_patterns"] == [index]
        assert body["mappings"]["dynamic"] == "strict"
        assert body["mappings"]["properties"] == FIELDS_BY_INDEX[index]


def test_what_the_pipeline_leaves_out_are_fields() -> None:
    """Texts are among them."""
    assert {"text", "answer", "sender", "answer_token_ids", "question_key", "answer_key"} <= set(LEFT_OUT[TURN_INDEX])
    for index, names in LEFT_OUT.items():
        assert set(names) <= FIELDS_BY_INDEX[index].keys()
