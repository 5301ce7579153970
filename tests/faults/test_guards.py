"""Each guard of the exactly-once recipe on a real broker, in place and taken out: without it, the invariant breaks.

So a test that finds nothing wrong is known to be able to. The numbers are those of ADR 0034.
"""

import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka import librdkafka_consumer as kafka_in_c
from kogpt2_chat.adapters.kafka import topics as kafka_adapter
from kogpt2_chat.adapters.kafka import transactions as kafka_transactions
from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer
from kogpt2_chat.adapters.kafka.unanswered import Unanswered
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.ports import Assignment, Batch, Outgoing
from kogpt2_chat.testing.tcp_proxy import END_TXN, TXN_OFFSET_COMMIT, Held, TcpProxy
from tests.faults.broker_process import BrokerProcess
from tests.faults.consumers import (
    DEADLINE_S,
    Died,
    Group,
    Publishing,
    answers_to,
    positions_of,
    publish,
    through_proxy,
)

QUESTIONS = 36
both = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "guard taken out"])


class Tampered:
    """A producer with some of its methods replaced."""

    def __init__(self, producer: Any, **replaced: Any) -> None:
        self._producer = producer
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._producer, name)


def hand_over(group: Group, first: KafkaTransactionalConsumer, second: KafkaTransactionalConsumer) -> list[Batch]:
    """Both poll, until the second one owns some of the partitions; what it was given at that moment."""
    given: list[Batch] = []
    deadline = time.monotonic() + DEADLINE_S
    while not second._consumer.assignment():
        assert time.monotonic() < deadline, "no partition was given to the second worker"
        first.poll(0.1, 0)
        given.append(second.poll(0.1, 0))
    return [batch for batch in given if batch.records]


def publish_twice_sent(
    group: Group, exchange: KafkaTransactionalConsumer, proxy: TcpProxy, api_key: int, lost_after_s: float
) -> Held:
    """Answer some questions, while a request of their transaction is held and its connection lost."""
    held: list[Held] = []

    def lose() -> None:
        held.append(proxy.wait_held(DEADLINE_S))
        time.sleep(lost_after_s)
        held[0].lose_client()

    group.ledger.ask(QUESTIONS)
    batch = group.poll(exchange, QUESTIONS)
    proxy.hold(api_key)
    losing = threading.Thread(target=lose)
    losing.start()
    assert publish(exchange, batch), "the client sends the same request again, over another connection"
    losing.join()
    return held[0]


def assert_holds(group: Group, guarded: bool) -> None:
    verdict = group.ledger.verdict()
    assert (verdict.lost == verdict.double == 0) is guarded, verdict


@both
def test_1_an_heir_waits_for_positions_that_are_not_settled(group: Group, guarded: bool, monkeypatch) -> None:
    """Only a read_committed consumer waits for the transaction that is about to move the committed positions."""
    # On a busy machine the broker would end the open transaction before the heir has come.
    monkeypatch.setattr(kafka_transactions, "_TRANSACTION_TIMEOUT_MS", int(4 * DEADLINE_S * 1000))
    if not guarded:
        _set(monkeypatch, {"isolation.level": "read_uncommitted"})
    publishing = Publishing("offsets_sent")
    first = group.exchange(1, publishing.on_step)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    publishing.begin(lambda: publish(first, batch))
    second = group.exchange(2)
    early = hand_over(group, first, second)
    early += [second.poll(0.2, QUESTIONS) for _ in range(15)]
    seen = sum(publish(second, batch) for batch in early if batch.records)
    assert bool(seen) is not guarded
    publishing.finish()
    assert publishing.outcome
    assert_holds(group, guarded)


@both
def test_1_positions_are_committed_by_transactions_only(group: Group, guarded: bool, monkeypatch) -> None:
    """A consumer that commits what it has given out loses it with its process."""
    if not guarded:
        by_itself = {"enable.auto.commit": True, "enable.auto.offset.store": True, "auto.commit.interval.ms": 100}
        _set(monkeypatch, by_itself)
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    group.poll(first, QUESTIONS)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and not group.is_done():
        first.poll(0.1, 0)
    group.drain(group.exchange(1))
    assert_holds(group, guarded)


@both
def test_1_an_heir_of_a_slot_takes_over_at_once(group: Group, guarded: bool, monkeypatch) -> None:
    """Without a name in the group it waits until the dead member's session, or its poll interval, has run out."""
    if not guarded:
        _set(monkeypatch, {"group.instance.id": None})
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    group.poll(first, QUESTIONS)  # and never again: it is dead
    heir = group.exchange(1)
    deadline = time.monotonic() + 4
    seen = 0
    while seen < QUESTIONS and time.monotonic() < deadline:
        seen += len(heir.poll(0.2, QUESTIONS).records)
    assert (seen == QUESTIONS) is guarded


