"""Repair the search index of turns and feedback from the lake.

The indexer writes new documents within seconds. This job makes those that it missed and corrects those that differ,
while searching goes on. Memory is bounded: the lake is read in batches, and 24 bytes are kept for each row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from kogpt2_chat.domain.lake.layout import FEEDBACK, TURNS, Table
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.domain.search.documents import feedback_document, feedback_id, turn_document, with_measured
from kogpt2_chat.domain.search.fields import FEEDBACK_INDEX, LAKE_ONLY, TURN_INDEX, IndexName
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.lake.documents_ahead import AHEAD_FIELDS, LakeEnd, lake_end
from kogpt2_chat.lake.newest_rows import ORDER_COLUMNS, NewestRows
from kogpt2_chat.ports import Index, Refusal, Row, Tables

_BATCH: Final = 500
_REFUSALS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult:
    """The state of the index of feedback after a run.

    Attributes:
        rated: distinct documents of the lake's feedback: of each player and turn, the last thumb and the last feedback
            of each other kind.
        sent: documents that were missing or differed.
        removed: documents that the lake does not have.
        refused: documents that do not fit the index.
        documents: documents in the index.
    """

    rated: int
    sent: int
    removed: int
    refused: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexResult:
    """The state of the indices after a run.

    Attributes:
        turns: distinct turns in the lake.
        kept_out: turns that are excluded from the index, since they may be about a crisis.
        sent: documents that were missing or differed.
        removed: documents of excluded turns, and of turns that the lake does not have.
        refused: documents that do not fit the index.
        documents: documents in the index of turns.
        feedback: the same for feedback.
        refusals: the first twenty refused documents; those of feedback by the id of the turn.
    """

    turns: int
    kept_out: int
    sent: int
    removed: int
    refused: int
    documents: int
    feedback: FeedbackResult
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A table with documents.

    Attributes:
        table: the table.
        columns: the columns to read; None for all.
        index: the index of its documents.
        id_columns: the columns that the id is made of.
        id_of: returns the id of a row's document.
        documents: returns the document of each row; None for a row that must not have one.
    """

    table: Table
    columns: tuple[str, ...] | None
    index: IndexName
    id_columns: tuple[str, ...]
    id_of: Callable[[Row], str]
    documents: Callable[[Sequence[Row], Index], list[Row | None]]


@dataclass(slots=True)
class _Counts:
    """What a run did with the documents of one table. Only the first refusals are kept, but all are counted."""

    ids: int = 0
    kept_out: int = 0
    sent: int = 0
    removed: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def index(*, tables: Tables, index: Index, rebuild: bool = False) -> IndexResult:
    """Make the index contain the document of each turn and each feedback of the lake, and no others.

    Documents are compared by their content, and only those that are missing or differ are sent. If several rows share
    an id, the newest one counts. Removed are documents that the lake does not have, and those of turns that may be
    about a crisis. Documents that the indexer made from records that the lake has not read yet are left as they are.

    Args:
        tables: the lake.
        index: the search server.
        rebuild: whether to create the indices again if this release cannot use their fields.

    Returns:
        What was sent and removed, and the number of documents now in the indices.

    Raises:
        InvalidInput: an index has fields that this release cannot use, and ``rebuild`` is not set.
    """
    try:
        index.ensure()
    except InvalidInput:
        if not rebuild:
            raise
        for source in _SOURCES:
            index.clear(source.index)
        index.ensure()
    turns, feedback = (_repair(source, tables, index) for source in _SOURCES)
    return IndexResult(
        turns=turns.ids,
        kept_out=turns.kept_out,
        sent=turns.sent,
        removed=turns.removed,
        refused=turns.refused,
        documents=index.count(TURN_INDEX),
        feedback=FeedbackResult(
            rated=feedback.ids,
            sent=feedback.sent,
            removed=feedback.removed,
            refused=feedback.refused,
            documents=index.count(FEEDBACK_INDEX),
        ),
        refusals=tuple([*turns.refusals, *feedback.refusals][:_REFUSALS_SHOWN]),
    )


