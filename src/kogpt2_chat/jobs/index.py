"""The lake's turns to the search index."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.domain.lake.searchable import searchable
from kogpt2_chat.domain.safety.turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.ports import Index, Row, Tables

_PLACE: Final = ("ingested_at", "kafka_partition", "kafka_offset")


def index(*, tables: Tables, index: Index, rebuild: bool = False) -> dict[str, object]:
    """Make the index hold a document for each turn of the lake, but for those that may speak of a crisis.

    Documents go by turn id, so sending one again changes nothing; of turns with one id the last one counts. Nothing
    but these is sent when the index already has as many documents as the lake has such turns: documents are only ever
    added, one by one. What must not be in the index is removed from it each time, since it may be there from before.

    Args:
        tables: the lake.
        index: the search index.
        rebuild: drop all documents first.

    Returns:
        How many turns the lake has, how many of them are kept from the index, and how many documents were sent
        and are there now.
    """
    if rebuild:
        index.clear()
    index.ensure()
    rows = tables.read(TURNS.name, (*SAFETY_COLUMNS, *_PLACE))
    newest = _newest(rows)
    shown = {turn_id: _place(row) for turn_id, row in newest.items() if safety_kind(row) is None}
    index.remove(sorted(newest.keys() - shown.keys()))
    ids = Counter(str(row["turn_id"]) for row in rows)
    wanted = shown
    if index.count() == len(shown):
        wanted = {turn_id: place for turn_id, place in shown.items() if ids[turn_id] > 1}
    sent = 0
    if wanted:
        # A turn that came since the kinds were read waits for the next run.
        of_interest = (row for row in tables.read(TURNS.name) if wanted.get(str(row["turn_id"])) == _place(row))
        sent = index.put(map(searchable, of_interest))
    return {"turns": len(newest), "kept_out": len(newest) - len(shown), "sent": sent, "documents": index.count()}


def _newest(rows: Iterable[Row]) -> dict[str, Row]:
    """The row of each turn id: a topic of questions that was made anew gives out the same ids again."""
    newest: dict[str, Row] = {}
    for row in rows:
        turn_id = str(row["turn_id"])
        if turn_id not in newest or _place(newest[turn_id]) < _place(row):
            newest[turn_id] = row
    return newest


def _place(row: Row) -> tuple[str, ...]:
    """What tells two rows of one turn id apart, the later one after the earlier."""
    return tuple(f"{row[name]!s:>20}" for name in _PLACE)
