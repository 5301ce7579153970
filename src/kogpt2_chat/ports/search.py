"""The port of the search server: documents by id, in the indices that ``domain/search/fields.py`` defines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kogpt2_chat.domain.search.fields import IndexName
from kogpt2_chat.ports.lake import Row

Documents = Iterable[tuple[str, Row]]
"""Documents with their ids, such as the items of a dict. A field that is None is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A document that does not fit its index. Sending it again would fail again.

    Attributes:
        document_id: its id.
        reason: the kind of error, and the field if it is known; never a value.
    """

    document_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutResult:
    """What happened to the documents of a call.

    Attributes:
        accepted: number of documents that are in the index now.
        refused: the others, in the order in which they were sent.
    """

    accepted: int
    refused: tuple[Refusal, ...] = ()


class Index(Protocol):
    """The documents of the search server. All of them are derived data and can be made again at any time.

    Every method may be repeated after an error. It raises ``Unavailable`` if the server does not answer, is too busy or
    accepts no writes now, each time after the adapter's retries.
    """

    def ensure(self) -> None:
        """Create the missing indices with their strict mappings, and add the fields that existing ones lack.

        Raises:
            InvalidInput: an existing index has another mapping.
        """
        ...

    def index_id(self, index: IndexName) -> str | None:
        """Return the id of an index, which a recreated index of the same name does not share; None if it is missing."""
        ...

    def put(self, index: IndexName, documents: Documents) -> PutResult:
        """Write documents, in requests of bounded size. A document replaces the one with its id.

        An index that is missing is created with its strict mapping. A document that does not fit never stops the
        others.

        Raises:
            Unavailable: the server did not take all of them. Some may have been written.
        """
        ...

    def remove(self, index: IndexName, ids: Sequence[str]) -> None:
        """Remove documents; ignore ids that are not in the index, and an index that is missing."""
        ...

    def find(self, index: IndexName, document_id: str) -> Row | None:
        """Return a document as JSON values (times as text, without nulls); None if there is none."""
        ...

    def find_many(self, index: IndexName, ids: Sequence[str]) -> Mapping[str, Row]:
        """Return the documents that exist, by id. A document is found as soon as it is written."""
        ...

    def scan(self, index: IndexName, fields: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
        """Refresh the index and yield every document's id with some of its fields, in any order.

        Args:
            index: the index; one that is missing has no documents.
            fields: the fields to return. By default only ids are returned.
        """
        ...

    def count(self, index: IndexName, bot: str | None = None) -> int:
        """Refresh the index and count its documents, of one bot or of all; 0 if it is missing."""
        ...

    def clear(self, index: IndexName) -> None:
        """Delete every document, before a rebuild. The index gets a new id."""
        ...


class Search(Protocol):
    """Searches on the search server. Nothing here writes."""

    def search(self, index: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the response to a search, as Elasticsearch 7 writes it. An index that is missing has no documents.

        Args:
            index: the index.
            body: the search.

        Raises:
            InvalidInput: the server does not understand the search.
            Unavailable: it does not answer in time, or could not search everything.
        """
        ...
