"""A worker that is frozen, removed from the group and resumed: nothing that it still sends becomes visible."""

import signal
import time

import pytest

from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool, count_events

SESSION_S = 6.0
POLL_INTERVAL_S = 60.0
"""The minimum in adapters/kafka/librdkafka_consumer.py."""


def freeze_and_resume(pool: WorkerPool, audit: ReplyAudit, *, frozen_s: float, times: int) -> None:
    """Freeze worker 1 with questions in flight until worker 2 has all of its partitions; resume it under load."""
    pool.start_ready(1, 2)
    zombie = pool.workers[1]
    dropped = count_events(zombie, "in_flight_dropped")
    for number in range(times):
        audit.ask(60)
        audit.wait(lambda: zombie.health()["in_flight"] > 0 or audit.unanswered == 0)
        zombie.process.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        audit.ask(60)
        # Worker 2 answers all of them, since it gets the frozen worker's partitions. If the frozen worker has an
        # open transaction, readers wait until the broker ends it after its timeout.
        audit.wait_for_replies()
        while time.monotonic() < frozen_at + frozen_s:
            audit.ask(3)
            audit.wait_for_replies()
        audit.ask(60)
        zombie.process.send_signal(signal.SIGCONT)
        audit.wait_for_replies()
        zombie.wait_ready()
        print(f"faults: resumed {number + 1} of {times} times", flush=True)
    assert zombie.process.poll() is None, f"the resumed worker ended: {zombie.tail()}"
    assert count_events(zombie, "in_flight_dropped") > dropped, (
        "the worker was never frozen with questions in flight, so nothing was tested"
    )


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("frozen_s", [SESSION_S + 3, POLL_INTERVAL_S + 5], ids=["session", "poll interval"])
def test_a_resumed_worker_doubles_no_answer(pool, audit, report, frozen_s):
    """After the session timeout another worker owns its partitions; after the poll interval its client leaves too."""
    freeze_and_resume(pool, audit, frozen_s=frozen_s, times=3)
    pool.close()
    result = audit.result()
    report.add(f"SIGSTOP {frozen_s:g} s", result, kills=3)
    assert result.is_exactly_once, result
