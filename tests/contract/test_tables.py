"""Contract of the port Tables, on the double and on real Delta tables, in a local folder and on HDFS."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from kogpt2_chat.errors import InvalidInput, PlanOutdated, Unavailable
from kogpt2_chat.ports import Tables
from kogpt2_chat.settings import Hdfs, Settings
from kogpt2_chat.testing.delta import InMemoryTables

NOW = datetime(2026, 11, 24, 3, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def lake(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """The stack's HDFS with a root folder for this test only."""
    settings: Settings = request.getfixturevalue("stack_settings")
    root = f"/contract/{uuid.uuid4().hex}"
    yield settings.model_copy(update={"hdfs": settings.hdfs.model_copy(update={"root": root})})
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    HdfsFiles(settings).delete(root)


def in_folder(folder: Path) -> Settings:
    """Return settings whose lake is a local folder."""
    hdfs = Hdfs().model_copy(update={"uri": "file://", "root": str(folder), "retries": 1})
    return Settings().model_copy(update={"hdfs": hdfs})


@pytest.fixture(params=["double", "folder", pytest.param("hdfs", marks=pytest.mark.stack)])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    if request.param == "double":
        return InMemoryTables()
    from kogpt2_chat.adapters.delta import DeltaTables

    return DeltaTables(in_folder(tmp_path) if request.param == "folder" else request.getfixturevalue("lake"))


def row(turn_id: str, **other: object) -> dict[str, object]:
    return {"turn_id": turn_id, "bot": "ChatbotA", "date": "2026-11-24", "text": "안녕 😀"} | other


def test_a_table_that_does_not_exist_is_empty(tables: Tables) -> None:
    """It has no table version, no positions and no rows, and reading it is not an error."""
    assert tables.table_version("turns") is None
    assert tables.positions("turns", ["turns/conversation_log/0"]) == {}
    assert tables.read("turns") == []


def test_rows_are_read_as_they_were_written(tables: Tables) -> None:
    """Text, numbers, lists and times with a zone are preserved; a missing column is null."""
    full = row("a", answer_token_ids=[5, 2], latency_ms=12, consent_train=True, answered_at=NOW, extra="{}")
    tables.append("turns", [full], {"turns/t/0": 1})
    (found,) = tables.read("turns")
    assert {name: value for name, value in found.items() if value is not None} == full
    assert tables.read("turns", ["bot", "turn_id"]) == [{"bot": "ChatbotA", "turn_id": "a"}]


def test_the_rows_about_some_turns_are_read_alone(tables: Tables) -> None:
    """Several ids, with the columns that were asked for; quotation marks in an id are text. No ids, no rows."""
    assert tables.of_turns("turns", ["a"], ["bot"]) == []
    tables.append("turns", [row("a"), row("b", bot="ChatbotB"), row("c'd"), row("a", text="다시")], {"turns/t/0": 4})
    found = tables.of_turns("turns", ["a", "c'd", "' or 1=1 --"], ["turn_id", "text"])
    assert sorted((str(one["turn_id"]), str(one["text"])) for one in found) == [
        ("a", "다시"),
        ("a", "안녕 😀"),
        ("c'd", "안녕 😀"),
    ]
    assert tables.of_turns("turns", ["b"], ["bot"]) == [{"bot": "ChatbotB"}]
    assert tables.of_turns("turns", [], ["bot"]) == []


def test_rows_and_positions_move_together(tables: Tables) -> None:
    """One commit moves the positions of many partitions; a position is the offset after the last record read."""
    assert tables.append("turns", [row("a"), row("b")], {"turns/t/0": 5, "turns/t/1": 7}, {})
    assert tables.positions("turns", ["turns/t/0", "turns/t/1", "turns/t/2"]) == {"turns/t/0": 5, "turns/t/1": 7}
    assert tables.append("turns", [row("c", bot="ChatbotB")], {"turns/t/0": 9}, {"turns/t/0": 5})
    assert sorted(str(found["turn_id"]) for found in tables.read("turns")) == ["a", "b", "c"]


