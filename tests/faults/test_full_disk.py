"""A full disk: the stack loses nothing, and recovers without help once space is free."""

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
from tests.loop import wait_until
from tests.small_disk import small_disk

RECOVERY_S = 600.0
"""Limit for a busy machine."""
QUESTIONS = 30
pytestmark = pytest.mark.stack


@contextmanager
def stack_on_small_disk(folder: Path, *only: str) -> Iterator[SmallStack]:
    with small_disk(folder / "disk", "600m") as disk, small_stack(disk, only) as stack:
        yield stack


def try_to_ask(audit: ReplyAudit, count: int) -> bool:
    """Ask questions, and return whether the broker confirmed them; after a timeout it may still have stored them."""
    try:
        audit.ask(count)
    except Unavailable:
        return False
    return True


def ask_until(stack: SmallStack, audit: ReplyAudit, condition: Callable[[], bool], left_kb: int) -> None:
    """Keep the disk full and ask questions, whether the broker runs or not, until a condition holds."""

    def ask_and_check() -> bool:
        stack.disk.fill(left_kb)
        try_to_ask(audit, QUESTIONS)
        return condition()

    wait_until(ask_and_check, RECOVERY_S, lambda: f"the servers did not stop: {stack.status()}")


def fill_and_free(
    stack: SmallStack, audit: ReplyAudit, *, left_kb: int = 0, while_full: Callable[[], None] = lambda: None
) -> None:
    """Fill the disk until servers stop, free it, and check that everything recovers without a restart by hand."""
    before = stack.services()

    def has_stopped() -> bool:
        now = stack.services()
        return now["kafka"].pid not in (None, before["kafka"].pid) and "safeMode" in now["namenode"].detail

    audit.ask(QUESTIONS)
    ask_until(stack, audit, has_stopped, left_kb)
    (warning,) = stack.status().full_disks
    assert str(stack.settings.home) in warning
    with pytest.raises(Unavailable):
        stack.fill_lake()
    with pytest.raises(Unavailable, match="its disk is full"):
        stack.write_everywhere()
    while_full()
    waiting_pid = stack.pid("kafka")
    stack.disk.clear()
    wait_until(lambda: not stack.unhealthy(), RECOVERY_S, lambda: str(stack.unhealthy()))
    after = stack.services()
    assert after["kafka"].pid == waiting_pid, "Kafka must wait for free space, and not be restarted repeatedly"
    assert after["worker-1"].pid == before["worker-1"].pid
    assert stack.status().full_disks == ()
    wait_until(lambda: try_to_ask(audit, QUESTIONS), RECOVERY_S, lambda: "the broker accepts no question")
    audit.wait_for_replies(RECOVERY_S)
    wait_until(stack.lake_is_complete, RECOVERY_S, lambda: "the lake is not complete")
    stack.write_everywhere()


def assert_dataset_refused(stack: SmallStack) -> None:
    """Check that a dataset cannot be built, and that the error names the full disk."""
    with pytest.raises(Unavailable, match="its disk is full"):
        stack.build_dataset()


def check_result(stack: SmallStack, audit: ReplyAudit, report: FaultReport, name: str, kills: int) -> None:
    result = audit.result()
    report.add(name, result, kills=kills)
    assert result.is_exactly_once, result
    assert len(stack.lake()) == len(set(stack.lake()))


@pytest.mark.timeout(2400)
def test_kafka_hdfs_and_a_worker_recover_from_a_full_disk(tmp_path, report):
    """No answer is lost or doubled, the lake is complete, and no server was restarted by hand."""
    with stack_on_small_disk(tmp_path, "kafka", "hdfs", "worker") as stack:
        audit = ReplyAudit(stack.settings)
        fill_and_free(stack, audit)
        check_result(stack, audit, report, "full disk", kills=1)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_every_server_recovers_from_a_full_disk(tmp_path, report):
    """Twice: the test fills the disk completely, or leaves 200 KB for the servers to fill."""
    with stack_on_small_disk(tmp_path, "kafka", "hdfs", "elasticsearch", "mlflow", "airflow", "worker") as stack:
        audit = ReplyAudit(stack.settings)
        before = stack.build_dataset()
        for left_kb in (0, 200):
            fill_and_free(stack, audit, left_kb=left_kb, while_full=lambda: assert_dataset_refused(stack))
            assert stack.build_dataset() == before
            assert bootstrap.files(stack.settings).list(building_path(stack.settings.hdfs.root)) == []
        check_result(stack, audit, report, "full disk, every server, twice", kills=2)
