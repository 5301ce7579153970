"""Questions that may be about a crisis: their answers, their storage and the access to them."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from kogpt2_chat.cli import safety as commands
from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.cli.status import KafkaStatus, safety, table
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.domain.lake.layout import turn_row
from kogpt2_chat.domain.learning.dataset import Proposal, ineligible_reason
from kogpt2_chat.domain.safety.crisis import KINDS
from kogpt2_chat.domain.safety.vetted_answers import read_safety_texts
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput, NotFound
from kogpt2_chat.jobs.explain import explain
from kogpt2_chat.jobs.export_daily_csv import export_daily_csv
from kogpt2_chat.jobs.index import index
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.jobs.list_safety_turns import list_safety_turns
from kogpt2_chat.jobs.open_safety_turn import open_safety_turn
from kogpt2_chat.lake.trace_turn import Sources
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.kafka import InMemoryTopics
from kogpt2_chat.testing.registry import InMemoryRegistry
from tests.dataset_rules import rules_with
from tests.status_report import status_report
from tests.worker_harness import WorkerHarness, died_during

TEXTS = safety_texts(Settings())
CRISIS_TEXT = "그냥 없어지고 싶다"
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def shipped(**changed: object) -> str:
    """Return the content of the shipped file with some fields replaced."""
    body = json.loads(Settings().safety.texts.read_text(encoding="utf-8"))
    return json.dumps({**body, **changed})


def v1(text: str, **optional: object) -> str:
    return v1_text(question_id="q", bot="ChatbotB", sender="하늘", text=text, **optional)


@pytest.mark.parametrize("question", ["나 좀 도와줘", "help me"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_bot_has_its_own_answer_with_a_help_line(question, kind):
    """This holds for Korean and English. A new bot gets the default text."""
    answers = {TEXTS.answer(question, bot, kind) for bot in (*BOT_IDS, "ChatbotZ")}
    assert len(answers) == len(BOT_IDS) + 1
    for answer in answers:
        assert any(line in answer for line in ("109", "1388", "1366", "119"))
        assert len(answer) <= 300
        assert "{" not in answer


def test_the_help_line_fits_the_kind_of_crisis():
    """No answer suggests to change the subject."""
    assert "109" in TEXTS.answer("죽고 싶어", "ChatbotA", "suicide")
    assert "119" in TEXTS.answer("피가 나", "ChatbotA", "medical")
    assert "1366" in TEXTS.answer("때려요", "ChatbotC", "abuse")
    assert "다른 이야기" not in "".join(TEXTS.text_by_key.values())


@pytest.mark.parametrize(
    "content",
    ["{", "[]", shipped(checked_on="gestern"), shipped(lines={}), shipped(texts={"ko": {}, "en": {}}), shipped(lines={"KR": {}})],
    ids=["not JSON", "not an object", "not a date", "no country", "no texts", "no lines"],
)  # fmt: skip
def test_incomplete_texts_are_refused(content):
    """The message names the file. Workers check it at start, so that no player misses a help line later."""
    with pytest.raises(InvalidInput, match=r"texts\.json"):
        read_safety_texts(content, "KR", "texts.json")


def test_a_text_must_have_help_lines_and_fit_the_limit(tmp_path):
    """A text that is too long is refused and not cut, since a cut could remove the help line."""
    body = json.loads(shipped())
    body["texts"]["ko"]["default"]["suicide"] = "다른 이야기를 해요."
    with pytest.raises(InvalidInput, match="without help lines"):
        read_safety_texts(json.dumps(body), "KR", "x")
    body["texts"]["ko"]["default"]["suicide"] = "가" * 300 + "{lines}"
    with pytest.raises(InvalidInput, match="at most 300"):
        read_safety_texts(json.dumps(body), "KR", "x")
    with pytest.raises(InvalidInput, match="KOGPT2_SAFETY__TEXTS"):
        safety_texts(Settings(safety={"texts": tmp_path / "none.json"}))


def test_texts_with_a_byte_order_mark_are_accepted_and_cp949_is_named(tmp_path):
    """Editors save files in both forms. A byte order mark must not prevent the start of a worker."""
    path = tmp_path / "texts.json"
    settings = Settings(safety={"texts": path})
    path.write_bytes(b"\xef\xbb\xbf" + shipped().encode())
    assert safety_texts(settings) == TEXTS
    path.write_bytes(json.dumps(json.loads(shipped()), ensure_ascii=False).encode("cp949", "replace"))
    with pytest.raises(InvalidInput, match="texts.json is not UTF-8 .*CP949"):
        safety_texts(settings)


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize("state", ["ready", "muted", "none", "late"])
def test_a_vetted_answer_has_priority(tmp_path, bot, state):
    """This holds for every bot, whatever the state of its slot. The engine does not get the question."""
    harness = WorkerHarness(tmp_path, models=state != "none", answers=lambda _: "저도 많은 축하해요!")
    if state == "muted":
        harness.slots.mute(bot, muted=True)
    optional = {"reply_by": "2026-11-24T02:00:00Z"} if state == "late" else {}
    harness.ask(v1_text(question_id="q", bot=bot, sender="n", text=CRISIS_TEXT, **optional))
    harness.drain()
    (answer,) = harness.broker.all(bot)
    assert answer.value.decode() == TEXTS.answer(CRISIS_TEXT, bot, "suicide")
    assert answer.headers["fallback"] == "safety"
    assert "decoding" not in harness.steps
    (turn,) = harness.turns()
    assert (turn.fallback, turn.text, turn.answer) == ("safety", CRISIS_TEXT, answer.value.decode())
    assert (turn.decoding["safety"], turn.answer_token_ids) == ("suicide", ())


def test_a_question_that_crashed_the_worker_gets_a_vetted_answer(tmp_path):
    """The model does not decode it, so it cannot crash the worker again."""
    harness = WorkerHarness(tmp_path)
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-0", times=9)
    harness.ask(legacy_text("n", "ChatbotA", CRISIS_TEXT))
    harness.drain()
    assert harness.texts() == [TEXTS.answer(CRISIS_TEXT, "ChatbotA", "suicide")]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (legacy_text("n", "ChatbotA", "안녕 " * 200 + CRISIS_TEXT + " 안녕" * 200), CRISIS_TEXT),
        (legacy_text("n", "ChatbotA", "가나 " * 9000 + CRISIS_TEXT), CRISIS_TEXT),
        (legacy_text("이름" * 50, "ChatbotA", CRISIS_TEXT), CRISIS_TEXT),
        (v1_text(question_id="q", bot="ChatbotA", sender="n", text=CRISIS_TEXT, note="x" * 20_000), CRISIS_TEXT),
        (legacy_text("n", "ChatbotA", "01012345678 " * 60 + CRISIS_TEXT), "[전화번호]"),
    ],
    ids=["long text", "large record", "long sender", "large extra", "masked before it is cut"],
)
def test_oversized_records_are_searched_for_a_crisis(tmp_path, value, kept):
    """They are answered and do not become dead letters. The turn is masked and cut to the text around the match."""
    harness = WorkerHarness(tmp_path)
    harness.ask(value)
    harness.drain()
    assert harness.dead() == []
    assert harness.texts() == [TEXTS.answer(CRISIS_TEXT, "ChatbotA", "suicide")]
    (turn,) = harness.turns()
    assert kept in turn.text
    assert "01012345678" not in turn.text
    assert (len(turn.text) <= 500, len(turn.sender) <= 64, turn.extra) == (True, True, {})


def test_oversized_records_without_a_crisis_are_dead_letters(tmp_path):
    """The reason is that of the size or length, or that of another error if there is one."""
    harness = WorkerHarness(tmp_path)
    harness.ask(
        legacy_text("n", "ChatbotA", "안녕 " * 300), b"x" * 17_000, legacy_text("n", "ChatbotZ", CRISIS_TEXT * 200)
    )
    harness.drain()
    assert [reason for reason, _ in harness.dead()] == ["too_long", "too_large", "unknown_bot"]


def test_without_consent_to_store_only_the_answer_is_written(tmp_path):
    """There is no turn for the question about a crisis. Its offset is committed, so that it is answered once."""
    harness = WorkerHarness(tmp_path)
    harness.ask(v1(CRISIS_TEXT, consent={"store": False}), v1("안녕?", consent={"store": False}))
    harness.drain()
    assert len(harness.texts("ChatbotB")) == 2
    assert [turn.fallback for turn in harness.turns()] == [None]
    assert harness.broker.committed[0] == 2
    assert harness.metrics.tally()["safety_suicide"] == 1


def test_answers_are_counted_by_kind_and_not_by_player(tmp_path):
    """The metrics and `/health` have only counts, without players and texts."""
    harness = WorkerHarness(tmp_path)
    harness.ask(*(legacy_text("하늘", "ChatbotA", text) for text in (CRISIS_TEXT, "또 손목 그었어", "안녕?")))
    harness.drain()
    page = harness.metrics.page().decode()
    assert 'kogpt2_safety_answers_total{bot="ChatbotA",kind="suicide"} 1.0' in page
    assert 'kogpt2_safety_answers_total{bot="ChatbotB",kind="abuse"} 0.0' in page
    assert "하늘" not in page
    tally = harness.metrics.tally()
    assert (tally["answered"], tally["fallbacks"], tally["safety_suicide"], tally["safety_self_harm"]) == (3, 2, 1, 1)


def turn(number: int, **changed: object) -> Turn:
    original = Turn(
        turn_id=f"bot_question-0-{number}",
        question_id="q",
        bot="ChatbotA",
        player_id="p",
        sender="하늘",
        text="안녕?",
        answer="반가워요",
        received_at=NOW.isoformat(),
        answered_at=NOW.isoformat(),
        latency_ms=5,
        consent_store=True,
        consent_train=True,
        source="v1",
        worker="worker-1",
    )
    return replace(original, **changed)


VETTED = turn(1, text=CRISIS_TEXT, answer="vetted", fallback="safety", decoding={"safety": "suicide"})
EARLIER = turn(2, text="아빠가 또 때렸어", answer="축하해요!")


def lake(*turns: Turn) -> InMemoryTables:
    tables = InMemoryTables()
    rows = [turn_row(one, partition=0, offset=n, timestamp_ms=0, ingested_at=NOW) for n, one in enumerate(turns)]
    tables.append("turns", rows, {})
    return tables


def test_safety_turns_are_only_in_the_lake(tmp_path):
    """They are neither in the index nor in the daily files. The index job removes those that were indexed before."""
    harness = WorkerHarness(tmp_path)
    harness.ask(v1(CRISIS_TEXT), v1("안녕?"))
    harness.drain()
    tables, documents, files = InMemoryTables(), InMemoryIndex(), InMemoryFiles()
    ingest(topics=InMemoryTopics(harness.broker), tables=tables, settings=Settings())
    assert [row["text"] for row in tables.read("turns")] == [CRISIS_TEXT, "안녕?"]
    documents.put(TURN_INDEX, [("bot_question-0-0", {"bot": "ChatbotB"})])
    result = index(tables=tables, index=documents)
    assert (result.turns, result.kept_out, result.sent, result.removed, result.documents) == (2, 1, 1, 1, 1)
    assert set(documents.document_by_id) == {"bot_question-0-1"}
    (path,) = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW).written
    assert files.read(path).decode().count("안녕?") == 1
    assert CRISIS_TEXT not in files.read(path).decode()


def test_turns_of_earlier_releases_are_hidden_if_the_question_matches():
    """Earlier releases had no vetted answers, so the model answered these questions."""
    files, documents = InMemoryFiles(), InMemoryIndex()
    tables = lake(turn(0), EARLIER)
    index(tables=tables, index=documents)
    assert set(documents.document_by_id) == {"bot_question-0-0"}
    (path,) = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW).written
    assert "때렸어" not in files.read(path).decode()


def test_daily_files_of_an_earlier_release_are_rewritten():
    """They may contain turns that are hidden now, even if the number of rows is unchanged."""
    files = InMemoryFiles()
    files.write(
        "/Chatbot/dailydata/exported.json", json.dumps({"year": "2026", "rows": {"2026-11-24/ChatbotA": 1}}).encode()
    )
    files.write("/Chatbot/dailydata/1124/ChatbotA.csv", f"Q,A\n{CRISIS_TEXT},축하해요\n".encode())
    export_daily_csv(tables=lake(turn(0)), files=files, settings=Settings(), now=NOW)
    assert CRISIS_TEXT not in files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode()


@pytest.mark.parametrize("source", ["praised", "correction"])
def test_a_vetted_turn_is_never_used_for_training(source):
    """Neither praise nor a correction changes this, even with consent."""
    candidate = Proposal(
        source=source, marked_at=NOW - timedelta(days=9), consent_train=True, fallback="safety", likes=5
    )
    assert ineligible_reason(candidate, rules_with(auto_review=True), NOW) == "safety"


@pytest.mark.parametrize("fallback", ["nearest", "safety"])
def test_turns_with_the_newer_fallbacks_can_be_stored(fallback):
    """They are not quarantined."""
    read = Turn.from_json(turn(0, fallback=fallback).to_json())
    assert read.fallback == fallback
    assert turn_row(read, partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)["fallback"] == fallback


def test_the_list_for_reviewers_has_counts_and_ids_but_no_texts():
    """It includes turns with a vetted answer and turns of earlier releases."""
    found = list_safety_turns(tables=lake(turn(0), VETTED, EARLIER))
    assert found.counts == {"ChatbotA": {"suicide": 1, "abuse": 1}}
    assert {one.turn_id for one in found.turns} == {VETTED.turn_id, EARLIER.turn_id}
    for shown in (json.dumps(fields_of(found), ensure_ascii=False), commands.list_text(found)):
        assert CRISIS_TEXT not in shown
        assert "하늘" not in shown


def test_access_is_recorded_before_a_turn_is_opened():
    """The record has the reviewer, the time, the turn and the reason. The list has the number of accesses."""
    tables = lake(turn(0), VETTED)
    found = open_safety_turn(turn_id=VETTED.turn_id, reviewer="김하늘", reason="주간 점검", tables=tables, now=NOW)
    assert (found.text, found.kind) == (CRISIS_TEXT, "suicide")
    (record,) = tables.read("audit")
    assert (record["reviewer"], record["reason"], record["turn_id"], record["at"]) == (
        "김하늘", "주간 점검", VETTED.turn_id, NOW
    )  # fmt: skip
    assert record["audit_id"] == found.audit_id
    assert list_safety_turns(tables=tables).turns[0].opened == 1
    assert CRISIS_TEXT in commands.turn_text(found)


class ReadingTables(InMemoryTables):
    """Tables that record which columns were read."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[str] = []

    def read(self, table, columns=None, table_version=None):
        self.columns += columns or ("every column",)
        return super().read(table, columns, table_version)


