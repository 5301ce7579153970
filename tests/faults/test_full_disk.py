"""A full disk: the stack stops cleanly or goes on, and comes back by itself once there is room."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.lake.layout import building_path
from kogpt2_chat.errors import Unavailable
from tests.faults.reply_audit import ReplyAudit
from tests.faults.report import FaultReport
from tests.faults.small_stack import SmallStack, small_stack
from tests.loop import until
from tests.small_disk import small_disk

BACK_S = 600.0
"""Bound for a busy machine; what it was is in the report."""
SOME = 30
pytestmark = pytest.mark.stack


@contextmanager
def servers(folder: Path, *only: str) -> Iterator[SmallStack]:
    with small_disk(folder / "disk", "600m") as disk, small_stack(disk, only) as made:
        yield made


def has_asked(ledger: ReplyAudit, count: int) -> bool:
    """Whether a broker took the questions; one that does not answer in time may have."""
    try:
        ledger.ask(count)
    except Unavailable:
        return False
    return True


def ask_until(stack: SmallStack, ledger: ReplyAudit, condition: Callable[[], bool], left_kb: int) -> None:
    """Somebody asks all the time, whether there is a broker or not, and the disk stays full."""

    def asked() -> bool:
        stack.disk.fill(left_kb)
        has_asked(ledger, SOME)
        return condition()

    until(asked, BACK_S, lambda: f"still as before with a full disk: {stack.status()}")


def survive(
    stack: SmallStack, ledger: ReplyAudit, *, left_kb: int = 0, while_full: Callable[[], None] = lambda: None
) -> None:
    """Full, then free; nobody touches a server."""
    before = stack.services()

    def has_stopped() -> bool:
        now = stack.services()
        return now["kafka"].pid not in (None, before["kafka"].pid) and "safeMode" in now["namenode"].detail

    ledger.ask(SOME)
    ask_until(stack, ledger, has_stopped, left_kb)
    (said,) = stack.status().full_disks
    assert str(stack.settings.home) in said
    with pytest.raises(Unavailable):
        stack.fill_lake()
    with pytest.raises(Unavailable, match="its disk is full"):
        stack.write_everywhere()
    while_full()
    waiting = stack.pid("kafka")
    stack.disk.make_room()
    until(lambda: not stack.unwell(), BACK_S, lambda: str(stack.unwell()))
    after = stack.services()
    assert after["kafka"].pid == waiting, "it was started again and again, instead of waiting for room"
    assert after["worker-1"].pid == before["worker-1"].pid
    assert stack.status().full_disks == ()
    until(lambda: has_asked(ledger, SOME), BACK_S, lambda: "no question is taken")
    ledger.settle(BACK_S)
    until(stack.lake_is_complete, BACK_S, lambda: "the lake is not complete")
    stack.write_everywhere()


def refuse_a_dataset(stack: SmallStack) -> None:
    """Spark runs, and its error names the full disk."""
    with pytest.raises(Unavailable, match="its disk is full"):
        stack.build_dataset()


def close_the_books(stack: SmallStack, ledger: ReplyAudit, report: FaultReport, name: str, kills: int) -> None:
    verdict = ledger.verdict()
    report.add(name, verdict, kills=kills)
    assert verdict.holds, verdict
    assert len(stack.lake()) == len(set(stack.lake()))


@pytest.mark.timeout(2400)
def test_a_full_disk_stops_questions_and_lake_and_room_brings_them_back(tmp_path, report):
    """Kafka, HDFS and a worker: 0 lost, 0 double, the lake complete, nothing restarted by hand."""
    with servers(tmp_path, "kafka", "hdfs", "worker") as stack:
        ledger = ReplyAudit(stack.settings)
        survive(stack, ledger)
        close_the_books(stack, ledger, report, "full disk", kills=1)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_the_whole_stack_lives_through_full_disks(tmp_path, report):
    """Every server, Airflow's scheduler included; filled at once, and by the servers' own last writes."""
    with servers(tmp_path, "kafka", "hdfs", "elasticsearch", "mlflow", "airflow", "worker") as stack:
        ledger = ReplyAudit(stack.settings)
        before = stack.build_dataset()
        for left_kb in (0, 200):
            survive(stack, ledger, left_kb=left_kb, while_full=lambda: refuse_a_dataset(stack))
            assert stack.build_dataset() == before
            assert bootstrap.files(stack.settings).list(building_path(stack.settings.hdfs.root)) == []
        close_the_books(stack, ledger, report, "full disk, every server, twice", kills=2)
