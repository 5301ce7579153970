"""A worker that is frozen, given up by the group, and thawed: whatever it still says comes to nothing."""

import signal
import time

import pytest

from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool, lines

SESSION_S = 6.0
POLL_INTERVAL_S = 60.0
"""The least that adapters/kafka/librdkafka_consumer.py asks for."""


def freeze_and_thaw(crew: WorkerPool, ledger: ReplyAudit, *, frozen_s: float, times: int) -> None:
    """Freeze worker 1 with questions in hand while worker 2 takes all of its partitions; thaw it under load."""
    crew.start_ready(1, 2)
    zombie = crew.workers[1]
    dropped = lines(zombie, "flight_dropped")
    for number in range(times):
        ledger.ask(60)
        ledger.wait(lambda: zombie.health()["in_flight"] > 0 or ledger.open == 0)
        zombie.process.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        ledger.ask(60)
        # All of them: worker 2 has the frozen one's partitions too. Readers wait behind a transaction that was frozen
        # while it was open, until the broker ends it after its timeout.
        ledger.settle()
        while time.monotonic() < frozen_at + frozen_s:
            ledger.ask(3)
            ledger.settle()
        ledger.ask(60)
        zombie.process.send_signal(signal.SIGCONT)
        ledger.settle()
        zombie.wait_ready()
        print(f"faults: thawed {number + 1} of {times} times", flush=True)
    assert zombie.process.poll() is None, "the frozen worker came back and stayed"
    assert lines(zombie, "flight_dropped") > dropped, (
        "it was never frozen with questions in hand, so nothing was proved"
    )


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("frozen_s", [SESSION_S + 3, POLL_INTERVAL_S + 5], ids=["session", "poll interval"])
def test_a_frozen_worker_that_comes_back_commits_nothing(crew, ledger, report, frozen_s):
    """Past the session timeout its partitions are another's; past the poll interval its own client leaves too."""
    freeze_and_thaw(crew, ledger, frozen_s=frozen_s, times=3)
    crew.close()
    verdict = ledger.verdict()
    report.add(f"SIGSTOP {frozen_s:g} s", verdict, kills=3)
    assert verdict.holds, verdict