@both
def test_1_a_join_takes_only_what_it_gets(group: Group, guarded: bool, monkeypatch) -> None:
    """Else every join takes all partitions from everybody, and all that is in flight is decoded again."""
    if not guarded:
        _set(monkeypatch, {"partition.assignment.strategy": "range"})
    lost: list[int] = []
    plain = KafkaTransactionalConsumer._on_revoked
    monkeypatch.setattr(
        KafkaTransactionalConsumer,
        "_on_revoked",
        lambda self, consumer, partitions: (lost.append(len(partitions)), plain(self, consumer, partitions)),
    )
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    group.poll(first, QUESTIONS)
    hand_over(group, first, group.exchange(2))
    assert (max(lost) < TOPIC_BY_NAME[QUESTION_TOPIC].partitions) is guarded


@both
def test_1_a_worker_that_does_not_poll_yet_takes_no_partitions(group: Group, guarded: bool) -> None:
    """The client joins by itself once it has subscribed; while models are loaded nobody would read its partitions."""
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    second = group.exchange(2)
    if not guarded:
        second._join()
    deadline = time.monotonic() + (3 if guarded else DEADLINE_S)
    while (kept := first.poll(0.2, 0).assignment == batch.assignment) and time.monotonic() < deadline:
        continue
    assert kept is guarded


@both
def test_1_a_worker_may_be_busy_for_longer_than_its_session(group: Group, guarded: bool, monkeypatch) -> None:
    """With a poll interval as short as the session, a batch that takes longer costs it its partitions."""
    if not guarded:
        _set(monkeypatch, {"max.poll.interval.ms": int(group.settings.serving.session_timeout_s * 1000)})
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    time.sleep(group.settings.serving.session_timeout_s + 2)  # the rule is about this time without a poll
    assignments = [first.poll(0.2, 0).assignment for _ in range(10)]
    assert (assignments == [batch.assignment] * 10) is guarded


@both
def test_2_an_assignment_is_the_one_of_its_poll(group: Group, guarded: bool) -> None:
    """Group metadata taken when publishing says who owns the partitions now, not who owned them then."""
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    second = group.exchange(2)
    given = hand_over(group, first, second)
    while group.ledger.open == QUESTIONS:
        for own in given:
            assert not own.records or publish(second, own)
        given = [second.poll(0.2, QUESTIONS)]
        first.poll(0.1, 0)
        group.ledger.look()
    assignment = batch.assignment if guarded else first.poll(0, 0).assignment
    result = first.publish(assignment, positions_of(batch.records), answers_to(batch.records))
    assert result.published is not guarded
    if guarded:
        second.close()  # both have to join before the first one is told anything
        group.recover(first)
        group.drain(first)
    assert_holds(group, guarded)


@both
def test_2_an_assignment_of_nobody_is_not_published(group: Group, guarded: bool) -> None:
    """After leaving the group the generation is -1, and the broker lets that pass once the group is empty."""
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    heir = group.exchange(2)
    first.close()
    group.drain(heir)
    heir.close()
    nobody = ConsumerGroupMetadata(group.name, -1, "", None)
    if guarded:
        assert not publish(first, Batch(batch.records, Assignment(0, nobody)))
    else:
        assert first._transactions.publish(nobody, positions_of(batch.records), answers_to(batch.records)).published
    assert_holds(group, guarded)


@both
@pytest.mark.parametrize("place", [0, 3], ids=["first", "last"])
def test_5_every_future_is_looked_at(group: Group, guarded: bool, place: int) -> None:
    """What its topic cannot take is named, so that a dead letter can take its place; else it comes back for ever.

    Sent first, its refusal is back before the others are sent, and fails them too.
    """
    first = group.exchange(1)
    if not guarded:
        first._transactions.producer = Tampered(
            first._transactions.producer, send=_with_blind_future(first._transactions.producer.send)
        )
    group.ledger.ask(3)
    batch = group.poll(first, 3)
    outgoing = answers_to(batch.records)
    large = Outgoing(topic=group.small_topic(), key=b"k", value=b"x" * 200_000, headers={"turn_id": "large"})
    outgoing.insert(place, large)
    result = first.publish(batch.assignment, positions_of(batch.records), outgoing)
    assert (result.too_large == large) is guarded
    group.recover(first)  # ends the transaction, for the next test's readers
    if guarded:
        group.drain(first)
        assert_holds(group, guarded)


@both
def test_5_positions_move_with_the_answers(group: Group, guarded: bool) -> None:
    """Offsets that are committed after the transaction are lost with a process that dies between the two."""

    def die(step: str) -> None:
        if step == "committed":
            raise Died

    first = group.exchange(1, die)
    if not guarded:
        first._transactions.producer = Tampered(
            first._transactions.producer, send_offsets_to_transaction=lambda *_: None
        )
    group.ledger.ask(3)
    batch = group.poll(first, 3)
    with pytest.raises(Died):
        publish(first, batch)
    group.drain(group.exchange(1))
    assert_holds(group, guarded)