def test_a_turn_is_not_opened_if_the_access_cannot_be_recorded():
    """No text is read if the lake cannot be written."""
    tables = ReadingTables()
    tables.append("turns", [turn_row(VETTED, partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)], {})

    def fail() -> None:
        raise NotFound("the table is gone")

    tables.before_commit = fail
    with pytest.raises(NotFound, match="the table is gone"):
        open_safety_turn(turn_id=VETTED.turn_id, reviewer="a", reason="b", tables=tables)
    assert not {"answer", "player_id", "every column"} & set(tables.columns)


@pytest.mark.parametrize(
    ("turn_id", "reviewer", "reason"),
    [(VETTED.turn_id, " ", "b"), (VETTED.turn_id, "a", ""), ("bot_question-0-0", "a", "b")],
)
def test_opening_needs_a_name_a_reason_and_a_safety_turn(turn_id, reviewer, reason):
    """A refused access is not recorded."""
    tables = lake(turn(0), VETTED)
    with pytest.raises((InvalidInput, NotFound)):
        open_safety_turn(turn_id=turn_id, reviewer=reviewer, reason=reason, tables=tables)
    assert tables.read("audit") == []


def test_explain_refuses_safety_turns_and_names_the_review_command(tmp_path):
    """The text of the turn is in Kafka, but `explain` must not show it."""
    harness = WorkerHarness(tmp_path)
    harness.ask(legacy_text("n", "ChatbotA", CRISIS_TEXT))
    harness.drain()
    assert len(harness.broker.all(TURN_TOPIC)) == 1
    with pytest.raises(InvalidInput, match=r"review-safety show bot_question-0-0") as refused:
        explain(
            turn_id="bot_question-0-0", top=1, topics=InMemoryTopics(harness.broker),
            sources=Sources(index=InMemoryIndex(), registry=InMemoryRegistry(), tables=InMemoryTables(),
                            files=InMemoryFiles(), settings=Settings()),
        )  # fmt: skip
    assert CRISIS_TEXT not in str(refused.value)


