"""The broker is killed, frozen or slow: no answer is lost or doubled, and the workers recover without help."""

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
from tests.loop import wait_until

RECOVERY_S = 60.0
"""Limit for a busy machine. The aim is 15 s; the report shows the measured time."""
SLOW_S = 0.25
QUESTIONS = 90


def recovery_after(pool: WorkerPool, audit: ReplyAudit, end_of_fault: float) -> float:
    """Return the seconds from the end of a fault until all questions, including 12 new ones, have a reply."""
    deadline = time.monotonic() + RECOVERY_S
    while True:
        try:
            audit.ask(12)
            break
        except Unavailable:  # the asking client, too, has to reconnect first
            assert time.monotonic() < deadline
    audit.wait_for_replies(RECOVERY_S, pool.restart_dead)
    return time.monotonic() - end_of_fault


def check_result(pool: WorkerPool, audit: ReplyAudit, report, name: str, kills: int, recovery_s: float) -> None:
    audit.wait_for_replies(on_wait=pool.restart_dead)
    pool.dead()  # keeps the exit codes of workers that have ended since
    pool.close()
    result = audit.result()
    report.add(name, result, kills=kills, recovery_s=recovery_s)
    assert result.is_exactly_once, result
    assert recovery_s < RECOVERY_S
    assert FENCED not in pool.exit_codes, "a worker was fenced; a supervisor would not restart it"


def kill_broker(kafka: BrokerProcess, pool: WorkerPool, audit: ReplyAudit, times: int) -> float:
    slowest = 0.0
    for number in range(times):
        print(f"faults: broker fault {number + 1} of {times}, slowest so far {slowest:.1f} s", flush=True)
        audit.ask(QUESTIONS)
        audit.wait(lambda: audit.unanswered < QUESTIONS)  # some questions have replies, others are in flight
        kafka.kill()
        slowest = max(slowest, recovery_after(pool, audit, kafka.wait_until_listening()))
    return slowest


def freeze_broker(kafka: BrokerProcess, pool: WorkerPool, audit: ReplyAudit, times: int, frozen_s: float) -> float:
    slowest = 0.0
    for number in range(times):
        print(f"faults: broker fault {number + 1} of {times}, slowest so far {slowest:.1f} s", flush=True)
        audit.ask(QUESTIONS)
        audit.wait(lambda: audit.unanswered < QUESTIONS)  # some questions have replies, others are in flight
        broker = kafka.process()
        broker.send_signal(signal.SIGSTOP)
        try:
            time.sleep(frozen_s)  # the length of the fault; no event to wait for
        finally:
            broker.send_signal(signal.SIGCONT)
        slowest = max(slowest, recovery_after(pool, audit, time.monotonic()))
    return slowest


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_workers_survive_kills_of_the_broker(kafka, pool, audit, report):
    """The broker is killed five times while questions are in flight, and recovers from its log."""
    pool.start_ready(1, 2)
    recovery_s = kill_broker(kafka, pool, audit, times=5)
    check_result(pool, audit, report, "broker kill -9", 5, recovery_s)


def test_workers_survive_a_frozen_broker_once(kafka, pool, audit, report):
    """For longer than request and session timeouts; no worker treats its own late join as another process."""
    pool.start_ready(1, 2)
    recovery_s = freeze_broker(kafka, pool, audit, times=1, frozen_s=12.0)
    check_result(pool, audit, report, "broker SIGSTOP 12 s, once", 1, recovery_s)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("frozen_s", [3.0, 12.0], ids=["short", "longer than request and session timeouts"])
def test_workers_survive_a_frozen_broker(kafka, pool, audit, report, frozen_s):
    """Four times, also for longer than the request timeout, so that outcomes of requests are unknown."""
    pool.start_ready(1, 2)
    recovery_s = freeze_broker(kafka, pool, audit, times=4, frozen_s=frozen_s)
    check_result(pool, audit, report, f"broker SIGSTOP {frozen_s:g} s", 4, recovery_s)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_slow_broker_only_delays_answers(kafka, pool, audit, report):
    """Requests and responses are delayed by 0.25 s each."""
    with kafka.proxy() as proxy:
        pool.more.update(kafka.through_proxy())
        pool.start_ready(1)
        proxy.delay_s = SLOW_S
        audit.ask(500)
        audit.wait(lambda: audit.unanswered < 200)
        proxy.delay_s = 0.0
        recovery_s = recovery_after(pool, audit, time.monotonic())
        check_result(pool, audit, report, "slow broker", 0, recovery_s)


def test_status_warns_if_the_broker_deletes_positions_too_early(kafka: BrokerProcess, monkeypatch) -> None:
    """The stack's broker keeps them for ten years. For a shorter time, the warning says what to set."""
    assert kafka_offsets.offsets_warning(kafka.settings) is None
    monkeypatch.setattr(kafka_offsets, "MIN_OFFSETS_RETENTION_DAYS", 3651)
    warning = kafka_offsets.offsets_warning(kafka.settings)
    assert warning is not None
    assert "offsets.retention.minutes=5256000" in warning
    assert "to 5257440 or more" in warning


@pytest.mark.timeout(300)
def test_sigterm_ends_a_worker_while_the_broker_is_frozen(
    kafka: BrokerProcess, pool: WorkerPool, audit: ReplyAudit
) -> None:
    """It ends within 12 s, with exit code 0, and its questions in flight are answered after its restart."""
    pool.start_ready(1)
    worker = pool.workers[1]
    broker = kafka.process()
    audit.ask(QUESTIONS)
    broker.send_signal(signal.SIGSTOP)
    try:
        assert pool.stop(1) < 12
    finally:
        broker.send_signal(signal.SIGCONT)
    assert worker.process.returncode == 0, worker.tail()
    pool.start_ready(1)
    audit.wait_for_replies()
    pool.close()
    assert audit.result().is_exactly_once


@pytest.mark.parametrize("listens", [False, True], ids=["connection refused", "no response"])
def test_sigterm_ends_a_worker_that_cannot_reach_a_broker(tmp_path, listens: bool) -> None:
    """It ends within 12 s, with exit code 0."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not listens:
            silent.close()
        worker = WorkerProcess(Settings(), 1, tmp_path, more={"KOGPT2_KAFKA__BOOTSTRAP": f"127.0.0.1:{port}"})
        wait_until(lambda: "kafka_unavailable" in worker.tail(), 120, worker.tail)
        assert worker.terminate() < 12
    assert worker.process.returncode == 0, worker.tail()