@both
def test_6_after_an_abort_the_questions_come_again(group: Group, guarded: bool, monkeypatch) -> None:
    """The position has moved on by then; without going back, the next commit passes over them."""
    first = group.exchange(1)
    group.ledger.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    first._transactions.producer = Tampered(first._transactions.producer, commit_transaction=_timed_out)
    assert not publish(first, batch)
    if not guarded:
        monkeypatch.setattr(KafkaTransactionalConsumer, "_go_back", lambda *_: None)
    first.recover()
    group.ledger.ask(5 * QUESTIONS)  # on every partition again, or nothing would be passed over
    group.drain(first)
    assert_holds(group, guarded)


@both
@pytest.mark.parametrize("lost_after_s", [0.05, 1.0], ids=["early", "late"])
def test_6_a_late_commit_finds_another_producer(
    kafka: BrokerProcess, group: Group, guarded: bool, lost_after_s: float, monkeypatch
) -> None:
    """KIP-890: an EndTxn that was sent twice and arrives late would commit half of the next transaction.

    However fast the second copy was: a connection that is lost early makes no transaction slow.
    """
    if not guarded:
        monkeypatch.setattr(Unanswered, "_note", lambda *_: None)
    with kafka.proxy() as proxy:
        publishing = Publishing("sent")
        first = group.exchange(1, publishing.on_step, through_proxy(kafka))
        held = publish_twice_sent(group, first, proxy, END_TXN, lost_after_s)
        group.ledger.ask(QUESTIONS)
        batch = group.poll(first, QUESTIONS)
        publishing.begin(lambda: publish(first, batch))
        held.release()
        assert held.answered.wait(DEADLINE_S)
        deadline = time.monotonic() + (2 if guarded else DEADLINE_S)
        while group.ledger.open and time.monotonic() < deadline:
            group.ledger.look()
        assert bool(group.ledger.open) is guarded, "half a transaction can be seen, though nobody has committed it"
    publishing.die()
    group.drain(group.exchange(1))
    assert_holds(group, guarded)


@both
def test_6_late_positions_find_another_producer(kafka: BrokerProcess, group: Group, guarded: bool, monkeypatch) -> None:
    """A TxnOffsetCommit that was sent twice and arrives late takes the next transaction's positions back."""
    if not guarded:
        monkeypatch.setattr(Unanswered, "_note", lambda *_: None)
    with kafka.proxy() as proxy:
        publishing = Publishing("offsets_sent")
        first = group.exchange(1, publishing.on_step, through_proxy(kafka))
        held = publish_twice_sent(group, first, proxy, TXN_OFFSET_COMMIT, 0.05)
        group.ledger.ask(QUESTIONS)
        batch = group.poll(first, QUESTIONS)
        publishing.begin(lambda: publish(first, batch))
        held.release()
        assert held.answered.wait(DEADLINE_S)
        publishing.finish()
        assert publishing.outcome
        assert group.is_done() is guarded
        first.close()
    group.drain(group.exchange(1))
    assert_holds(group, guarded)


@both
def test_7_an_heir_ends_its_predecessor_s_transaction(group: Group, guarded: bool) -> None:
    """With an id of its own the heir leaves it open, and readers wait behind it until it times out."""
    publishing = Publishing("offsets_sent")
    first = group.exchange(1, publishing.on_step)
    group.ledger.ask(3)
    batch = group.poll(first, 3)
    publishing.begin(lambda: publish(first, batch))
    heir = KafkaTransactionalConsumer(group.settings, 1, group.name)
    group.opened.append(heir)
    if not guarded:
        heir._transactions.transactional_id = uuid.uuid4().hex
    heir.recover()
    is_settled = group.ledger.written_ends(BOT_IDS[0]) == group.ledger.topics.end_positions(BOT_IDS[0])
    with suppress(Exception):
        publishing.finish()
    assert is_settled is guarded


@both
def test_8_a_transaction_that_must_wait_asks_again_soon(group: Group, guarded: bool, monkeypatch) -> None:
    """Until a commit's markers are written, the next transaction has to wait, by default a tenth of a second a time.

    How often that happens is the broker's affair, so what is looked at is what the producer was made with.
    """
    default_ms = KafkaProducer.DEFAULT_CONFIG["retry_backoff_ms"]
    if not guarded:
        monkeypatch.setattr(kafka_adapter, "RETRY_BACKOFF_MS", default_ms)
    producer = group.exchange(1)._transactions.producer
    assert (producer.config["retry_backoff_ms"] <= default_ms / 10) is guarded


def _timed_out() -> None:
    raise KafkaTimeoutError("no answer")


def _set(monkeypatch, changed: dict[str, object]) -> None:
    """Other settings of the consumer; None leaves one out."""
    whole = kafka_in_c.consumer_settings

    def consumer_settings(*args: Any) -> dict[str, Any]:
        return {name: value for name, value in (whole(*args) | changed).items() if value is not None}

    monkeypatch.setattr(kafka_in_c, "consumer_settings", consumer_settings)


def _with_blind_future(send):
    class Blind:
        exception = None

        def get(self, timeout: float | None = None) -> None:
            """Nobody looks."""

        def failed(self) -> bool:
            return False

    def sent(*args: Any, **kwargs: Any) -> Blind:
        send(*args, **kwargs)
        return Blind()

    return sent
