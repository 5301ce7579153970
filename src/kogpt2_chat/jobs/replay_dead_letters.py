"""Ask dead letters again, once the fault that killed them is mended; none of them twice.

What was replayed before is read from ``bot_question`` itself, where each replay names the turn that it repeats.
So a call that was killed half-way is finished by the next one, and nothing else has to be remembered.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.dead_letters import (
    REPLAY_OF,
    REPLAYABLE,
    DeadLetter,
    Left,
    Memory,
    Reason,
    read_letter,
    replay_headers,
    skip_reason,
)
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import turn_id
from kogpt2_chat.ports import Outgoing, Record, Topics


@dataclass(slots=True)
class _Tally:
    """What became of the letters that were read."""

    letters: int = 0
    left: Counter[Left] = field(default_factory=Counter)
    other_reasons: Counter[str] = field(default_factory=Counter)


def replay_dead_letters(
    *,
    topics: Topics,
    progress: Callable[[str], None],
    reasons: Sequence[Reason] = REPLAYABLE,
    limit: int | None = None,
    dry_run: bool = False,
    again: bool = False,
    now: datetime | None = None,
) -> dict[str, object]:
    """Send dead letters to ``bot_question`` again, oldest first, with key and value as they came.

    The topic of questions forgets earlier than that of the letters. A letter so old that its replay may have been
    forgotten is left, and so is one that is itself a replay which died again; ``again`` sends both.

    Args:
        topics: Kafka.
        progress: told what is read.
        reasons: which reasons to choose; by default those where the fault was ours.
        limit: at most so many letters.
        dry_run: choose, but send nothing.
        again: also letters whose replay may have been forgotten, and replays that died again.
        now: the time; tests bring their own.

    Returns:
        ``letters`` (read), ``reasons`` (chosen), ``replays`` (turn id and reason of each letter chosen), ``sent``,
        ``dry_run``, ``left`` (how many of the chosen reasons were not sent, by cause) and ``other_reasons`` (how
        many were not chosen, by reason).

    Raises:
        Unavailable: Kafka did not answer, or not all were acknowledged. The same call sends those that are missing.
    """
    at, tally = now or datetime.now(UTC), _Tally()
    letters = list(_letters(topics, reasons, tally))
    progress(f"{tally.letters} dead letters read, {len(letters)} of them {' or '.join(reasons)}")
    # Letters first, replays after: whatever was replayed before this line is seen.
    memory = _memory(topics, progress) if letters else Memory()
    chosen = _chosen(letters, memory, at, tally, limit=limit, again=again)
    if chosen and not dry_run:
        topics.send(
            Outgoing(topic=QUESTION_TOPIC, key=one.key, value=one.value, headers=replay_headers(one, at))
            for one in chosen
        )
    return {
        "letters": tally.letters,
        "reasons": sorted(set(reasons)),
        "replays": [{"replay_of": letter.turn_id, "reason": letter.reason} for letter in chosen],
        "sent": 0 if dry_run else len(chosen),
        "dry_run": dry_run,
        "left": dict(sorted(tally.left.items())),
        "other_reasons": dict(sorted(tally.other_reasons.items())),
    }


def _letters(topics: Topics, reasons: Sequence[str], tally: _Tally) -> Iterator[DeadLetter]:
    """Letters of the chosen reasons; the others are counted."""
    for record in _records(topics, DEAD_LETTER_TOPIC):
        tally.letters += 1
        letter = read_letter(record.key, record.value, record.headers, timestamp_ms=record.timestamp_ms)
        if letter is None:
            tally.other_reasons["unreadable"] += 1
        elif letter.reason not in reasons:
            tally.other_reasons[letter.reason] += 1
        else:
            yield letter


def _memory(topics: Topics, progress: Callable[[str], None]) -> Memory:
    progress(f"reading {QUESTION_TOPIC} for what was replayed before")
    forgets = any(topics.start_positions(QUESTION_TOPIC).values())
    replays = {
        turn_id(record.partition, record.offset): record.headers[REPLAY_OF]
        for record in _records(topics, QUESTION_TOPIC)
        if REPLAY_OF in record.headers
    }
    return Memory(replayed=frozenset(replays.values()), replays=frozenset(replays), forgets=forgets)


def _chosen(
    letters: Sequence[DeadLetter], memory: Memory, now: datetime, tally: _Tally, *, limit: int | None, again: bool
) -> list[DeadLetter]:
    chosen: list[DeadLetter] = []
    for letter in letters:
        cause = skip_reason(letter, memory, now, again=again)
        if cause is not None:
            tally.left[cause] += 1
        elif limit is not None and len(chosen) >= limit:
            tally.left["over_limit"] += 1
        else:
            chosen.append(letter)
    return chosen


def _records(topics: Topics, topic: str) -> Iterator[Record]:
    """All that a topic holds, up to where it ended when reading began."""
    starts = topics.start_positions(topic)
    for partition, end in topics.end_positions(topic).items():
        yield from topics.read(topic, partition, starts[partition], end)