def test_status_warns_if_the_texts_were_last_checked_over_a_year_ago(tmp_path):
    """Status also shows the number of vetted answers."""
    path = tmp_path / "texts.json"
    path.write_text(shipped(checked_on="2025-11-23"), encoding="utf-8")
    settings = Settings(safety={"texts": path})
    fresh = safety(settings, {"suicide": 2}, date(2026, 11, 23))
    assert (fresh.warning, fresh.answers, fresh.checked_on) == (None, {"suicide": 2}, "2025-11-23")
    stale = safety(settings, {"suicide": 2}, date(2026, 11, 24))
    assert "366 days ago" in str(stale.warning)
    page = table(status_report(safety=stale))
    assert "suicide 2" in page
    assert "WARNING" in page


def test_status_shows_the_warning_about_the_brokers():
    """Its cause is a setting of the brokers."""
    assert "WARNING" not in table(status_report(kafka=KafkaStatus(warning=None)))
    assert "WARNING: forgets" in table(status_report(kafka=KafkaStatus(warning="forgets")))


def test_status_warns_if_the_texts_cannot_be_read():
    """Workers cannot start without them."""
    found = safety(Settings(safety={"texts": Path("/nowhere.json")}), {}, date(2026, 1, 1))
    assert "cannot be read" in str(found.warning)
