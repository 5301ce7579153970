"""Records that nobody can answer among good questions: each is one dead letter, and no worker goes down."""

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


def feed_poison(crew: WorkerPool, ledger: ReplyAudit, report, *, questions: int, poison: int) -> None:
    crew.start_ready(1, 2)
    given: Counter[str] = Counter()
    for number in range(poison):
        ledger.ask(questions // poison)
        value, reason = POISON[number % len(POISON)]
        ledger.send(value)
        given[reason] += 1
        ledger.wait(lambda: ledger.open < 200)
    ledger.settle()
    assert crew.dead() == []
    assert all(worker.health()["ready"] for worker in crew.workers.values())
    crew.close()
    verdict = ledger.verdict()
    report.add(f"{poison / questions:.0%} poison", verdict)
    assert verdict.holds, verdict
    reasons = Counter(
        record.headers["reason"]
        for record in ledger.seen[DEAD_LETTER_TOPIC]
        if (record.key or b"").startswith(ledger.mark.encode())
    )
    assert reasons == given


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_each_poisonous_record_is_one_dead_letter(crew, ledger, report):
    """Two in a hundred of several thousand."""
    feed_poison(crew, ledger, report, questions=5000, poison=round(5000 * SHARE))
