"""Each guard of the exactly-once recipe on a real broker, in place and taken out.

Without its guard each test must find the fault, which shows that it can. The numbers in the names are from ADR 0034.
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

from kogpt2_chat.adapters.kafka import librdkafka_consumer
from kogpt2_chat.adapters.kafka import topics as kafka_topics
from kogpt2_chat.adapters.kafka import transactions as kafka_transactions
from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer
from kogpt2_chat.adapters.kafka.unanswered import Unanswered
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Assignment, Batch, GroupMember, Outgoing
from kogpt2_chat.testing.tcp_proxy import END_TXN, TXN_OFFSET_COMMIT, Held, TcpProxy
from tests.faults.broker_process import BrokerProcess
from tests.faults.consumers import (
    DEADLINE_S,
    ConsumerGroup,
    Publishing,
    answers_to,
    positions_of,
    publish,
    through_proxy,
)
from tests.simulated_kill import SimulatedKill

QUESTIONS = 36
both = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "guard taken out"])


class PatchedProducer:
    """A producer with some of its methods replaced."""

    def __init__(self, producer: Any, **replaced: Any) -> None:
        self._producer = producer
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._producer, name)


def poll_until_partitions_move(first: KafkaTransactionalConsumer, second: KafkaTransactionalConsumer) -> list[Batch]:
    """Poll both until the second one owns partitions, and return the batches with questions that it got so far."""
    batches: list[Batch] = []
    deadline = time.monotonic() + DEADLINE_S
    while not second._consumer.assignment():
        assert time.monotonic() < deadline, "the second worker got no partition"
        first.poll(0.1, 0)
        batches.append(second.poll(0.1, 0))
    return [batch for batch in batches if batch.records]


def poll_until_assigned(consumer: KafkaTransactionalConsumer) -> Batch:
    """Poll until the consumer owns partitions, and return the last batch."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        batch = consumer.poll(0.1, QUESTIONS)
        if batch.records or consumer._consumer.assignment():
            return batch
        assert time.monotonic() < deadline, "the consumer got no partition"


def publish_with_resent_request(
    group: ConsumerGroup, consumer: KafkaTransactionalConsumer, proxy: TcpProxy, api_key: int, lost_after_s: float
) -> Held:
    """Answer questions in a transaction; one request is held and its connection closed, so the client resends it."""
    held: list[Held] = []

    def lose() -> None:
        held.append(proxy.wait_held(DEADLINE_S))
        time.sleep(lost_after_s)
        held[0].lose_client()

    group.audit.ask(QUESTIONS)
    batch = group.poll(consumer, QUESTIONS)
    proxy.hold(api_key)
    losing = threading.Thread(target=lose)
    losing.start()
    assert publish(consumer, batch), "the client must resend the request over another connection"
    losing.join()
    return held[0]


def assert_exactly_once(group: ConsumerGroup, guarded: bool) -> None:
    """Check that replies are neither lost nor doubled with the guard, and that some are without it."""
    result = group.audit.result()
    assert (result.lost == result.double == 0) is guarded, result


@both
def test_1_a_new_owner_waits_for_the_open_transaction_of_the_last_one(
    group: ConsumerGroup, guarded: bool, monkeypatch
) -> None:
    """Only a read_committed consumer waits for the transaction that is about to move the committed positions."""
    # Otherwise, on a busy machine, the broker would end the open transaction before the second worker polls.
    monkeypatch.setattr(kafka_transactions, "_TRANSACTION_TIMEOUT_MS", int(4 * DEADLINE_S * 1000))
    if not guarded:
        _set(monkeypatch, {"isolation.level": "read_uncommitted"})
    publishing = Publishing("offsets_sent")
    first = group.consumer(1, publishing.on_step)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    publishing.begin(lambda: publish(first, batch))
    second = group.consumer(2)
    early = poll_until_partitions_move(first, second)
    early += [second.poll(0.2, QUESTIONS) for _ in range(15)]
    seen = sum(publish(second, batch) for batch in early if batch.records)
    assert bool(seen) is not guarded
    publishing.finish()
    assert publishing.outcome
    assert_exactly_once(group, guarded)