def test_repeated_work_changes_nothing(tables: Tables) -> None:
    """With the same or lower positions, `append` returns False and adds no rows."""
    tables.append("turns", [row("a")], {"turns/t/0": 5}, {})
    table_version = tables.table_version("turns")
    assert not tables.append("turns", [row("a")], {"turns/t/0": 5}, {})
    assert not tables.append("turns", [row("a")], {"turns/t/0": 3})
    assert tables.table_version("turns") == table_version
    assert len(tables.read("turns")) == 1


def test_a_plan_from_positions_that_have_moved_is_refused(tables: Tables) -> None:
    """Of two plans with the same start and different ends, the second would write rows twice."""
    tables.append("turns", [row("a")], {"turns/t/0": 5}, {})
    with pytest.raises(PlanOutdated, match="plan again"):
        tables.append("turns", [row("a"), row("b")], {"turns/t/0": 7}, {})
    assert len(tables.read("turns")) == 1


def test_positions_move_without_rows(tables: Tables) -> None:
    """A window without storable records still counts as read."""
    assert tables.append("feedback", [], {"feedback/feedback/0": 3}, {})
    assert tables.positions("feedback", ["feedback/feedback/0"]) == {"feedback/feedback/0": 3}
    assert tables.read("feedback") == []


def test_an_older_table_version_can_be_read(tables: Tables) -> None:
    """Table versions never change."""
    tables.append("turns", [row("a")], {"turns/t/0": 1})
    first = tables.table_version("turns")
    tables.append("turns", [row("b")], {"turns/t/0": 2})
    assert [found["turn_id"] for found in tables.read("turns", ["turn_id"], first)] == ["a"]


def test_batches_have_every_row_in_bounded_portions(tables: Tables) -> None:
    """Partitions follow each other, sorted; no batch mixes two of them or is larger than asked for."""
    assert list(tables.batches("turns")) == []
    assert tables.partitions("turns") == []
    rows = [row(f"t{n}", bot=f"Chatbot{'AB'[n % 2]}", kafka_offset=n, answer_token_ids=[n]) for n in range(10)]
    tables.append("turns", rows[:6], {"turns/t/0": 1})
    tables.append("turns", [*rows[6:], row("t10", date="2026-11-23")], {"turns/t/0": 2})
    batches = list(tables.batches("turns", size=2))
    assert [len(batch) for batch in batches] in ([1, 2, 2, 1, 2, 2, 1], [1, 2, 1, 2, 2, 1, 2])
    assert sorted((found for batch in batches for found in batch), key=str) == sorted(tables.read("turns"), key=str)
    order = [(str(batch[0]["bot"]), str(batch[0]["date"])) for batch in batches]
    assert order == sorted(order)
    assert tables.partitions("turns") == sorted(set(order))


def test_only_the_named_partitions_and_columns_are_read(tables: Tables) -> None:
    """A partition that does not exist has no rows; a value with a quote is a value."""
    tables.append("turns", [row("a"), row("b", bot="ChatbotB"), row("c", bot="Chatbot' or 1=1")], {"turns/t/0": 1})

    def read(*partitions: tuple[str, str]) -> list[dict[str, object]]:
        return [
            found
            for batch in tables.batches("turns", ["turn_id", "session_id"], partitions=partitions)
            for found in batch
        ]

    assert read(("ChatbotB", "2026-11-24"), ("ChatbotB", "2026-11-25")) == [{"turn_id": "b", "session_id": None}]
    assert read(("Chatbot' or 1=1", "2026-11-24")) == [{"turn_id": "c", "session_id": None}]
    assert read() == []