def _repair(source: _Source, tables: Tables, index: Index) -> _Counts:
    name, counts = source.table.name, _Counts()
    end = lake_end(source.table, tables, index)
    version = tables.table_version(name)
    if version is not None:
        columns = (*source.id_columns, *ORDER_COLUMNS)
        found = tables.batches(name, columns, table_version=version)
        newest = NewestRows((source.id_of(row), row) for batch in found for row in batch)
        for batch in tables.batches(name, source.columns, table_version=version, size=_BATCH):
            chosen = newest.select([(source.id_of(row), row) for row in batch])
            _repair_batch(source, dict(chosen), end, index, counts)
    else:
        newest = NewestRows([])
    counts.ids = len(newest)
    _remove_unknown(source.index, newest, end, index, counts)
    return counts


def _repair_batch(source: _Source, row_by_id: Mapping[str, Row], end: LakeEnd, index: Index, counts: _Counts) -> None:
    """Send the documents of some rows that are missing or differ, and remove those that must not exist."""
    found = index.find_many(source.index, list(row_by_id))
    made = dict(zip(row_by_id, source.documents(list(row_by_id.values()), index), strict=True))
    wanted = {one: document and with_measured(document, found.get(one)) for one, document in made.items()}
    counts.kept_out += sum(document is None for document in wanted.values())
    changed = {
        document_id: document
        for document_id, document in wanted.items()
        if not _is_same(document, found.get(document_id))
        and not _is_newer(found.get(document_id), row_by_id[document_id], end)
    }
    removed = [document_id for document_id, document in changed.items() if document is None]
    if removed:
        index.remove(source.index, removed)
        counts.removed += len(removed)
    sent = [(document_id, document) for document_id, document in changed.items() if document is not None]
    if sent:
        result = index.put(source.index, sent)
        counts.sent += result.accepted
        counts.refused += len(result.refused)
        counts.refusals = [*counts.refusals, *result.refused][:_REFUSALS_SHOWN]


def _is_same(wanted: Row | None, found: Row | None) -> bool:
    """Check whether a document is as it should be, but for the fields that only the lake knows."""
    if wanted is None or found is None:
        return wanted is found
    return _without_lake_only(wanted) == _without_lake_only(found)


def _without_lake_only(document: Row) -> Row:
    return {name: value for name, value in document.items() if name not in LAKE_ONLY}


def _is_newer(document: Row | None, row: Row, end: LakeEnd) -> bool:
    """Check whether a document is made from a later record with the same id, which the lake has not read yet."""
    if document is None or not end.is_ahead(document):
        return False
    return any(document.get(name) != row.get(name) for name in ("kafka_partition", "kafka_offset"))


def _remove_unknown(name: IndexName, newest: NewestRows, end: LakeEnd, index: Index, counts: _Counts) -> None:
    """Remove the documents that the lake does not have, unless it may have them later."""
    documents = index.scan(name, AHEAD_FIELDS)
    for batch in _in_batches(documents):
        known = newest.has([document_id for document_id, _ in batch])
        unknown = [
            document_id
            for (document_id, document), is_known in zip(batch, known, strict=True)
            if not is_known and not end.is_ahead(document)
        ]
        if unknown:
            index.remove(name, unknown)
            counts.removed += len(unknown)


def _in_batches(documents: Iterator[tuple[str, Row]]) -> Iterator[list[tuple[str, Row]]]:
    while batch := list(islice(documents, _BATCH)):
        yield batch


def _turn_documents(rows: Sequence[Row], index: Index) -> list[Row | None]:  # noqa: ARG001
    return [turn_document(row) if safety_kind(row) is None else None for row in rows]


def _feedback_documents(rows: Sequence[Row], index: Index) -> list[Row | None]:
    turns = index.find_many(TURN_INDEX, list({str(row["turn_id"]) for row in rows}))
    return [feedback_document(row, turns.get(str(row["turn_id"]))) for row in rows]


_SOURCES: Final = (
    _Source(
        table=TURNS,
        columns=None,
        index=TURN_INDEX,
        id_columns=("turn_id",),
        id_of=lambda row: str(row["turn_id"]),
        documents=_turn_documents,
    ),
    _Source(
        table=FEEDBACK,
        columns=(
            *("feedback_id", "turn_id", "player_id", "kind", "authenticated", "received_at"),
            *ORDER_COLUMNS,
        ),
        index=FEEDBACK_INDEX,
        id_columns=("turn_id", "player_id", "kind"),
        id_of=feedback_id,
        documents=_feedback_documents,
    ),
)
