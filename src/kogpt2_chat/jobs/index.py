"""The lake's turns to the search index."""

from kogpt2_chat.domain.lake_layout import TURNS
from kogpt2_chat.ports import Index, Tables


def index(*, tables: Tables, index: Index, rebuild: bool = False) -> dict[str, object]:
    """Make the index hold a document for each turn of the lake.

    Documents go by turn id, so sending one again changes nothing. Nothing is sent when the index already
    has as many documents as the lake has turns: documents are only ever added, one by one.

    Args:
        tables: the lake.
        index: the search index.
        rebuild: drop all documents first.

    Returns:
        How many turns the lake has, and how many documents were sent and are there now.
    """
    if rebuild:
        index.clear()
    index.ensure()
    turn_ids = {str(row["turn_id"]) for row in tables.read(TURNS.name, ["turn_id"])}
    sent = 0
    if index.count() != len(turn_ids):
        sent = index.put(tables.read(TURNS.name))
    return {"turns": len(turn_ids), "sent": sent, "documents": index.count()}
