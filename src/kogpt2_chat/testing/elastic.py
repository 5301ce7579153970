"""The search index in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Index`."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from kogpt2_chat.ports import Row


class InMemoryIndex:
    """An index of documents by turn id.

    Attributes:
        document_by_id: every document, for tests to inspect.
    """

    def __init__(self) -> None:
        self.document_by_id: dict[str, dict[str, object]] = {}

    def ensure(self) -> None:
        """Do nothing: the index always exists."""

    def put(self, documents: Iterable[Row]) -> int:
        """See :meth:`kogpt2_chat.ports.Index.put`."""
        count = 0
        for document in documents:
            self.document_by_id[str(document["turn_id"])] = dict(document)
            count += 1
        return count

    def remove(self, turn_ids: Sequence[str]) -> None:
        """See :meth:`kogpt2_chat.ports.Index.remove`."""
        for turn_id in turn_ids:
            self.document_by_id.pop(turn_id, None)

    def find(self, turn_id: str) -> Row | None:
        """See :meth:`kogpt2_chat.ports.Index.find`."""
        document = self.document_by_id.get(turn_id)
        if document is None:
            return None
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in document.items()
            if value is not None
        }

    def count(self, bot: str | None = None) -> int:
        """See :meth:`kogpt2_chat.ports.Index.count`."""
        return sum(bot in {None, document["bot"]} for document in self.document_by_id.values())

    def clear(self) -> None:
        """See :meth:`kogpt2_chat.ports.Index.clear`."""
        self.document_by_id.clear()
