"""Copy the lake's turns to the search index."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.domain.lake.search_masking import mask_for_search
from kogpt2_chat.domain.safety.turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.ports import Index, Row, Tables

_ORDER_COLUMNS: Final = ("ingested_at", "kafka_partition", "kafka_offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexResult:
    """The state of the index after a run.

    Attributes:
        turns: turns in the lake.
        kept_out: turns that are excluded from the index.
        sent: documents sent by this run.
        documents: documents in the index.
    """

    turns: int
    kept_out: int
    sent: int
    documents: int


def index(*, tables: Tables, index: Index, rebuild: bool = False) -> IndexResult:
    """Make the index contain a document for each turn of the lake, except turns that may be about a crisis.

    A document's id is the turn id, so sending it again changes nothing. If several rows share a turn id, the last one
    counts. If the index already has as many documents as the lake has such turns, only turns with a shared id are sent
    again. Every run removes the documents of excluded turns, since earlier releases may have added them.

    Args:
        tables: the lake.
        index: the search index.
        rebuild: whether to delete all documents first.

    Returns:
        Number of turns, of excluded turns, and of documents sent and now in the index.
    """
    if rebuild:
        index.clear()
    index.ensure()
    rows = tables.read(TURNS.name, (*SAFETY_COLUMNS, *_ORDER_COLUMNS))
    newest = _newest(rows)
    shown = {turn_id: _order_key(row) for turn_id, row in newest.items() if safety_kind(row) is None}
    index.remove(sorted(newest.keys() - shown.keys()))
    ids = Counter(str(row["turn_id"]) for row in rows)
    wanted = shown
    if index.count() == len(shown):
        wanted = {turn_id: key for turn_id, key in shown.items() if ids[turn_id] > 1}
    sent = 0
    if wanted:
        # A turn that was added after the first read is indexed by the next run.
        selected = (row for row in tables.read(TURNS.name) if wanted.get(str(row["turn_id"])) == _order_key(row))
        sent = index.put(map(mask_for_search, selected))
    return IndexResult(turns=len(newest), kept_out=len(newest) - len(shown), sent=sent, documents=index.count())


def _newest(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the newest row of each turn id. If the topic of questions is created again, turn ids repeat."""
    newest: dict[str, Row] = {}
    for row in rows:
        turn_id = str(row["turn_id"])
        if turn_id not in newest or _order_key(newest[turn_id]) < _order_key(row):
            newest[turn_id] = row
    return newest


def _order_key(row: Row) -> tuple[str, ...]:
    """Return the sort key that orders rows with the same turn id from oldest to newest."""
    return tuple(f"{row[name]!s:>20}" for name in _ORDER_COLUMNS)
