"""Connections lost under each request of a transaction: the client sends it again, and the first copy comes late."""

import random
import threading
import time
from contextlib import suppress

import pytest

from kogpt2_chat.testing.tcp_proxy import TRANSACTION_REQUESTS, Held, TcpProxy
from tests.faults.broker_process import BrokerProcess
from tests.faults.consumers import DEADLINE_S, Died, Group, publish, through_proxy, turns_of
from tests.faults.reply_audit import Verdict

SOME = 12
STEPS = ("begun", "sent", "offsets_sent", "committed")
EARLY_S, LATE_S = (0.02, 0.1), (0.5, 1.0)
"""After the request, as far as an impatient and a patient look at the commit's time could tell them apart."""
TIMES = 100
NAMES = dict(
    zip(TRANSACTION_REQUESTS, ("AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"), strict=True)
)


class Losses:
    """One worker's exchange behind a proxy that loses its connections.

    A copy reaches the broker at once (its answer is lost), or at a step of the next transaction, which every third time
    dies of it: its process goes no further, and the next one begins.
    """

    def __init__(self, kafka: BrokerProcess, made: Group, proxy: TcpProxy, chance: random.Random) -> None:
        self._group, self._proxy, self._chance = made, proxy, chance
        self._exchange = made.exchange(1, self._on_step, through_proxy(kafka))
        self._copies: list[Held] = []
        self._comes_at = ""
        self.count = 0

    def lose(self, api_key: int, between_s: tuple[float, float]) -> None:
        """One connection, and the transaction after it."""
        self._proxy.hold(api_key)
        losing = threading.Thread(target=self._lose, args=(self._chance.uniform(*between_s),))
        losing.start()
        self._answer()
        losing.join(DEADLINE_S)
        self._comes_at = self._chance.choice(STEPS)
        self._answer()
        self._let_go()

    def verdict(self) -> Verdict:
        """A new process finds nothing left to answer."""
        self._exchange.recover()
        self._group.drain(self._exchange)
        self._exchange.close()
        return self._group.ledger.verdict()

    def _lose(self, after_s: float) -> None:
        held = self._proxy.wait_held(DEADLINE_S)
        time.sleep(after_s)
        if self._chance.random() < 0.25:
            held.release()
        held.lose_client()
        self._copies.append(held)
        self.count += 1

    def _answer(self) -> None:
        """Ask, and answer whatever is asked; begin from the committed positions whenever nothing is left to poll."""
        self._group.ledger.ask(SOME)
        deadline = time.monotonic() + DEADLINE_S
        while not self._group.is_done():
            assert time.monotonic() < deadline, "the questions are not all answered"
            batch = self._exchange.poll(0.5, SOME)
            is_published = False
            with suppress(Died):
                is_published = bool(batch.records) and publish(self._exchange, batch, *turns_of(batch.records))
            if not is_published:
                self._group.recover(self._exchange)

    def _on_step(self, step: str) -> None:
        if step != self._comes_at:
            return
        self._comes_at = ""
        self._let_go()
        if self._chance.random() < 1 / 3:
            raise Died

    def _let_go(self) -> None:
        while self._copies:
            held = self._copies.pop()
            held.release()
            held.answered.wait(1.0)  # one that was let go before it was lost may have been answered to nobody


def lose_again_and_again(kafka: BrokerProcess, made: Group, api_key: int, times: int) -> tuple[Verdict, int]:
    """So many connections early, and so many late."""
    with kafka.proxy() as proxy:
        losses = Losses(kafka, made, proxy, random.Random(api_key))
        for between_s in (EARLY_S, LATE_S):
            for number in range(times):
                losses.lose(api_key, between_s)
                if number % 20 == 19:
                    print(f"faults: {losses.count} of {2 * times} connections lost at {NAMES[api_key]}", flush=True)
        return losses.verdict(), losses.count


@pytest.mark.parametrize("api_key", TRANSACTION_REQUESTS, ids=NAMES.get)
def test_a_few_connections_lost_in_a_transaction_do_no_harm(kafka, group, api_key):
    """Each question is answered once, whichever request of a transaction is sent twice and comes late."""
    verdict, count = lose_again_and_again(kafka, group, api_key, 3)
    assert count == 6
    assert verdict.holds, verdict


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("api_key", TRANSACTION_REQUESTS, ids=NAMES.get)
def test_hundreds_of_connections_lost_in_transactions_do_no_harm(kafka, group, report, api_key):
    """A hundred early and a hundred late at each request."""
    verdict, count = lose_again_and_again(kafka, group, api_key, TIMES)
    report.add(f"{NAMES[api_key]} sent twice", verdict, kills=count)
    assert count == 2 * TIMES
    assert verdict.holds, verdict
