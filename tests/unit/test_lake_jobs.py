"""Search index and daily files, both derived from the lake, on in-memory doubles."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.jobs.export_daily_csv import export_daily_csv
from kogpt2_chat.jobs.index import index
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def lake(*rows: dict[str, object]) -> InMemoryTables:
    tables = InMemoryTables()
    add(tables, *rows)
    return tables


def add(tables: InMemoryTables, *rows: dict[str, object]) -> None:
    defaults = {"bot": "ChatbotA", "date": "2026-11-24", "received_at": NOW, "text": "안녕", "answer": "어서 와요!"}
    tables.append("turns", [defaults | row for row in rows], {})


def export(tables: InMemoryTables, files: InMemoryFiles, now: datetime = NOW) -> object:
    return list(export_daily_csv(tables=tables, files=files, settings=Settings(), now=now).written)


def test_each_day_and_bot_has_a_file_of_questions_and_answers() -> None:
    """Commas, quotes and line breaks are preserved; fixed notices and other years are left out."""
    files = InMemoryFiles()
    tables = lake(
        {"turn_id": "t1", "text": '"안녕", 하고\n말했어'},
        {"turn_id": "t2", "bot": "ChatbotB"},
        {"turn_id": "t3", "fallback": "timeout"},
        {"turn_id": "t4", "date": "2025-11-24"},
    )
    assert export(tables, files) == ["/Chatbot/dailydata/1124/ChatbotA.csv", "/Chatbot/dailydata/1124/ChatbotB.csv"]
    text = files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode()
    assert text == '\ufeffQ,A\n"""안녕"", 하고\n말했어",어서 와요!\n'


@pytest.mark.parametrize(
    "text",
    ['=HYPERLINK("http://example.invalid")', "@SUM(1)", "+1", "-1", " =1", "\t=1", "\n=1", "＝1＋1", "－1", "＠a"],
)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    """In questions and answers, a leading apostrophe makes it text."""
    files = InMemoryFiles()
    export(lake({"turn_id": "t1", "text": text, "answer": text}), files)
    content = files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content, newline=""))) == [["Q", "A"], [f"'{text}", f"'{text}"]]


def test_files_of_an_earlier_format_are_written_again() -> None:
    """This adds the byte order mark to days with unchanged turns."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    path, state = "/Chatbot/dailydata/1124/ChatbotA.csv", "/Chatbot/dailydata/exported.json"
    files.write(path, "Q,A\n안녕,어서 와요!\n".encode())
    files.write(state, json.dumps(json.loads(files.read(state)) | {"form": 3}).encode())
    assert export(tables, files) == [path]
    assert files.read(path).decode() == "\ufeffQ,A\n안녕,어서 와요!\n"


def test_only_days_with_new_turns_are_written_again() -> None:
    """A new turn of yesterday rewrites yesterday's whole file."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"}, {"turn_id": "t2", "date": "2026-11-23"})
    export(tables, files)
    assert export(tables, files) == []
    add(tables, {"turn_id": "t3", "date": "2026-11-23"})
    assert export(tables, files) == ["/Chatbot/dailydata/1123/ChatbotA.csv"]
    assert files.read("/Chatbot/dailydata/1123/ChatbotA.csv").count(b"\n") == 3


def test_a_day_with_the_same_number_of_other_turns_is_written_again() -> None:
    """The lake may have been lost and filled again, or a rule may now leave a turn out."""
    files = InMemoryFiles()
    export(lake({"turn_id": "t1", "text": "안녕"}), files)
    replaced = lake({"turn_id": "t2", "text": "잘 지내?"})
    assert export(replaced, files) == ["/Chatbot/dailydata/1124/ChatbotA.csv"]
    assert "잘 지내?" in files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode()
    assert export(replaced, files) == []


def test_the_file_of_a_day_without_turns_is_removed() -> None:
    """The lake may have lost the turns of that day, or all of them may be hidden now."""
    files, path = InMemoryFiles(), "/Chatbot/dailydata/1123/ChatbotA.csv"
    yesterday, today = {"turn_id": "t1", "date": "2026-11-23"}, {"turn_id": "t2"}
    export(lake(yesterday, today), files)
    assert export(lake(today), files) == []
    assert not files.exists(path)
    assert export(lake(yesterday, today), files) == [path]


def test_a_new_year_starts_with_an_empty_folder() -> None:
    """``MMDD`` has no year, so last year's files are deleted; the year changes in Seoul time."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    add(tables, {"turn_id": "t2", "date": "2027-01-01"})
    assert export(tables, files, datetime(2026, 12, 31, 15, tzinfo=UTC)) == ["/Chatbot/dailydata/0101/ChatbotA.csv"]
    assert not files.exists("/Chatbot/dailydata/1124")


def test_the_index_contains_each_turn_once_and_can_be_rebuilt() -> None:
    """Nothing is sent if nothing is missing; a rebuild deletes documents that the lake does not have."""
    tables, documents = lake({"turn_id": "t1"}, {"turn_id": "t2"}), InMemoryIndex()
    assert fields_of(index(tables=tables, index=documents)) == {"turns": 2, "kept_out": 0, "sent": 2, "documents": 2}
    assert fields_of(index(tables=tables, index=documents)) == {"turns": 2, "kept_out": 0, "sent": 0, "documents": 2}
    documents.put([{"turn_id": "ghost", "bot": "ChatbotA"}])
    assert index(tables=tables, index=documents, rebuild=True).documents == 2
    assert set(documents.document_by_id) == {"t1", "t2"}


def test_the_newest_of_several_turns_with_one_id_is_indexed() -> None:
    """A recreated topic repeats ids; an older turn that must stay hidden is not shown."""
    tables, found = InMemoryTables(), InMemoryIndex()
    early, late = (NOW.replace(hour=hour) for hour in (3, 4))
    key = {"turn_id": "t1", "kafka_partition": 0}
    add(tables, key | {"text": "새 질문", "kafka_offset": 1, "ingested_at": late})
    add(tables, key | {"text": "죽고 싶어", "fallback": "safety", "kafka_offset": 7, "ingested_at": early})
    add(tables, key | {"text": "옛 질문", "turn_id": "t2", "kafka_offset": 8, "ingested_at": early})
    add(
        tables,
        key | {"text": "죽고 싶어", "fallback": "safety", "turn_id": "t2", "kafka_offset": 9, "ingested_at": late},
    )
    result = index(tables=tables, index=found)
    assert [row["text"] for row in found.document_by_id.values()] == ["새 질문"]
    assert (result.turns, result.kept_out) == (2, 1)
    add(tables, key | {"text": "더 새 질문", "kafka_offset": 2, "ingested_at": late.replace(hour=5)})
    index(tables=tables, index=found)
    assert [row["text"] for row in found.document_by_id.values()] == ["더 새 질문"]
