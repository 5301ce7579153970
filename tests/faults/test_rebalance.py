"""Workers that join and leave in mid-batch: partitions move, and every question keeps its one answer."""

import time

import pytest

from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

PACE = 24


def come_and_go(crew: WorkerPool, ledger: ReplyAudit, *, rounds: int, stay_s: float) -> None:
    """Worker 1 stays; another joins and leaves again and again while questions flow."""

    def feed() -> None:
        if ledger.open < PACE:
            ledger.ask(PACE)

    def flow(until_s: float) -> None:
        ledger.wait(lambda: time.monotonic() >= until_s, meanwhile=feed)

    crew.start_ready(1)
    for number in range(rounds):
        slot = 2 + number % 2
        guest = crew.start(slot)
        ledger.wait(guest.is_ready, meanwhile=feed)
        flow(time.monotonic() + stay_s)
        crew.stop(slot)
        flow(time.monotonic() + stay_s)
    ledger.settle()


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_workers_that_join_and_leave_disturb_no_answer(crew, ledger, report):
    """Long stays, so that a departed member's session ends before the next one comes."""
    come_and_go(crew, ledger, rounds=8, stay_s=8.0)
    crew.close()
    verdict = ledger.verdict()
    report.add("8 workers join and leave", verdict)
    assert verdict.holds, verdict
    assert verdict.dead_letters == 0
