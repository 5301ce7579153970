"""Workers join and leave while questions are in flight: partitions move, and each question has one answer."""

import time

import pytest

from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

BATCH = 24


def join_and_leave(pool: WorkerPool, audit: ReplyAudit, *, rounds: int, stay_s: float) -> None:
    """Keep worker 1 running while another one joins and leaves repeatedly, and ask questions all the time."""

    def ask_more() -> None:
        if audit.unanswered < BATCH:
            audit.ask(BATCH)

    def ask_until(end: float) -> None:
        audit.wait(lambda: time.monotonic() >= end, on_wait=ask_more)

    pool.start_ready(1)
    for number in range(rounds):
        ordinal = 2 + number % 2
        joining = pool.start(ordinal)
        audit.wait(joining.is_ready, on_wait=ask_more)
        ask_until(time.monotonic() + stay_s)
        pool.stop(ordinal)
        ask_until(time.monotonic() + stay_s)
    audit.wait_for_replies()


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_each_question_has_one_answer_while_workers_join_and_leave(pool, audit, report):
    """Each stay is longer than a session, so a departed member's session ends before the next worker joins."""
    join_and_leave(pool, audit, rounds=8, stay_s=8.0)
    pool.close()
    result = audit.result()
    report.add("8 workers join and leave", result)
    assert result.is_exactly_once, result
    assert result.dead_letters == 0
