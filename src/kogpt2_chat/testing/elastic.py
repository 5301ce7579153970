"""The search indices in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Index`."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.lake.storable import MAX_ID_BYTES
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, TURN_INDEX, IndexName
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Documents, PutResult, Refusal, Row

_NUMBERS: Final = ("long", "float")


class InMemoryIndex:
    """Documents by id, in each index, with the same strict mappings as the real server.

    Attributes:
        documents_by_index: every document as JSON values, for tests to inspect.
        ids: the id of each index that exists.
        away: the reason why every call fails now; empty if the server answers. Tests set it.
    """

    def __init__(self) -> None:
        self.documents_by_index: dict[IndexName, dict[str, dict[str, object]]] = {}
        self.ids: dict[IndexName, str] = {}
        self.away = ""
        self.ensure()

    @property
    def document_by_id(self) -> dict[str, dict[str, object]]:
        """The turns."""
        return self.documents_by_index[TURN_INDEX]

    def delete_index(self, index: IndexName) -> None:
        """Delete an index, as an operator would."""
        del self.documents_by_index[index], self.ids[index]

    def ensure(self) -> None:
        """See :meth:`kogpt2_chat.ports.Index.ensure`."""
        self._answer()
        for index in FIELDS_BY_INDEX:
            self._ensure(index)

    def index_id(self, index: IndexName) -> str | None:
        """See :meth:`kogpt2_chat.ports.Index.index_id`."""
        self._answer()
        return self.ids.get(index)

    def put(self, index: IndexName, documents: Documents) -> PutResult:
        """See :meth:`kogpt2_chat.ports.Index.put`."""
        accepted, refused = 0, list[Refusal]()
        for document_id, document in documents:
            self._answer()
            self._ensure(index)
            if fault := _fault(index, document_id, document):
                refused.append(Refusal(document_id=document_id, reason=fault))
                continue
            self.documents_by_index[index][document_id] = _as_json(document)
            accepted += 1
        return PutResult(accepted=accepted, refused=tuple(refused))

    def remove(self, index: IndexName, ids: Sequence[str]) -> None:
        """See :meth:`kogpt2_chat.ports.Index.remove`."""
        self._answer()
        for document_id in ids:
            self.documents_by_index.get(index, {}).pop(document_id, None)

    def find(self, index: IndexName, document_id: str) -> Row | None:
        """See :meth:`kogpt2_chat.ports.Index.find`."""
        return self.find_many(index, [document_id]).get(document_id)

    def find_many(self, index: IndexName, ids: Sequence[str]) -> Mapping[str, Row]:
        """See :meth:`kogpt2_chat.ports.Index.find_many`."""
        self._answer()
        known = self.documents_by_index.get(index, {})
        return {document_id: dict(known[document_id]) for document_id in ids if document_id in known}

    def scan(self, index: IndexName, fields: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
        """See :meth:`kogpt2_chat.ports.Index.scan`."""
        self._answer()
        for document_id, document in list(self.documents_by_index.get(index, {}).items()):
            yield document_id, {name: value for name, value in document.items() if name in fields}

    def count(self, index: IndexName, bot: str | None = None) -> int:
        """See :meth:`kogpt2_chat.ports.Index.count`."""
        self._answer()
        found = self.documents_by_index.get(index, {}).values()
        return sum(bot in {None, document.get("bot")} for document in found)

    def clear(self, index: IndexName) -> None:
        """See :meth:`kogpt2_chat.ports.Index.clear`."""
        self._answer()
        self.documents_by_index.pop(index, None)
        self.ids.pop(index, None)
        self._ensure(index)

    def _ensure(self, index: IndexName) -> None:
        if index not in self.ids:
            self.documents_by_index[index] = {}
            self.ids[index] = uuid.uuid4().hex

    def _answer(self) -> None:
        if self.away:
            raise Unavailable(f"Elasticsearch: {self.away}")


def _fault(index: IndexName, document_id: str, document: Row) -> str:
    """Return why the real server would refuse a document, as far as this double knows; empty if it would not."""
    if not 0 < len(document_id.encode("utf-8", "replace")) <= MAX_ID_BYTES:
        return f"its id does not have 1 to {MAX_ID_BYTES} bytes"
    for name, value in document.items():
        field = FIELDS_BY_INDEX[index].get(name)
        if field is None:
            return f"strict_dynamic_mapping_exception in `{name}`"
        if field["type"] in _NUMBERS and isinstance(value, str) and not value.lstrip("-").isdecimal():
            return f"mapper_parsing_exception in `{name}`"
    return ""


def _as_json(document: Row) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in document.items()
        if value is not None
    }