def test_batches_of_an_older_table_version_lack_what_was_added_since(tables: Tables) -> None:
    """A long reading sees one version of the table, also if rows are added meanwhile."""
    tables.append("turns", [row("a")], {"turns/t/0": 1})
    first = tables.table_version("turns")
    tables.append("turns", [row("b"), row("c", bot="ChatbotC")], {"turns/t/0": 2})
    assert tables.partitions("turns", first) == [("ChatbotA", "2026-11-24")]
    found = [one["turn_id"] for batch in tables.batches("turns", table_version=first) for one in batch]
    assert found == ["a"]


def test_changes_name_the_partitions_with_new_rows(tables: Tables) -> None:
    """Between two marks; a commit that only moves positions changes no partition."""
    assert tables.changes("turns", "").mark == ""
    tables.append("turns", [row("a"), row("b", bot="ChatbotB")], {"turns/t/0": 1})
    start = tables.changes("turns", "")
    assert (start.partitions, start.table_version) == (None, tables.table_version("turns"))
    assert tables.changes("turns", start.mark).partitions == frozenset()
    tables.append("turns", [row("c", bot="ChatbotB")], {"turns/t/0": 2})
    tables.append("turns", [], {"turns/t/0": 3})
    tables.append("turns", [row("d", date="2026-11-25")], {"turns/t/0": 4})
    later = tables.changes("turns", start.mark)
    assert later.partitions == {("ChatbotB", "2026-11-24"), ("ChatbotA", "2026-11-25")}
    assert tables.changes("turns", later.mark).partitions == frozenset()
    assert later.table_version == tables.table_version("turns")


def test_the_changes_since_a_mark_of_another_table_are_not_known(tables: Tables) -> None:
    """The lake may have been moved away and filled again, with more or fewer commits."""
    tables.append("turns", [row("a")], {"turns/t/0": 1})
    mark = tables.changes("turns", "").mark
    table_id, _, version = mark.rpartition(":")
    assert tables.changes("turns", f"{uuid.uuid4()}:{version}").partitions is None
    assert tables.changes("turns", f"{table_id}:{int(version) + 1}").partitions is None


def _delta(folder: Path) -> DeltaTable:
    return DeltaTable(str(folder / "lake" / "turns"))


@pytest.fixture
def local(tmp_path: Path) -> Tables:
    from kogpt2_chat.adapters.delta import DeltaTables

    tables = DeltaTables(in_folder(tmp_path))
    for number in range(3):
        tables.append("turns", [row(f"a{number}"), row(f"b{number}", bot="ChatbotB")], {"turns/t/0": number})
    return tables


def test_compacting_and_vacuuming_are_no_changes(local: Tables, tmp_path: Path) -> None:
    """They replace files, and the rows stay the same."""
    mark = local.changes("turns", "").mark
    delta = _delta(tmp_path)
    assert delta.optimize.compact()["numFilesRemoved"] == 6
    assert delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    changes = local.changes("turns", mark)
    assert (changes.table_version, changes.partitions) == (_delta(tmp_path).version(), frozenset())
    assert len(next(local.batches("turns"))) == 3


def test_removed_rows_are_changes(local: Tables, tmp_path: Path) -> None:
    """Whether a whole partition is removed or rows of one; a partition without rows is no longer listed."""
    mark = local.changes("turns", "").mark
    _delta(tmp_path).delete("bot = 'ChatbotB'")
    first = local.changes("turns", mark)
    assert first.partitions == {("ChatbotB", "2026-11-24")}
    assert local.partitions("turns") == [("ChatbotA", "2026-11-24")]
    _delta(tmp_path).delete("turn_id = 'a1'")
    assert local.changes("turns", first.mark).partitions == {("ChatbotA", "2026-11-24")}
    assert sorted(str(found["turn_id"]) for found in next(local.batches("turns"))) == ["a0", "a2"]


