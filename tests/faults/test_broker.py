"""The broker dies, stands still or is slow: nothing is lost or doubled, and answers come again by themselves."""

import signal
import socket
import time

import pytest

from kogpt2_chat.adapters.kafka import offsets as kafka_offsets
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from serving.__main__ import FENCED
from tests.faults.broker_process import BrokerProcess
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool
from tests.integration.worker_process import WorkerProcess
from tests.loop import until

AGAIN_S = 60.0
"""Bound for a busy machine; the aim is 15 s and the report says what it was."""
SLOW_S = 0.25
SOME = 90


def again_after(crew: WorkerPool, ledger: ReplyAudit, back_at: float) -> float:
    """Seconds from the broker's return until everything asked before it, and shortly after, has its reply."""
    deadline = time.monotonic() + AGAIN_S
    while True:
        try:
            ledger.ask(12)
            break
        except Unavailable:  # the asking client itself has to find the broker again
            assert time.monotonic() < deadline
    ledger.settle(AGAIN_S, crew.revive)
    return time.monotonic() - back_at


def close_the_books(crew: WorkerPool, ledger: ReplyAudit, report, name: str, kills: int, again_s: float) -> None:
    ledger.settle(meanwhile=crew.revive)
    crew.close()
    verdict = ledger.verdict()
    report.add(name, verdict, kills=kills, again_s=again_s)
    assert verdict.holds, verdict
    assert again_s < AGAIN_S
    assert FENCED not in crew.exit_codes, "nobody starts such a worker again"


def kill_broker(kafka: BrokerProcess, crew: WorkerPool, ledger: ReplyAudit, times: int) -> float:
    slowest = 0.0
    for number in range(times):
        print(f"faults: broker fault {number + 1} of {times}, slowest so far {slowest:.1f} s", flush=True)
        ledger.ask(SOME)
        ledger.wait(lambda: ledger.open < SOME)  # in mid-batch
        kafka.kill()
        slowest = max(slowest, again_after(crew, ledger, kafka.wait_until_back()))
    return slowest


def freeze_broker(kafka: BrokerProcess, crew: WorkerPool, ledger: ReplyAudit, times: int, frozen_s: float) -> float:
    slowest = 0.0
    for number in range(times):
        print(f"faults: broker fault {number + 1} of {times}, slowest so far {slowest:.1f} s", flush=True)
        ledger.ask(SOME)
        ledger.wait(lambda: ledger.open < SOME)  # in mid-batch
        broker = kafka.process()
        broker.send_signal(signal.SIGSTOP)
        try:
            time.sleep(frozen_s)  # nobody can be asked meanwhile
        finally:
            broker.send_signal(signal.SIGCONT)
        slowest = max(slowest, again_after(crew, ledger, time.monotonic()))
    return slowest


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_killed_broker_is_waited_for(kafka, crew, ledger, report):
    """In mid-batch, again and again; its log says what was committed."""
    crew.start_ready(1, 2)
    again_s = kill_broker(kafka, crew, ledger, times=5)
    close_the_books(crew, ledger, report, "broker kill -9", 5, again_s)


def test_a_broker_that_stood_still_once_is_waited_for(kafka, crew, ledger, report):
    """For longer than requests and sessions last: no worker takes its own late join for another process."""
    crew.start_ready(1, 2)
    again_s = freeze_broker(kafka, crew, ledger, times=1, frozen_s=12.0)
    close_the_books(crew, ledger, report, "broker SIGSTOP 12 s, once", 1, again_s)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("frozen_s", [3.0, 12.0], ids=["a moment", "past requests and sessions"])
def test_a_frozen_broker_is_waited_for(kafka, crew, ledger, report, frozen_s):
    """Also longer than a request may take, so that outcomes are unknown."""
    crew.start_ready(1, 2)
    again_s = freeze_broker(kafka, crew, ledger, times=4, frozen_s=frozen_s)
    close_the_books(crew, ledger, report, f"broker SIGSTOP {frozen_s:g} s", 4, again_s)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_slow_broker_is_only_slow(kafka, crew, ledger, report):
    """A quarter of a second each way: commits count as slow, and every next one gets a producer of its own."""
    with kafka.proxy() as proxy:
        crew.more.update(kafka.through_proxy())
        crew.start_ready(1)
        proxy.delay_s = SLOW_S
        ledger.ask(500)
        ledger.wait(lambda: ledger.open < 200)
        proxy.delay_s = 0.0
        again_s = again_after(crew, ledger, time.monotonic())
        close_the_books(crew, ledger, report, "slow broker", 0, again_s)


def test_status_knows_whether_positions_outlive_questions(kafka: BrokerProcess, monkeypatch) -> None:
    """Ours keeps them for ten years; somebody else's is read in the same way, and its operator told what to set."""
    assert kafka_offsets.offsets_warning(kafka.settings) is None
    monkeypatch.setattr(kafka_offsets, "MIN_OFFSETS_RETENTION_DAYS", 3651)
    warning = kafka_offsets.offsets_warning(kafka.settings)
    assert warning is not None
    assert "offsets.retention.minutes=5256000" in warning
    assert "to 5257440 or more" in warning


@pytest.mark.timeout(300)
def test_a_worker_ends_on_request_while_the_broker_stands_still(
    kafka: BrokerProcess, crew: WorkerPool, ledger: ReplyAudit
) -> None:
    """Its calls wait for ten seconds each; it ends within them, with exit code 0, and what it had in hand comes again."""
    crew.start_ready(1)
    worker = crew.workers[1]
    broker = kafka.process()
    ledger.ask(SOME)
    broker.send_signal(signal.SIGSTOP)
    try:
        assert crew.stop(1) < 12
    finally:
        broker.send_signal(signal.SIGCONT)
    assert worker.process.returncode == 0, worker.tail()
    crew.start_ready(1)
    ledger.settle()
    crew.close()
    assert ledger.verdict().holds


@pytest.mark.parametrize("listens", [False, True], ids=["nobody there", "somebody who never answers"])
def test_a_worker_ends_on_request_while_it_looks_for_a_broker(tmp_path, listens: bool) -> None:
    """Exit code 0: it was asked to end, and nothing has failed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not listens:
            silent.close()
        worker = WorkerProcess(Settings(), 1, tmp_path, more={"KOGPT2_KAFKA__BOOTSTRAP": f"127.0.0.1:{port}"})
        until(lambda: "kafka_unavailable" in worker.tail(), 120, worker.tail)
        assert worker.terminate() < 12
    assert worker.process.returncode == 0, worker.tail()
