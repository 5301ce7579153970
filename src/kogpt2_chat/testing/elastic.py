"""The search index in memory; passes the contract suite of :class:`kogpt2_chat.ports.Index`."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from kogpt2_chat.ports import Row


class InMemoryIndex:
    """Documents by turn id.

    Attributes:
        document_by_id: every document, for tests to look at.
    """

    def __init__(self) -> None:
        self.document_by_id: dict[str, dict[str, object]] = {}

    def ensure(self) -> None:
        """Nothing to create in memory."""

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``; give how many."""
        count = 0
        for document in documents:
            self.document_by_id[str(document["turn_id"])] = dict(document)
            count += 1
        return count

    def remove(self, turn_ids: Sequence[str]) -> None:
        """Take documents out; those that are not there are passed over."""
        for turn_id in turn_ids:
            self.document_by_id.pop(turn_id, None)

    def find(self, turn_id: str) -> Row | None:
        """A turn's document as JSON has it; None when there is none."""
        document = self.document_by_id.get(turn_id)
        if document is None:
            return None
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in document.items()
            if value is not None
        }

    def count(self, bot: str | None = None) -> int:
        """Documents, of one bot or all."""
        return sum(bot in {None, document["bot"]} for document in self.document_by_id.values())

    def clear(self) -> None:
        """Drop every document."""
        self.document_by_id.clear()
