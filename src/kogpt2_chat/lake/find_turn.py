"""Find a stored turn by its id: in Kafka, which has the last days, or in the search index, which has older ones too."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turn_ids import is_turn_id
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.lake.layout import plausible_time, read_time, turn_from_document
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.domain.search.documents import between_ms
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput, InvalidMessage, NotFound, Unavailable
from kogpt2_chat.ports import Index, Record, Row, Topics

_FIRST_BLOCK: Final = 500
"""Number of records per partition in the first block read: the turn is usually recent. Each following block is twice as
long, up to the size of an ingest commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTurn:
    """A turn, and where it was found.

    Attributes:
        where: in words.
        partition: partition of the record in ``conversation_log``; None if the index does not know it.
        offset: offset of that record.
        return_ms: how long the answer then took to its record; None if it is not known.
    """

    turn: Turn
    where: str
    partition: int | None = None
    offset: int | None = None
    return_ms: int | None = None


def find_turn(turn_id: str, topics: Topics, index: Index, most: int, *, index_first: bool = False) -> FoundTurn:
    """Find a turn. Turns that may be about a crisis are refused.

    Args:
        turn_id: ``bot_question-PARTITION-OFFSET``.
        topics: Kafka, which has the turns of the last few days as the worker wrote them.
        index: the search index, which has older turns too. Names are masked in it.
        most: how many records of a partition to read at once.
        index_first: whether to ask the index first. It answers in milliseconds, Kafka has to be searched.

    Returns:
        The turn.

    Raises:
        InvalidInput: this is not a turn id, or the turn may be about a crisis; only a safety review opens those.
        NotFound: neither Kafka nor the index has the turn, or it cannot be read.
        Unavailable: the server that may have the turn does not answer.
    """
    if not is_turn_id(turn_id):
        raise InvalidInput(
            f"{turn_id!r} is not a turn id: expected {QUESTION_TOPIC}-PARTITION-OFFSET, as `ask` prints it"
        )
    found = _indexed_first(turn_id, topics, index, most) if index_first else _logged_first(turn_id, topics, index, most)
    if found is None:
        raise NotFound(
            f"turn {turn_id} is neither in {TURN_TOPIC} nor in the search index. If it was asked just now: try again "
            "once it is answered. If it was never answered: check the dead letters. If it is old: `kogpt2-chat index` "
            "adds the lake's turns to the index; turns without consent to storing are not in the lake"
        )
    if safety_kind({"fallback": found.turn.fallback, "text": found.turn.text}) is not None:
        raise InvalidInput(
            f"turn {turn_id} may be about a crisis and is not explained here: `kogpt2-chat review-safety show "
            f"{turn_id} --reviewer NAME --reason TEXT` opens it and records who opened it"
        )
    return found


def _logged_first(turn_id: str, topics: Topics, index: Index, most: int) -> FoundTurn | None:
    found = _in_log(turn_id, topics, most)
    return found or _from_document(turn_id, index.find(TURN_INDEX, turn_id))


def _indexed_first(turn_id: str, topics: Topics, index: Index, most: int) -> FoundTurn | None:
    """Ask the index first; an index that does not answer matters only if Kafka does not have the turn either."""
    away, document = None, None
    try:
        document = index.find(TURN_INDEX, turn_id)
    except Unavailable as error:
        away = error
    found = _from_document(turn_id, document) or _in_log(turn_id, topics, most)
    if found is None and away is not None:
        raise away
    return found


def _in_log(turn_id: str, topics: Topics, most: int) -> FoundTurn | None:
    for record in _newest_first(topics, most):
        if _is_about(record, turn_id):
            where = f"{record.topic}-{record.partition} at {record.offset}"
            try:
                turn = Turn.from_json(record.value or b"")
            except InvalidMessage as error:
                raise NotFound(f"turn {turn_id} is in {where}, but cannot be read: {error}") from error
            if turn.turn_id == turn_id:
                return FoundTurn(
                    turn=turn,
                    where=where,
                    partition=record.partition,
                    offset=record.offset,
                    return_ms=between_ms(read_time(turn.answered_at), plausible_time(record.timestamp_ms)),
                )
    return None


def _from_document(turn_id: str, document: Row | None) -> FoundTurn | None:
    if document is None:
        return None
    try:
        turn = turn_from_document(document)
    except InvalidMessage as error:
        raise NotFound(
            f"turn {turn_id} is in the search index, but cannot be read ({error}): run `kogpt2-chat index`"
        ) from error
    stored = (document.get(name) for name in ("kafka_partition", "kafka_offset", "return_ms"))
    partition, offset, return_ms = (number if isinstance(number, int) else None for number in stored)
    return FoundTurn(turn=turn, where="search index", partition=partition, offset=offset, return_ms=return_ms)


def _newest_first(topics: Topics, most: int) -> Iterator[Record]:
    """Yield all turns in Kafka block by block: the last block of each partition, then the one before it, and so on."""
    starts, ends = topics.start_positions(TURN_TOPIC), topics.end_positions(TURN_TOPIC)
    size = _FIRST_BLOCK
    while ends:
        for partition, end in ends.items():
            yield from topics.read(TURN_TOPIC, partition, max(starts[partition], end - size), end)
        ends = {partition: end - size for partition, end in ends.items() if end - size > starts[partition]}
        size = min(2 * size, most)


def _is_about(record: Record, turn_id: str) -> bool:
    """Check whether a record may be the turn: by its header, or without one, by a search for the id in its value."""
    if "turn_id" in record.headers:
        return record.headers["turn_id"] == turn_id
    return f'"{turn_id}"'.encode() in (record.value or b"")
