"""EndTxn held on its way and let go later: a commit whose outcome is unknown, and one that arrives too late."""

import random
import time

import pytest

from kogpt2_chat.testing.tcp_proxy import END_TXN, Held, TcpProxy
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

TIMES = 50
SOME = 12
REQUEST_S = 2.0
"""After it the client sends the same EndTxn again, over another connection."""


def hold_again_and_again(crew: WorkerPool, ledger: ReplyAudit, proxy: TcpProxy, chance: random.Random) -> None:
    """In turn: a moment late, very late, after the client's own retry, never, and after a retry on a lost connection."""
    late: list[Held] = []
    for number in range(TIMES):
        proxy.hold(END_TXN)
        ledger.ask(SOME)
        held = proxy.wait_held(60.0)
        match number % 5:
            case 0:
                time.sleep(chance.uniform(0, 0.4))
                held.release()
            case 1:
                time.sleep(chance.uniform(0.6, REQUEST_S - 0.5))
                held.release()
            case 2:
                late.append(held)  # let go while a later transaction is open
            case 3:
                held.drop()
            case 4:
                time.sleep(chance.uniform(0.02, 0.1))
                held.lose_client()
                late.append(held)
        ledger.ask(SOME)
        if number % 5 >= 3:
            crew_of_one_is_alive(crew)
            time.sleep(chance.uniform(0, REQUEST_S))
            late.pop().release()
        if number % 10 == 9:
            ledger.settle()
            print(f"faults: {number + 1} of {TIMES} commits held", flush=True)
    for held in late:
        held.release()


def crew_of_one_is_alive(crew: WorkerPool) -> None:
    assert crew.dead() == [], "a held commit must not end a worker"


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_commit_that_is_held_and_let_go_later_does_no_harm(kafka, crew, ledger, report):
    """Fifty times: its transaction is committed once or not at all, and never another one in its place."""
    with kafka.proxy() as proxy:
        crew.more.update(kafka.through_proxy() | {"KOGPT2_KAFKA__REQUEST_TIMEOUT_S": str(REQUEST_S)})
        crew.start_ready(1)
        hold_again_and_again(crew, ledger, proxy, random.Random(3))
        ledger.settle()
        crew.close()
    verdict = ledger.verdict()
    report.add("EndTxn held", verdict, kills=TIMES)
    assert verdict.holds, verdict