def test_changes_are_not_known_once_the_log_is_cleaned_up(local: Tables, tmp_path: Path) -> None:
    """Delta removes commits that a checkpoint covers after 30 days."""
    mark = local.changes("turns", "").mark
    local.append("turns", [row("c")], {"turns/t/0": 9})
    _delta(tmp_path).create_checkpoint()
    (tmp_path / "lake" / "turns" / "_delta_log" / f"{_delta(tmp_path).version():020d}.json").unlink()
    assert local.changes("turns", mark).partitions is None


def test_a_batch_that_cannot_be_read_is_reported(local: Tables, tmp_path: Path) -> None:
    """The lake's folder lacks a data file: the result is an error and not some of the rows."""
    (first, second, third) = (tmp_path / "lake" / "turns" / "bot=ChatbotB").rglob("*.parquet")
    first.unlink()
    with pytest.raises(Unavailable, match=r"table turns at .*No such file"):
        list(local.batches("turns"))
    second.unlink()
    third.unlink()
    with pytest.raises(Unavailable, match=r"table turns at .*No such file"):
        list(local.batches("turns"))
    with pytest.raises(Unavailable, match=r"table turns at .*No such file"):
        local.read("turns")


def test_of_concurrent_writers_of_one_position_one_commits(tables: Tables) -> None:
    """Of four threads with the same plan, one commits; the others get PlanOutdated, or False if they come later."""
    outcomes: list[object] = []
    start = threading.Barrier(4)

    def write() -> None:
        start.wait()
        try:
            outcomes.append(tables.append("turns", [row("a"), row("b")], {"turns/t/0": 2}, {}))
        except PlanOutdated:
            outcomes.append(PlanOutdated)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count(True) == 1
    assert all(outcome in {True, False, PlanOutdated} for outcome in outcomes)
    assert len(outcomes) == 4
    assert len(tables.read("turns")) == 2


def test_concurrent_writers_of_different_positions_all_commit(tables: Tables) -> None:
    """Appends that move different positions do not conflict."""

    def write(number: int) -> None:
        tables.append("turns", [row(f"t{number}")], {f"turns/t/{number}": 1}, {})

    tables.append("turns", [], {"turns/made": 1})
    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(str(found["turn_id"]) for found in tables.read("turns", ["turn_id"])) == ["t0", "t1", "t2"]


def test_an_unreachable_hdfs_is_not_an_empty_table() -> None:
    """A lake that cannot be reached raises Unavailable and never looks like a new one."""
    from kogpt2_chat.adapters.delta import DeltaTables

    tables = DeltaTables(Settings(hdfs=Hdfs(uri="hdfs://127.0.0.1:9", retries=1)))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        tables.positions("turns", ["a"])


def test_an_unknown_table_is_refused() -> None:
    """The error names the unknown table and the existing ones."""
    from kogpt2_chat.adapters.delta import DeltaTables

    with pytest.raises(InvalidInput, match=r"no table 'nope'.*turns, feedback"):
        DeltaTables(Settings()).read("nope")


@pytest.mark.stack
def test_a_process_that_used_a_table_exits_with_0(lake: Settings) -> None:
    """If a library's threads crashed the exit, tasks would fail although their work is done."""
    code = (
        "from kogpt2_chat.settings import Hdfs, Settings\n"
        "from kogpt2_chat.adapters.delta import DeltaTables\n"
        f"tables = DeltaTables(Settings(hdfs=Hdfs(uri={lake.hdfs_uri!r}, root={lake.hdfs.root!r})))\n"
        "import sys; n = int(sys.argv[1])\n"
        "assert tables.append('turns', [{'bot': 'ChatbotA', 'date': '2026-11-24', 'turn_id': 'a'}], {'x': n})\n"
        "assert tables.read('turns') and next(tables.batches('turns'))\n"
        "assert tables.changes('turns', tables.changes('turns', '').mark).partitions == frozenset()\n"
    )
    for number in range(1, 6):
        done = subprocess.run([sys.executable, "-c", code, str(number)], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
