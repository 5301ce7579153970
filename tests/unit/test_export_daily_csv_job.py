"""The daily files, derived from the lake, on in-memory doubles."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from kogpt2_chat.jobs import export_daily_csv as export_daily_csv_job
from kogpt2_chat.jobs.export_daily_csv import export_daily_csv
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
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
    assert text == '\ufeffQ,A\r\n"""안녕"", 하고\n말했어",어서 와요!\r\n'


def test_files_of_an_earlier_format_are_written_again() -> None:
    """This adds the byte order mark to days with unchanged turns."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    path, state = "/Chatbot/dailydata/1124/ChatbotA.csv", "/Chatbot/dailydata/exported.json"
    files.write(path, "Q,A\n안녕,어서 와요!\n".encode())
    files.write(state, json.dumps(json.loads(files.read(state)) | {"form": 4}).encode())
    assert export(tables, files) == [path]
    assert files.read(path).decode() == "\ufeffQ,A\r\n안녕,어서 와요!\r\n"


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


def test_only_what_changed_since_the_last_run_is_read() -> None:
    """A run costs the same with a day or a year of history."""
    days = [f"2026-{month:02}-{day:02}" for month in range(1, 11) for day in range(1, 29)]
    files, tables = InMemoryFiles(), lake(*({"turn_id": f"t{day}", "date": day} for day in days))
    first = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW)
    assert (first.read, first.files, len(tables.partitions_read)) == (280, 280, 280)
    tables.partitions_read.clear()
    add(tables, {"turn_id": "t1", "date": "2026-03-04", "bot": "ChatbotB"}, {"turn_id": "t2", "date": "2025-03-04"})
    second = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW)
    assert tables.partitions_read == [("ChatbotB", "2026-03-04")]
    assert (second.read, second.files, second.written) == (1, 281, ("/Chatbot/dailydata/0304/ChatbotB.csv",))
    tables.partitions_read.clear()
    third = export_daily_csv(tables=tables, files=files, settings=Settings(), now=NOW)
    assert (tables.partitions_read, third.read, third.files, third.written) == ([], 0, 281, ())


def test_a_run_that_was_killed_is_made_up_for() -> None:
    """The mark moves only after all files are written."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    add(tables, {"turn_id": "t2", "date": "2026-11-22"}, {"turn_id": "t3", "date": "2026-11-23"})
    write = files.write

    def killed(path: str, content: bytes) -> None:
        if "1123" in path:
            raise KeyboardInterrupt
        write(path, content)

    files.write = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        export(tables, files)
    files.write = write  # type: ignore[method-assign]
    assert export(tables, files) == ["/Chatbot/dailydata/1122/ChatbotA.csv", "/Chatbot/dailydata/1123/ChatbotA.csv"]


def test_all_days_are_read_again_if_the_rules_for_crises_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn of any day may have to be left out now. Files that stay the same are not written."""
    files = InMemoryFiles()
    tables = lake({"turn_id": "t1"}, {"turn_id": "t2", "date": "2026-11-23"}, {"turn_id": "t3", "date": "2026-11-22"})
    export(tables, files)
    hidden = export_daily_csv_job.safety_kind
    monkeypatch.setattr(export_daily_csv_job, "crisis_digest", lambda: "other rules")
    monkeypatch.setattr(
        export_daily_csv_job, "safety_kind", lambda row: "suicide" if row["turn_id"] == "t2" else hidden(row)
    )
    tables.partitions_read.clear()
    assert export(tables, files) == []
    assert len(tables.partitions_read) == 3
    assert not files.exists("/Chatbot/dailydata/1123/ChatbotA.csv")
    assert files.exists("/Chatbot/dailydata/1122/ChatbotA.csv")
    tables.partitions_read.clear()
    assert export(tables, files) == []
    assert tables.partitions_read == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"form": 5}', b'{"year": "2026", "rows": {"a": 1}}'])
def test_an_unreadable_state_means_that_all_files_are_written_again(content: bytes) -> None:
    """Files that no state lists could otherwise stay for ever."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    files.write("/Chatbot/dailydata/exported.json", content)
    files.write("/Chatbot/dailydata/0101/ChatbotA.csv", b"old")
    assert export(tables, files) == ["/Chatbot/dailydata/1124/ChatbotA.csv"]
    assert not files.exists("/Chatbot/dailydata/0101/ChatbotA.csv")


def test_a_day_of_several_batches_is_one_file_in_order() -> None:
    """Turns are ordered by the time of the question, whatever their order in the lake is."""
    rows = [
        {"turn_id": f"t{n}", "text": f"질문 {n}", "received_at": NOW.replace(minute=n // 60, second=n % 60)}
        for n in range(2500)
    ]
    files = InMemoryFiles()
    export(lake(*reversed(rows)), files)
    content = files.read("/Chatbot/dailydata/1124/ChatbotA.csv").decode("utf-8-sig")
    found = [question for question, _ in csv.reader(io.StringIO(content, newline=""))]
    assert found == ["Q", *(f"질문 {n}" for n in range(2500))]


def test_a_new_year_starts_with_an_empty_folder() -> None:
    """``MMDD`` has no year, so last year's files are deleted; the year changes in Seoul time."""
    files, tables = InMemoryFiles(), lake({"turn_id": "t1"})
    export(tables, files)
    add(tables, {"turn_id": "t2", "date": "2027-01-01"})
    assert export(tables, files, datetime(2026, 12, 31, 15, tzinfo=UTC)) == ["/Chatbot/dailydata/0101/ChatbotA.csv"]
    assert not files.exists("/Chatbot/dailydata/1124")
