"""Connections lost during each request of a transaction: the client resends it, and the first copy arrives late."""

import random
import threading
import time
from contextlib import suppress

import pytest

from kogpt2_chat.testing.tcp_proxy import TRANSACTION_REQUESTS, Held, TcpProxy
from tests.faults.broker_process import BrokerProcess
from tests.faults.consumers import DEADLINE_S, ConsumerGroup, publish, through_proxy, turns_of
from tests.faults.reply_audit import AuditResult
from tests.simulated_kill import SimulatedKill

QUESTIONS = 12
STEPS = ("begun", "sent", "offsets_sent", "committed")
EARLY_S, LATE_S = (0.02, 0.1), (0.5, 1.0)
"""How long after a request its connection is lost. The duration of the commit would reveal only the late losses."""
TIMES = 100
NAMES = dict(
    zip(TRANSACTION_REQUESTS, ("AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"), strict=True)
)


class LossScenario:
    """One worker's consumer, behind a proxy that closes its connections.

    The first copy of a request reaches the broker at once, and only its response is lost, or it arrives at a random
    step of the next transaction. Every third of these transactions ends there, as if its process had died.
    """

    def __init__(self, kafka: BrokerProcess, group: ConsumerGroup, proxy: TcpProxy, rng: random.Random) -> None:
        self._group, self._proxy, self._rng = group, proxy, rng
        self._consumer = group.consumer(1, self._on_step, through_proxy(kafka))
        self._copies: list[Held] = []
        self._release_at = ""
        self.count = 0

    def lose(self, api_key: int, between_s: tuple[float, float]) -> None:
        """Lose one connection, and answer more questions in the transaction after it."""
        self._proxy.hold(api_key)
        losing = threading.Thread(target=self._lose, args=(self._rng.uniform(*between_s),))
        losing.start()
        self._answer()
        losing.join(DEADLINE_S)
        self._release_at = self._rng.choice(STEPS)
        self._answer()
        self._release_copies()

    def result(self) -> AuditResult:
        """Answer the remaining questions as a new process would, and return the result."""
        self._consumer.recover()
        self._group.drain(self._consumer)
        self._consumer.close()
        return self._group.audit.result()

    def _lose(self, after_s: float) -> None:
        held = self._proxy.wait_held(DEADLINE_S)
        time.sleep(after_s)
        if self._rng.random() < 0.25:
            held.release()
        held.lose_client()
        self._copies.append(held)
        self.count += 1

    def _answer(self) -> None:
        """Ask, and answer all questions; go back to the committed positions when nothing was published."""
        self._group.audit.ask(QUESTIONS)
        deadline = time.monotonic() + DEADLINE_S
        while not self._group.is_all_committed():
            assert time.monotonic() < deadline, "some questions are not answered"
            batch = self._consumer.poll(0.5, QUESTIONS)
            is_published = False
            with suppress(SimulatedKill):
                is_published = bool(batch.records) and publish(self._consumer, batch, *turns_of(batch.records))
            if not is_published:
                self._group.recover(self._consumer)

    def _on_step(self, step: str) -> None:
        if step != self._release_at:
            return
        self._release_at = ""
        self._release_copies()
        if self._rng.random() < 1 / 3:
            raise SimulatedKill

    def _release_copies(self) -> None:
        while self._copies:
            held = self._copies.pop()
            held.release()
            held.answered.wait(1.0)  # not asserted: the connection may have closed before the response


def lose_connections(kafka: BrokerProcess, group: ConsumerGroup, api_key: int, times: int) -> tuple[AuditResult, int]:
    """Lose so many connections early and so many late; return the result and the number of lost connections."""
    with kafka.proxy() as proxy:
        scenario = LossScenario(kafka, group, proxy, random.Random(api_key))
        for between_s in (EARLY_S, LATE_S):
            for number in range(times):
                scenario.lose(api_key, between_s)
                if number % 20 == 19:
                    print(f"faults: {scenario.count} of {2 * times} connections lost at {NAMES[api_key]}", flush=True)
        return scenario.result(), scenario.count


@pytest.mark.parametrize("api_key", TRANSACTION_REQUESTS, ids=NAMES.get)
def test_a_few_lost_connections_neither_lose_nor_double_an_answer(kafka, group, api_key):
    """For each request of a transaction: its connection is lost, it is resent, and its first copy arrives late."""
    result, count = lose_connections(kafka, group, api_key, 3)
    assert count == 6
    assert result.is_exactly_once, result


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("api_key", TRANSACTION_REQUESTS, ids=NAMES.get)
def test_hundreds_of_lost_connections_neither_lose_nor_double_an_answer(kafka, group, report, api_key):
    """For each request, a hundred connections are lost early and a hundred late."""
    result, count = lose_connections(kafka, group, api_key, TIMES)
    report.add(f"{NAMES[api_key]} sent twice", result, kills=count)
    assert count == 2 * TIMES
    assert result.is_exactly_once, result
