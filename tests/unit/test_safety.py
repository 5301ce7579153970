"""The way of a question that may speak of a crisis: who answers it, who keeps it, and who may look."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from kogpt2_chat.cli import safety as commands
from kogpt2_chat.cli.status import safety, table
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.domain.lake.layout import turn_row
from kogpt2_chat.domain.learning.dataset import Candidate, Rules, ineligible_reason
from kogpt2_chat.domain.safety.crisis import KINDS
from kogpt2_chat.domain.safety.vetted_answers import read_safety_texts
from kogpt2_chat.errors import InvalidInput, NotFound
from kogpt2_chat.jobs.explain import explain
from kogpt2_chat.jobs.export_daily_csv import export_daily_csv
from kogpt2_chat.jobs.index import index
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.jobs.review_safety import list_safety_turns, open_safety_turn
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.kafka import MemoryTopics
from kogpt2_chat.testing.registry import MemoryRegistry
from tests.worker_harness import WorkerHarness

TEXTS = safety_texts(Settings())
SAID = "그냥 없어지고 싶다"
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def shipped(**changed: object) -> str:
    body = json.loads(Settings().safety.texts.read_text(encoding="utf-8"))
    return json.dumps({**body, **changed})


def v1(text: str, **optional: object) -> str:
    return v1_text(question_id="q", bot="ChatbotB", sender="하늘", text=text, **optional)


def test_every_bot_answers_each_kind_in_its_own_words_with_a_help_line():
    """Korean and English, gentle and whole; a bot that is new has a voice as well."""
    for question, lines in (
        ("나 좀 도와줘", ("109", "1388", "1366", "119")),
        ("help me", ("109", "1388", "1366", "119")),
    ):
        answers = {kind: {TEXTS.answer(question, bot, kind) for bot in (*BOT_IDS, "ChatbotZ")} for kind in KINDS}
        assert all(len(voices) == 4 for voices in answers.values()) or question == "help me"
        assert all(any(line in answer for line in lines) for voices in answers.values() for answer in voices)
        assert all(len(answer) <= 300 and "{" not in answer for voices in answers.values() for answer in voices)
    assert "109" in TEXTS.answer("죽고 싶어", "ChatbotA", "suicide")
    assert "119" in TEXTS.answer("피가 나", "ChatbotA", "medical")
    assert "1366" in TEXTS.answer("때려요", "ChatbotC", "abuse")
    assert "다른 이야기" not in "".join(TEXTS.text_by_place.values())


@pytest.mark.parametrize(
    "content",
    ["{", "[]", shipped(checked_on="gestern"), shipped(lines={}), shipped(texts={"ko": {}, "en": {}}), shipped(lines={"KR": {}})],
    ids=["no JSON", "no object", "no date", "no country", "no texts", "no lines"],
)  # fmt: skip
def test_texts_that_are_not_whole_are_refused_at_the_start(content):
    """With the file's name; nobody notices a missing line when it is needed."""
    with pytest.raises(InvalidInput, match=r"texts\.json"):
        read_safety_texts(content, "KR", "texts.json")


def test_a_text_must_name_its_lines_and_fit(tmp_path):
    """A cut could take the help line away, so nothing is ever cut."""
    body = json.loads(shipped())
    body["texts"]["ko"]["default"]["suicide"] = "다른 이야기를 해요."
    with pytest.raises(InvalidInput, match="without help lines"):
        read_safety_texts(json.dumps(body), "KR", "x")
    body["texts"]["ko"]["default"]["suicide"] = "가" * 300 + "{lines}"
    with pytest.raises(InvalidInput, match="at most 300"):
        read_safety_texts(json.dumps(body), "KR", "x")
    with pytest.raises(InvalidInput, match="KOGPT2_SAFETY__TEXTS"):
        safety_texts(Settings(safety={"texts": tmp_path / "none.json"}))


def test_texts_that_an_editor_saved_are_taken_or_named(tmp_path):
    """A byte order mark is no reason for a worker not to start; CP949 is called that."""
    path = tmp_path / "texts.json"
    settings = Settings(safety={"texts": path})
    path.write_bytes(b"\xef\xbb\xbf" + shipped().encode())
    assert safety_texts(settings) == TEXTS
    path.write_bytes(json.dumps(json.loads(shipped()), ensure_ascii=False).encode("cp949", "replace"))
    with pytest.raises(InvalidInput, match="texts.json is not UTF-8 .*CP949"):
        safety_texts(settings)


