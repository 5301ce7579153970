"""Records that cannot be answered, among valid questions: each becomes one dead letter, and no worker ends."""

from collections import Counter

import pytest

from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

POISON = (
    (b"{'from' : 'n', 'to' : 'ChatbotA', 'message' : '" + b"a" * 17 * 1024 + b"'}", "too_large"),
    (b"x" * (1024 * 1024 - 200), "too_large"),
    (b"\xff\xfe\x00", "not_utf8"),
    (b'{"v": 1', "schema"),
    (b'{"v": ' + b"[" * 8000, "schema"),
    (b"", "not_a_question"),
    (b"{'from' : 'n', 'to' : 'ChatbotZ', 'message' : 'x'}", "unknown_bot"),
)
SHARE = 0.02


def feed_poison(pool: WorkerPool, audit: ReplyAudit, report, *, questions: int, poison: int) -> None:
    pool.start_ready(1, 2)
    expected: Counter[str] = Counter()
    for number in range(poison):
        audit.ask(questions // poison)
        value, reason = POISON[number % len(POISON)]
        audit.send(value)
        expected[reason] += 1
        audit.wait(lambda: audit.unanswered < 200)
    audit.wait_for_replies()
    assert pool.dead() == []
    assert all(worker.health()["ready"] for worker in pool.workers.values())
    pool.close()
    result = audit.result()
    report.add(f"{poison / questions:.0%} poison", result)
    assert result.is_exactly_once, result
    reasons = Counter(
        record.headers["reason"]
        for record in audit.seen[DEAD_LETTER_TOPIC]
        if (record.key or b"").startswith(audit.key_prefix.encode())
    )
    assert reasons == expected


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_each_poison_record_becomes_one_dead_letter(pool, audit, report):
    """Two percent of 5,000 questions are poison records."""
    feed_poison(pool, audit, report, questions=5000, poison=round(5000 * SHARE))
