"""Write the documents of some records. One record that cannot be read, or does not fit, never stops the others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import structlog

from indexer.report import Progress
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.safety.turns import SAFETY, safety_kind
from kogpt2_chat.domain.search.documents import dead_letter_document, feedback_document, feedback_id, turn_document
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    LAKE_ONLY,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)
from kogpt2_chat.domain.search.safety_counts import counted, safety_id
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.ports import Index, Record, Row

NO_CONSENT: Final = "no_consent_to_store"

_log = structlog.get_logger("indexer")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A document, and the position of the record that it is made from."""

    document: Row
    source: str


@dataclass(slots=True, kw_only=True)
class DocumentWriter:
    """Makes documents from records and writes them.

    Attributes:
        index: the search server.
        reader: makes the lake's rows from records.
        progress: counts what is written and what is not.
        topic_ids: the present id of each topic. Offsets are only compared within a topic.
    """

    index: Index
    reader: RecordReader
    progress: Progress
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    _reports: list[Callable[[], None]] = field(init=False, default_factory=list)

    def write(self, records: Sequence[Record]) -> None:
        """Write the documents of records of any topic. Writing the same records again changes nothing.

        Args:
            records: those of a partition in the order of their offsets.

        Raises:
            Unavailable: the server did not take all documents.
        """
        self._reports.clear()
        by_topic: dict[str, list[Record]] = {}
        # Of two turns with one id the last one counts, whatever their partitions are.
        for record in sorted(records, key=lambda record: record.timestamp_ms):
            by_topic.setdefault(record.topic, []).append(record)
        for topic, found in by_topic.items():
            _WRITERS[topic](self, found)
        for report in self._reports:  # not before: the records of a failed call come again
            report()

    def lacks_turns(self, feedback: Sequence[Record]) -> bool:
        """Check whether the turn of any of these feedback records is not in the index yet."""
        ids = {str(row["turn_id"]) for _, row in self._rows(feedback, count=False)}
        return len(self.index.find_many(TURN_INDEX, sorted(ids))) < len(ids)

    def _write_turns(self, records: Sequence[Record]) -> None:
        made: dict[str, _Made | None] = {}
        crises: list[Row] = []
        for record, row in self._rows(records):
            kind = self._tried(record, partial(_kind, row))
            if kind:
                self._reports.append(partial(self.progress.left_out, SAFETY))
                crises.append(row)
                made[str(row["turn_id"])] = None
            elif kind is not None:
                document = self._tried(record, partial(turn_document, row))
                if document is not None:
                    made[str(row["turn_id"])] = _Made(document=document, source=_source(record))
        self.index.remove(TURN_INDEX, [turn_id for turn_id, one in made.items() if one is None])
        self._put(TURN_INDEX, {turn_id: one for turn_id, one in made.items() if one is not None})
        if crises:
            topic_id = self.topic_ids.get(TURN_TOPIC, "")
            known = self.index.find_many(SAFETY_INDEX, sorted({safety_id(row, topic_id) for row in crises}))
            counts = counted(sorted(crises, key=lambda row: int(str(row["kafka_offset"]))), known, topic_id)
            self._put(SAFETY_INDEX, {one: _Made(document=count, source=TURN_TOPIC) for one, count in counts.items()})

    def _write_feedback(self, records: Sequence[Record]) -> None:
        rows = list(self._rows(records))
        turns = self.index.find_many(TURN_INDEX, sorted({str(row["turn_id"]) for _, row in rows}))
        made: dict[str, _Made] = {}
        for record, row in rows:
            document = self._tried(record, partial(feedback_document, row, turns.get(str(row["turn_id"]))))
            if document is not None:
                made[feedback_id(row)] = _Made(document=document, source=_source(record))
        self._put(FEEDBACK_INDEX, made)

    def _write_dead_letters(self, records: Sequence[Record]) -> None:
        made: dict[str, _Made] = {}
        topic_id = self.topic_ids.get(DEAD_LETTER_TOPIC, "")
        for record in records:
            make = partial(dead_letter_document, record.value, record.headers, record.timestamp_ms)
            document = self._tried(record, make)
            if document is not None:
                made[f"{record.partition}-{record.offset}:{topic_id}"] = _Made(
                    document=document, source=_source(record)
                )
        self._put(DEAD_LETTER_INDEX, made)

    def _rows(self, records: Iterable[Record], *, count: bool = True) -> Iterable[tuple[Record, Row]]:
        """Yield the lake's row of each record that has one."""
        for record in records:
            try:
                row = self.reader.read(record)
            except InvalidMessage as error:
                if count:
                    self._skip(record, error.reason)
                continue
            if row is not None:
                yield record, {name: value for name, value in row.items() if name not in LAKE_ONLY}
            elif count:
                self._reports.append(partial(self.progress.left_out, NO_CONSENT))

    def _tried(self, record: Record, make: Callable[[], _T]) -> _T | None:
        """Return what ``make`` returns; None if it fails, so that one record cannot block all others."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - any record may make any function fail
            self._skip(record, type(error).__name__)
            return None

    def _skip(self, record: Record, reason: str) -> None:
        self._reports.append(partial(self._report_skipped, record, reason))

    def _report_skipped(self, record: Record, reason: str) -> None:
        self.progress.unreadable(record.topic)
        _log.warning("record_unreadable", record=_source(record), reason=reason)

    def _put(self, index: IndexName, made: Mapping[str, _Made]) -> None:
        if not made:
            return
        result = self.index.put(index, ((document_id, one.document) for document_id, one in made.items()))
        self.progress.written(index, result.accepted)
        for refusal in result.refused:
            self.progress.refused(index)
            source, document_id = made[refusal.document_id].source, refusal.document_id
            _log.error("document_refused", index=index, record=source, id=document_id, reason=refusal.reason)


_WRITERS: Final[Mapping[str, Callable[[DocumentWriter, Sequence[Record]], None]]] = {
    TURN_TOPIC: DocumentWriter._write_turns,  # noqa: SLF001
    FEEDBACK_TOPIC: DocumentWriter._write_feedback,  # noqa: SLF001
    DEAD_LETTER_TOPIC: DocumentWriter._write_dead_letters,  # noqa: SLF001
}


def _kind(row: Row) -> str:
    return safety_kind(row) or ""


def _source(record: Record) -> str:
    return f"{record.topic}-{record.partition}-{record.offset}"
