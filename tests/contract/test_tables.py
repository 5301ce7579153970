"""Contract of the port Tables, on the double and on real Delta tables on HDFS."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

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


@pytest.fixture(params=["double", pytest.param("delta", marks=pytest.mark.stack)])
def tables(request: pytest.FixtureRequest) -> Tables:
    if request.param == "double":
        return InMemoryTables()
    request.getfixturevalue("stack_settings")
    from kogpt2_chat.adapters.delta import DeltaTables

    return DeltaTables(request.getfixturevalue("lake"))


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
        "assert tables.read('turns')\n"
    )
    for number in range(1, 6):
        done = subprocess.run([sys.executable, "-c", code, str(number)], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