@pytest.mark.parametrize("bot", BOT_IDS)
@pytest.mark.parametrize("state", ["ready", "muted", "none", "late"])
def test_a_vetted_answer_goes_before_everything(tmp_path, bot, state):
    """In every bot, whatever the model's state; the engine never sees the question."""
    bench = WorkerHarness(tmp_path, models=state != "none", answers=lambda _: "저도 많은 축하해요!")
    if state == "muted":
        bench.slots.mute(bot, muted=True)
    optional = {"reply_by": "2026-11-24T02:00:00Z"} if state == "late" else {}
    bench.ask(v1_text(question_id="q", bot=bot, sender="n", text=SAID, **optional))
    bench.drain()
    (answer,) = bench.broker.all(bot)
    assert answer.value.decode() == TEXTS.answer(SAID, bot, "suicide")
    assert answer.headers["fallback"] == "safety"
    assert "decoding" not in bench.steps
    (turn,) = bench.turns()
    assert (turn.fallback, turn.text, turn.answer) == ("safety", SAID, answer.value.decode())
    assert (turn.decoding["safety"], turn.answer_token_ids) == ("suicide", ())


def test_a_question_that_killed_the_worker_is_answered_all_the_same(tmp_path):
    """The model is not asked, so that it cannot kill again."""
    bench = WorkerHarness(tmp_path)
    bench.crash_path.write_text(json.dumps({"counts": {"bot_question-0-0": 9}}), encoding="utf-8")
    bench.ask(legacy_text("n", "ChatbotA", SAID))
    bench.drain()
    assert bench.texts() == [TEXTS.answer(SAID, "ChatbotA", "suicide")]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (legacy_text("n", "ChatbotA", "안녕 " * 200 + SAID + " 안녕" * 200), SAID),
        (legacy_text("n", "ChatbotA", "가나 " * 9000 + SAID), SAID),
        (legacy_text("이름" * 50, "ChatbotA", SAID), SAID),
        (v1_text(question_id="q", bot="ChatbotA", sender="n", text=SAID, note="x" * 20_000), SAID),
        (legacy_text("n", "ChatbotA", "01012345678 " * 60 + SAID), "[전화번호]"),
    ],
    ids=["long text", "large record", "long sender", "large extra", "masked before it is cut"],
)
def test_what_is_refused_only_for_its_length_is_searched_whole(tmp_path, value, kept):
    """It is answered instead of being a dead letter; its turn is masked and cut around the words that were found."""
    bench = WorkerHarness(tmp_path)
    bench.ask(value)
    bench.drain()
    assert bench.dead() == []
    assert bench.texts() == [TEXTS.answer(SAID, "ChatbotA", "suicide")]
    (turn,) = bench.turns()
    assert kept in turn.text
    assert "01012345678" not in turn.text
    assert (len(turn.text) <= 500, len(turn.sender) <= 64, turn.extra) == (True, True, {})