@both
def test_1_a_new_group_reads_the_questions_that_waited(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """With `latest` it would start after them."""
    if not guarded:
        _set(monkeypatch, {"auto.offset.reset": "latest"})
    group.audit.ask(QUESTIONS)
    consumer = KafkaTransactionalConsumer(group.settings, 1, f"{group.name}-new")
    group.opened.append(consumer)
    consumer.recover()
    first = poll_until_assigned(consumer)
    deadline = time.monotonic() + (DEADLINE_S if guarded else 3)
    while not first.records and time.monotonic() < deadline:
        first = consumer.poll(0.2, QUESTIONS)
    assert bool(first.records) is guarded


@both
def test_1_positions_are_committed_by_transactions_only(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """A consumer that commits what it has polled loses it if the process dies."""
    if not guarded:
        auto_commit = {"enable.auto.commit": True, "enable.auto.offset.store": True, "auto.commit.interval.ms": 100}
        _set(monkeypatch, auto_commit)
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    group.poll(first, QUESTIONS)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and not group.is_all_committed():
        first.poll(0.1, 0)
    group.drain(group.consumer(1))
    assert_exactly_once(group, guarded)


@both
def test_1_a_successor_gets_the_partitions_at_once(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """Without static membership it waits until the dead member's session or poll interval has expired."""
    if not guarded:
        _set(monkeypatch, {"group.instance.id": None})
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    group.poll(first, QUESTIONS)  # its last poll: it behaves like a dead worker
    successor = group.consumer(1)
    deadline = time.monotonic() + 4
    seen = 0
    while seen < QUESTIONS and time.monotonic() < deadline:
        seen += len(successor.poll(0.2, QUESTIONS).records)
    assert (seen == QUESTIONS) is guarded


@both
def test_1_a_join_revokes_only_the_partitions_that_move(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """With eager assignment a join takes all partitions from all workers, which decode everything in flight again."""
    if not guarded:
        _set(monkeypatch, {"partition.assignment.strategy": "range"})
    revoked: list[int] = []
    original = KafkaTransactionalConsumer._on_revoked
    monkeypatch.setattr(
        KafkaTransactionalConsumer,
        "_on_revoked",
        lambda self, consumer, partitions: (revoked.append(len(partitions)), original(self, consumer, partitions)),
    )
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    group.poll(first, QUESTIONS)
    poll_until_partitions_move(first, group.consumer(2))
    assert (max(revoked) < TOPIC_BY_NAME[QUESTION_TOPIC].partitions) is guarded


@both
def test_1_a_worker_gets_no_partitions_before_its_first_poll(group: ConsumerGroup, guarded: bool) -> None:
    """The client joins when it subscribes; while the worker still loads models, its partitions would not be read."""
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    second = group.consumer(2)
    if not guarded:
        second._join()
    deadline = time.monotonic() + (3 if guarded else DEADLINE_S)
    while (kept := first.poll(0.2, 0).assignment == batch.assignment) and time.monotonic() < deadline:
        continue
    assert kept is guarded


@both
def test_1_a_worker_may_be_busy_for_longer_than_its_session(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """With a poll interval as short as the session, a worker whose batch takes longer loses its partitions."""
    if not guarded:
        _set(monkeypatch, {"max.poll.interval.ms": int(group.settings.serving.session_timeout_s * 1000)})
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    time.sleep(group.settings.serving.session_timeout_s + 2)  # the time without a poll is what is tested
    assignments = [first.poll(0.2, 0).assignment for _ in range(10)]
    assert (assignments == [batch.assignment] * 10) is guarded


@both
def test_2_a_batch_has_the_assignment_of_its_poll(group: ConsumerGroup, guarded: bool) -> None:
    """Group metadata read at publication describes the present owner of the partitions, not the owner at the poll."""
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    second = group.consumer(2)
    batches = poll_until_partitions_move(first, second)
    while group.audit.unanswered == QUESTIONS:
        for own in batches:
            assert not own.records or publish(second, own)
        batches = [second.poll(0.2, QUESTIONS)]
        first.poll(0.1, 0)
        group.audit.read_new()
    assignment = batch.assignment if guarded else first.poll(0, 0).assignment
    result = first.publish(assignment, positions_of(batch.records), answers_to(batch.records))
    assert result.published is not guarded
    if guarded:
        second.close()  # otherwise the rebalance, and so the first one's recovery, would wait for it to join
        group.recover(first)
        group.drain(first)
    assert_exactly_once(group, guarded)


@both
def test_2_a_batch_without_a_group_generation_is_not_published(group: ConsumerGroup, guarded: bool) -> None:
    """After leaving the group the generation is -1, which the broker accepts once the group is empty."""
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    other = group.consumer(2)
    first.close()
    group.drain(other)
    other.close()
    if guarded:
        assert not publish(first, Batch(batch.records, Assignment(0, GroupMember(generation=-1, member_id=""))))
    else:
        no_member = ConsumerGroupMetadata(group.name, -1, "", None)
        assert first._transactions.publish(no_member, positions_of(batch.records), answers_to(batch.records)).published
    assert_exactly_once(group, guarded)


@both
@pytest.mark.parametrize("index", [0, 3], ids=["first", "last"])
def test_5_the_future_of_each_record_is_checked(group: ConsumerGroup, guarded: bool, index: int) -> None:
    """The result names a record that its topic refuses, so that a dead letter can replace it.

    Without the name it is polled again forever. If it is sent first, the refusal arrives before the others are sent,
    and fails them as well.
    """
    first = group.consumer(1)
    if not guarded:
        first._transactions.producer = PatchedProducer(
            first._transactions.producer, send=_with_unchecked_future(first._transactions.producer.send)
        )
    group.audit.ask(3)
    batch = group.poll(first, 3)
    outgoing = answers_to(batch.records)
    large = Outgoing(topic=group.small_topic(), key=b"k", value=b"x" * 200_000, headers={"turn_id": "large"})
    outgoing.insert(index, large)
    result = first.publish(batch.assignment, positions_of(batch.records), outgoing)
    assert (result.too_large == large) is guarded
    group.recover(first)  # ends the transaction, behind which the next test's readers would wait
    if guarded:
        group.drain(first)
        assert_exactly_once(group, guarded)


@both
def test_5_positions_move_with_the_answers(group: ConsumerGroup, guarded: bool) -> None:
    """Positions that are committed after the transaction are lost if the process dies between the two."""

    def die(step: str) -> None:
        if step == "committed":
            raise SimulatedKill

    first = group.consumer(1, die)
    if not guarded:
        first._transactions.producer = PatchedProducer(
            first._transactions.producer, send_offsets_to_transaction=lambda *_: None
        )
    group.audit.ask(3)
    batch = group.poll(first, 3)
    with pytest.raises(SimulatedKill):
        publish(first, batch)
    group.drain(group.consumer(1))
    assert_exactly_once(group, guarded)


@both
def test_6_after_an_abort_the_questions_are_polled_again(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """The consumer has read past them; unless it goes back, the next commit skips them."""
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    first._transactions.producer = PatchedProducer(first._transactions.producer, commit_transaction=_timed_out)
    assert not publish(first, batch)
    if not guarded:
        monkeypatch.setattr(KafkaTransactionalConsumer, "_go_back", lambda *_: None)
    first.recover()
    group.audit.ask(5 * QUESTIONS)  # on every partition, so that a commit can skip the first ones
    group.drain(first)
    assert_exactly_once(group, guarded)


@both
@pytest.mark.parametrize("lost_after_s", [0.05, 1.0], ids=["early", "late"])
def test_6_a_late_commit_does_not_end_the_next_transaction(
    kafka: BrokerProcess, group: ConsumerGroup, guarded: bool, lost_after_s: float, monkeypatch
) -> None:
    """KIP-890: the late first copy of a resent EndTxn would commit half of the next transaction.

    The duration of the transaction does not reveal it: if the connection is lost early, the transaction is fast.
    """
    if not guarded:
        monkeypatch.setattr(Unanswered, "_note", lambda *_: None)
    with kafka.proxy() as proxy:
        publishing = Publishing("sent")
        first = group.consumer(1, publishing.on_step, through_proxy(kafka))
        held = publish_with_resent_request(group, first, proxy, END_TXN, lost_after_s)
        group.audit.ask(QUESTIONS)
        batch = group.poll(first, QUESTIONS)
        publishing.begin(lambda: publish(first, batch))
        held.release()
        assert held.answered.wait(DEADLINE_S)
        deadline = time.monotonic() + (2 if guarded else DEADLINE_S)
        while group.audit.unanswered and time.monotonic() < deadline:
            group.audit.read_new()
        assert bool(group.audit.unanswered) is guarded, "part of an uncommitted transaction is visible"
    publishing.die()
    group.drain(group.consumer(1))
    assert_exactly_once(group, guarded)


@both
def test_6_late_positions_do_not_replace_newer_ones(
    kafka: BrokerProcess, group: ConsumerGroup, guarded: bool, monkeypatch
) -> None:
    """The late first copy of a resent TxnOffsetCommit would replace the positions of the next transaction."""
    if not guarded:
        monkeypatch.setattr(Unanswered, "_note", lambda *_: None)
    with kafka.proxy() as proxy:
        publishing = Publishing("offsets_sent")
        first = group.consumer(1, publishing.on_step, through_proxy(kafka))
        held = publish_with_resent_request(group, first, proxy, TXN_OFFSET_COMMIT, 0.05)
        group.audit.ask(QUESTIONS)
        batch = group.poll(first, QUESTIONS)
        publishing.begin(lambda: publish(first, batch))
        held.release()
        assert held.answered.wait(DEADLINE_S)
        publishing.finish()
        assert publishing.outcome
        assert group.is_all_committed() is guarded
        first.close()
    group.drain(group.consumer(1))
    assert_exactly_once(group, guarded)


@both
def test_7_a_successor_ends_the_transaction_of_its_predecessor(group: ConsumerGroup, guarded: bool) -> None:
    """With another transactional id the successor would leave it open, and readers would wait until it times out."""
    publishing = Publishing("offsets_sent")
    first = group.consumer(1, publishing.on_step)
    group.audit.ask(3)
    batch = group.poll(first, 3)
    publishing.begin(lambda: publish(first, batch))
    successor = KafkaTransactionalConsumer(group.settings, 1, group.name)
    group.opened.append(successor)
    if not guarded:
        successor._transactions.transactional_id = uuid.uuid4().hex
    successor.recover()
    is_ended = group.audit.written_ends(BOT_IDS[0]) == group.audit.topics.end_positions(BOT_IDS[0])
    with suppress(Exception):
        publishing.finish()
    assert is_ended is guarded


@both
def test_7_the_first_of_two_processes_leaves_the_producer_to_the_second(
    group: ConsumerGroup, guarded: bool, monkeypatch
) -> None:
    """Without the question to the broker it would open a producer, which fences the second one's, and so on forever."""
    if not guarded:
        monkeypatch.setattr(KafkaTransactionalConsumer, "_check_fenced", lambda _: None)
    first = group.consumer(1)
    group.audit.ask(QUESTIONS)
    batch = group.poll(first, QUESTIONS)
    second = group.consumer(1)
    again = group.poll(second, QUESTIONS)
    assert not publish(first, batch)
    with suppress(Unavailable):  # it joins again
        first.recover()
    assert publish(second, again) is guarded


@both
def test_8_a_transaction_that_must_wait_retries_soon(group: ConsumerGroup, guarded: bool, monkeypatch) -> None:
    """The next transaction waits until the markers of the last commit are written, by default in steps of 0.1 s.

    How often it waits depends on the broker, so the test checks the producer's setting.
    """
    default_ms = KafkaProducer.DEFAULT_CONFIG["retry_backoff_ms"]
    if not guarded:
        monkeypatch.setattr(kafka_topics, "RETRY_BACKOFF_MS", default_ms)
    producer = group.consumer(1)._transactions.producer
    assert (producer.config["retry_backoff_ms"] <= default_ms / 10) is guarded


def _timed_out() -> None:
    raise KafkaTimeoutError("no response")


def _set(monkeypatch, changed: dict[str, object]) -> None:
    """Change settings of the consumer; None removes one."""
    original = librdkafka_consumer.consumer_settings

    def consumer_settings(*args: Any) -> dict[str, Any]:
        return {name: value for name, value in (original(*args) | changed).items() if value is not None}

    monkeypatch.setattr(librdkafka_consumer, "consumer_settings", consumer_settings)


def _with_unchecked_future(send):
    class UncheckedFuture:
        exception = None

        def get(self, timeout: float | None = None) -> None:
            """Report no error."""

        def failed(self) -> bool:
            return False

    def sent(*args: Any, **kwargs: Any) -> UncheckedFuture:
        send(*args, **kwargs)
        return UncheckedFuture()

    return sent
