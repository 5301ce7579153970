"""Replay dead letters after their cause was fixed, each at most once.

Earlier replays are read from ``bot_question`` itself: a header of each replay names the turn that it repeats. No other
state is needed, and if a call is killed, the next one sends the remaining letters.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.dead_letters import (
    REPLAY_OF,
    REPLAYABLE,
    DeadLetter,
    DeadLetterReason,
    ReplayHistory,
    SkipReason,
    read_letter,
    replay_headers,
    skip_reason,
)
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import turn_id
from kogpt2_chat.ports import Outgoing, Record, Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedDeadLetter:
    """A selected dead letter.

    Attributes:
        replay_of: the turn that it repeats.
        reason: why it is a dead letter.
    """

    replay_of: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDeadLettersResult:
    """The outcome for all dead letters.

    Attributes:
        letters: number of dead letters read.
        reasons: the selected reasons, sorted.
        replays: the selected letters, oldest first.
        sent: number of letters sent.
        dry_run: whether the letters were only selected and not sent.
        left: letters of a selected reason that are not replayed, by cause.
        other_reasons: letters that are not selected, by reason.
    """

    letters: int
    reasons: tuple[DeadLetterReason, ...]
    replays: tuple[SelectedDeadLetter, ...]
    sent: int
    dry_run: bool
    left: Mapping[SkipReason, int]
    other_reasons: Mapping[str, int]


@dataclass(slots=True)
class _DeadLetterCounts:
    """What happened to the dead letters that were read.

    Attributes:
        letters: number of dead letters read.
        left: letters of a selected reason that are not replayed, by cause.
        other_reasons: letters that are not selected, by reason.
    """

    letters: int = 0
    left: Counter[SkipReason] = field(default_factory=Counter)
    other_reasons: Counter[str] = field(default_factory=Counter)


def replay_dead_letters(
    *,
    topics: Topics,
    progress: Callable[[str], None],
    reasons: Sequence[DeadLetterReason] = REPLAYABLE,
    limit: int | None = None,
    dry_run: bool = False,
    again: bool = False,
    now: datetime | None = None,
) -> ReplayDeadLettersResult:
    """Send dead letters to ``bot_question`` again, oldest first, with their original key and value.

    ``bot_question`` has a shorter retention than the topic of dead letters. A letter so old that an earlier replay of
    it may already be deleted is skipped, and so is a letter that is itself a failed replay. ``again`` sends both.

    Args:
        topics: Kafka.
        progress: called with a line on each step.
        reasons: the reasons to select; by default those caused by the platform, not by the client.
        limit: maximum number of letters to send.
        dry_run: whether to select letters without sending any.
        again: whether to also send letters whose earlier replay may be deleted, and failed replays.
        now: the time; tests replace it.

    Returns:
        The selected letters, and counts of all others.

    Raises:
        Unavailable: Kafka did not answer, or did not acknowledge every record. A second call sends the missing ones.
    """
    at, counts = now or datetime.now(UTC), _DeadLetterCounts()
    letters = list(_letters(topics, reasons, counts))
    progress(f"{counts.letters} dead letters read, {len(letters)} of them {' or '.join(reasons)}")
    # Read the replays after the letters, so that replays that were sent in the meantime are seen too.
    history = _history(topics, progress) if letters else ReplayHistory()
    chosen = _chosen(letters, history, at, counts, limit=limit, again=again)
    if chosen and not dry_run:
        topics.send(
            Outgoing(topic=QUESTION_TOPIC, key=one.key, value=one.value, headers=replay_headers(one, at))
            for one in chosen
        )
    return ReplayDeadLettersResult(
        letters=counts.letters,
        reasons=tuple(sorted(set(reasons))),
        replays=tuple(SelectedDeadLetter(replay_of=letter.turn_id, reason=letter.reason) for letter in chosen),
        sent=0 if dry_run else len(chosen),
        dry_run=dry_run,
        left=dict(sorted(counts.left.items())),
        other_reasons=dict(sorted(counts.other_reasons.items())),
    )


def _letters(topics: Topics, reasons: Sequence[str], counts: _DeadLetterCounts) -> Iterator[DeadLetter]:
    """Yield the letters of the selected reasons, and count the others."""
    for record in _records(topics, DEAD_LETTER_TOPIC):
        counts.letters += 1
        letter = read_letter(record.key, record.value, record.headers, timestamp_ms=record.timestamp_ms)
        if letter is None:
            counts.other_reasons["unreadable"] += 1
        elif letter.reason not in reasons:
            counts.other_reasons[letter.reason] += 1
        else:
            yield letter


def _history(topics: Topics, progress: Callable[[str], None]) -> ReplayHistory:
    progress(f"reading earlier replays from {QUESTION_TOPIC}")
    is_truncated = any(topics.start_positions(QUESTION_TOPIC).values())
    replays = {
        turn_id(record.partition, record.offset): record.headers[REPLAY_OF]
        for record in _records(topics, QUESTION_TOPIC)
        if REPLAY_OF in record.headers
    }
    return ReplayHistory(replayed=frozenset(replays.values()), replays=frozenset(replays), is_truncated=is_truncated)


def _chosen(
    letters: Sequence[DeadLetter],
    history: ReplayHistory,
    now: datetime,
    counts: _DeadLetterCounts,
    *,
    limit: int | None,
    again: bool,
) -> list[DeadLetter]:
    chosen: list[DeadLetter] = []
    for letter in letters:
        cause = skip_reason(letter, history, now, again=again)
        if cause is not None:
            counts.left[cause] += 1
        elif limit is not None and len(chosen) >= limit:
            counts.left["over_limit"] += 1
        else:
            chosen.append(letter)
    return chosen


def _records(topics: Topics, topic: str) -> Iterator[Record]:
    """Yield all records of a topic, up to its end offsets at the start."""
    starts = topics.start_positions(topic)
    for partition, end in topics.end_positions(topic).items():
        yield from topics.read(topic, partition, starts[partition], end)