def test_what_is_too_long_and_harmless_stays_a_dead_letter(tmp_path):
    """With the reason it always had; so does what is wrong in another way as well."""
    bench = WorkerHarness(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", "안녕 " * 300), b"x" * 17_000, legacy_text("n", "ChatbotZ", SAID * 200))
    bench.drain()
    assert [reason for reason, _ in bench.dead()] == ["too_long", "too_large", "unknown_bot"]


def test_without_consent_to_store_nothing_but_the_answer_is_written(tmp_path):
    """Not even that somebody asked; the position moves, so that it is answered once."""
    bench = WorkerHarness(tmp_path)
    bench.ask(v1(SAID, consent={"store": False}), v1("안녕?", consent={"store": False}))
    bench.drain()
    assert len(bench.texts("ChatbotB")) == 2
    assert [turn.fallback for turn in bench.turns()] == [None]
    assert bench.broker.committed[0] == 2
    assert bench.metrics.tally()["safety_suicide"] == 1


def test_answers_are_counted_by_kind_and_never_by_player(tmp_path):
    """A scrape and `/health` say how many; neither they nor the log say who or what."""
    bench = WorkerHarness(tmp_path)
    bench.ask(*(legacy_text("하늘", "ChatbotA", text) for text in (SAID, "또 손목 그었어", "안녕?")))
    bench.drain()
    page = bench.metrics.page().decode()
    assert 'kogpt2_safety_answers_total{bot="ChatbotA",kind="suicide"} 1.0' in page
    assert 'kogpt2_safety_answers_total{bot="ChatbotB",kind="abuse"} 0.0' in page
    assert "하늘" not in page
    tally = bench.metrics.tally()
    assert (tally["answered"], tally["fallbacks"], tally["safety_suicide"], tally["safety_self_harm"]) == (3, 2, 1, 1)


def turn(number: int, **changed: object) -> Turn:
    made = Turn(
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
    return replace(made, **changed)


VETTED = turn(1, text=SAID, answer="vetted", fallback="safety", decoding={"safety": "suicide"})
EARLIER = turn(2, text="아빠가 또 때렸어", answer="축하해요!")


def lake(*turns: Turn) -> InMemoryTables:
    tables = InMemoryTables()
    rows = [turn_row(one, partition=0, offset=n, timestamp_ms=0, ingested_at=NOW) for n, one in enumerate(turns)]
    tables.append("turns", rows, {})
    return tables


def test_such_turns_are_in_the_lake_and_in_no_view_of_it(tmp_path):
    """Neither index nor daily file; those from before there were vetted answers are taken out again."""
    bench = WorkerHarness(tmp_path)
    bench.ask(v1(SAID), v1("안녕?"))
    bench.drain()
    tables, documents, files = InMemoryTables(), InMemoryIndex(), InMemoryFiles()
    ingest(topics=MemoryTopics(bench.broker), tables=tables, settings=Settings())
    assert [row["text"] for row in tables.read("turns")] == [SAID, "안녕?"]
    documents.put([{"turn_id": "bot_question-0-0", "bot": "ChatbotB"}])
    assert index(tables=tables, index=documents) == {"turns": 2, "kept_out": 1, "sent": 1, "documents": 1}
    assert set(documents.document_by_id) == {"bot_question-0-1"}
    (path,) = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW)["written"]
    assert files.read(path).decode().count("안녕?") == 1
    assert SAID not in files.read(path).decode()


def test_turns_of_earlier_versions_are_kept_from_views_by_their_words():
    """The model had answered them."""
    files, documents = InMemoryFiles(), InMemoryIndex()
    tables = lake(turn(0), EARLIER)
    index(tables=tables, index=documents)
    assert set(documents.document_by_id) == {"bot_question-0-0"}
    (path,) = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW)["written"]
    assert "때렸어" not in files.read(path).decode()


def test_files_that_an_earlier_version_wrote_are_written_anew():
    """They may hold what is left out now, even where the count of rows is the same."""
    files = InMemoryFiles()
    files.write(
        "/Chatbot/dailydata/exported.json", json.dumps({"year": "2026", "rows": {"2026-11-24/ChatbotA": 1}}).encode()
    )
    files.write("/Chatbot/dailydata/1124/ChatbotA.csv", f"Q,A\n{SAID},축하해요\n".encode())
    export_daily_csv(tables=lake(turn(0)), files=files, settings=Settings(), now=NOW)
    assert SAID not in files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode()


@pytest.mark.parametrize("source", ["praised", "correction"])
def test_a_vetted_turn_is_never_learned_from(source):
    """Praised or corrected alike, whatever was agreed to."""
    candidate = Candidate(
        source=source, marked_at=NOW - timedelta(days=9), consent_train=True, fallback="safety", likes=5
    )
    assert ineligible_reason(candidate, Rules(auto_review=True), NOW) == "safety"


@pytest.mark.parametrize("fallback", ["nearest", "safety"])
def test_every_reader_takes_the_new_fallbacks(fallback):
    """Such a turn is read, stored and not quarantined."""
    read = Turn.from_json(turn(0, fallback=fallback).to_json())
    assert read.fallback == fallback
    assert turn_row(read, partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)["fallback"] == fallback


def test_a_reviewer_sees_counts_and_ids_and_no_words():
    """Of both kinds of such turns."""
    found = list_safety_turns(tables=lake(turn(0), VETTED, EARLIER))
    assert found["counts"] == {"ChatbotA": {"suicide": 1, "abuse": 1}}
    assert {one["turn_id"] for one in found["turns"]} == {VETTED.turn_id, EARLIER.turn_id}
    for shown in (json.dumps(found, ensure_ascii=False), commands.list_text(found)):
        assert SAID not in shown
        assert "하늘" not in shown


