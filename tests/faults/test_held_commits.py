"""EndTxn requests that are held and released later: commits with an unknown outcome, and commits that arrive late."""

import random
import time

import pytest

from kogpt2_chat.testing.tcp_proxy import END_TXN, Held, TcpProxy
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

TIMES = 50
QUESTIONS = 12
REQUEST_S = 2.0
"""The client's request timeout. After it the client resends the same EndTxn over another connection."""


def hold_commits(pool: WorkerPool, audit: ReplyAudit, proxy: TcpProxy, rng: random.Random) -> None:
    """Hold one commit per round. In turn: release it soon, later or after the retry; drop it; lose its client."""
    late: list[Held] = []
    for number in range(TIMES):
        proxy.hold(END_TXN)
        audit.ask(QUESTIONS)
        held = proxy.wait_held(60.0)
        match number % 5:
            case 0:
                time.sleep(rng.uniform(0, 0.4))
                held.release()
            case 1:
                time.sleep(rng.uniform(0.6, REQUEST_S - 0.5))
                held.release()
            case 2:
                late.append(held)  # released while a later transaction is open
            case 3:
                held.drop()
            case 4:
                time.sleep(rng.uniform(0.02, 0.1))
                held.lose_client()
                late.append(held)
        audit.ask(QUESTIONS)
        if number % 5 >= 3:
            assert_worker_alive(pool)
            time.sleep(rng.uniform(0, REQUEST_S))
            late.pop().release()
        if number % 10 == 9:
            audit.wait_for_replies()
            print(f"faults: {number + 1} of {TIMES} commits held", flush=True)
    for held in late:
        held.release()


def assert_worker_alive(pool: WorkerPool) -> None:
    assert pool.dead() == [], "a held commit must not end a worker"


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_late_commit_neither_loses_nor_doubles_an_answer(kafka, pool, audit, report):
    """It commits its own transaction or none, and never a later one."""
    with kafka.proxy() as proxy:
        pool.more.update(kafka.through_proxy() | {"KOGPT2_KAFKA__REQUEST_TIMEOUT_S": str(REQUEST_S)})
        pool.start_ready(1)
        hold_commits(pool, audit, proxy, random.Random(3))
        audit.wait_for_replies()
        pool.close()
    result = audit.result()
    report.add("EndTxn held", result, kills=TIMES)
    assert result.is_exactly_once, result
