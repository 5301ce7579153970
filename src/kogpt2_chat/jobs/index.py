"""The lake's turns to the search index."""

from kogpt2_chat.domain.lake_layout import TURNS
from kogpt2_chat.domain.safety_turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.domain.searchable import searchable
from kogpt2_chat.ports import Index, Tables


def index(*, tables: Tables, index: Index, rebuild: bool = False) -> dict[str, object]:
    """Make the index hold a document for each turn of the lake, but for those that may speak of a crisis.

    Documents go by turn id, so sending one again changes nothing. Nothing is sent when the index already
    has as many documents as the lake has such turns: documents are only ever added, one by one. What must
    not be in the index is removed from it each time, since it may be there from before.

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
    kinds = {str(row["turn_id"]): safety_kind(row) for row in tables.read(TURNS.name, SAFETY_COLUMNS)}
    shown = {turn_id for turn_id, kind in kinds.items() if kind is None}
    index.remove(sorted(set(kinds) - shown))
    sent = 0
    if index.count() != len(shown):
        # A turn that came since the kinds were read waits for the next run.
        sent = index.put(searchable(row) for row in tables.read(TURNS.name) if row["turn_id"] in shown)
    return {"turns": len(kinds), "kept_out": len(kinds) - len(shown), "sent": sent, "documents": index.count()}