def test_one_turn_is_opened_after_it_was_written_down_who_does():
    """Who, when, which and why; the list says how often each was opened."""
    tables = lake(turn(0), VETTED)
    found = open_safety_turn(turn_id=VETTED.turn_id, reviewer="김하늘", reason="주간 점검", tables=tables, now=NOW)
    assert (found["text"], found["kind"]) == (SAID, "suicide")
    (record,) = tables.read("audit")
    assert (record["reviewer"], record["reason"], record["turn_id"], record["at"]) == (
        "김하늘", "주간 점검", VETTED.turn_id, NOW
    )  # fmt: skip
    assert record["audit_id"] == found["audit_id"]
    assert list_safety_turns(tables=tables)["turns"][0]["opened"] == 1
    assert SAID in commands.turn_text(found)


class ReadingTables(InMemoryTables):
    """Remembers which columns were read."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[str] = []

    def read(self, table, columns=None, version=None):
        self.columns += columns or ("every column",)
        return super().read(table, columns, version)


def test_without_the_record_nothing_is_opened():
    """A lake that cannot be written to shows no words."""
    tables = ReadingTables()
    tables.append("turns", [turn_row(VETTED, partition=0, offset=0, timestamp_ms=0, ingested_at=NOW)], {})

    def fail() -> None:
        raise NotFound("gone")

    tables.before_commit = fail
    with pytest.raises(NotFound, match="gone"):
        open_safety_turn(turn_id=VETTED.turn_id, reviewer="a", reason="b", tables=tables)
    assert not {"answer", "player_id", "every column"} & set(tables.columns)


@pytest.mark.parametrize(
    ("turn_id", "reviewer", "reason"),
    [(VETTED.turn_id, " ", "b"), (VETTED.turn_id, "a", ""), ("bot_question-0-0", "a", "b")],
)
def test_nobody_opens_without_name_and_reason_nor_another_turn(turn_id, reviewer, reason):
    """And nothing is written down of it."""
    tables = lake(turn(0), VETTED)
    with pytest.raises((InvalidInput, NotFound)):
        open_safety_turn(turn_id=turn_id, reviewer=reviewer, reason=reason, tables=tables)
    assert tables.read("audit") == []


def test_explain_names_the_reviewers_command_and_shows_nothing(tmp_path):
    """Kafka and the index would both give the words away."""
    bench = WorkerHarness(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", SAID))
    bench.drain()
    assert len(bench.broker.all(TURN_TOPIC)) == 1
    with pytest.raises(InvalidInput, match=r"review-safety show bot_question-0-0") as refused:
        explain(
            turn_id="bot_question-0-0", top=1, topics=MemoryTopics(bench.broker), index=InMemoryIndex(),
            registry=MemoryRegistry(), settings=Settings(),
        )  # fmt: skip
    assert SAID not in str(refused.value)


def test_status_warns_of_texts_that_nobody_checked_for_a_year(tmp_path):
    """And shows how many answers were given."""
    path = tmp_path / "texts.json"
    path.write_text(shipped(checked_on="2025-11-23"), encoding="utf-8")
    settings = Settings(safety={"texts": path})
    fresh = safety(settings, {"suicide": 2}, date(2026, 11, 23))
    assert (fresh["warning"], fresh["answers"], fresh["checked_on"]) == (None, {"suicide": 2}, "2025-11-23")
    stale = safety(settings, {"suicide": 2}, date(2026, 11, 24))
    assert "366 days ago" in str(stale["warning"])
    page = table({"services": [], "bots": [], "urls": {}, "airflow": {}, "safety": stale})
    assert "suicide 2" in page
    assert "WARNING" in page


def test_status_shows_what_the_brokers_do_wrong():
    """Whoever runs them has to set it there."""
    facts = {"services": [], "bots": [], "urls": {}, "airflow": {}, "safety": {}}
    assert "WARNING" not in table({**facts, "kafka": {"warning": None}})
    assert "WARNING: forgets" in table({**facts, "kafka": {"warning": "forgets"}})


def test_status_says_so_when_the_texts_cannot_be_read():
    """Workers would not start."""
    found = safety(Settings(safety={"texts": Path("/nowhere.json")}), {}, date(2026, 1, 1))
    assert "cannot be read" in str(found["warning"])
