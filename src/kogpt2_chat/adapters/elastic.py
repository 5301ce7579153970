"""The search index of turns in Elasticsearch.

The index is derived from the lake. Indexing is idempotent, since a document's id is its turn id. The mapping is strict:
an unknown field is an error instead of being mapped dynamically.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Row
from kogpt2_chat.settings import Settings

INDEX: Final = "kogpt2-turns"
_BATCH: Final = 500
_RETRIES: Final = 6
_FIRST_DELAY_S: Final = 0.5
_TOO_MANY_REQUESTS, _SERVER_ERROR, _NOT_FOUND, _BAD_REQUEST = 429, 500, 404, 400
_TYPE_BY_KIND: Final[Mapping[str, dict[str, object]]] = {
    "string": {"type": "keyword", "ignore_above": 1024},
    "long": {"type": "long"},
    "bool": {"type": "boolean"},
    "time": {"type": "date"},
    "longs": {"type": "long", "index": False},
}
# Full-text search covers the texts. Extra data that a client sent is stored but not indexed.
_TYPE_BY_COLUMN: Final[Mapping[str, dict[str, object]]] = {
    "text": {"type": "text", "analyzer": "standard"},
    "answer": {"type": "text", "analyzer": "standard", "fields": {"exact": {"type": "keyword", "ignore_above": 1024}}},
    "decoding": {"type": "keyword", "index": False, "doc_values": False},
    "extra": {"type": "keyword", "index": False, "doc_values": False},
    "date": {"type": "date", "format": "yyyy-MM-dd"},
}


class _NotAccepted(Exception):
    """The server was too busy for some documents, or did not answer."""


class ElasticIndex:
    """The index of turns on an Elasticsearch server."""

    def __init__(self, settings: Settings, name: str = INDEX) -> None:
        elastic = settings.elastic
        self._name = name
        self._url = settings.elastic_url
        self._client = Elasticsearch(
            self._url,
            basic_auth=(elastic.username, elastic.password.get_secret_value()) if elastic.username else None,
            request_timeout=elastic.timeout_s,
            # Version 7 servers do not accept the compatibility media type that the version 8 client sends by default.
            headers={"accept": "application/json", "content-type": "application/json"},
        )

    def ensure(self) -> None:
        """See :meth:`kogpt2_chat.ports.Index.ensure`."""
        properties = {name: _TYPE_BY_COLUMN.get(name, _TYPE_BY_KIND[kind]) for name, kind in TURNS.columns.items()}
        try:
            if self._client.indices.exists(index=self._name):
                self._add_fields(properties)
            else:
                self._client.indices.create(
                    index=self._name,
                    mappings={"dynamic": "strict", "properties": properties},
                    settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
                )
        except ApiError as error:
            if error.error != "resource_already_exists_exception":
                raise self._refused("create the index", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def _add_fields(self, properties: Mapping[str, Mapping[str, object]]) -> None:
        """Add missing fields, and keep the unknown fields of a later release.

        Raises:
            InvalidInput: a field has a different type. Otherwise every document would be refused.
        """
        (index,) = self._client.indices.get_mapping(index=self._name).values()
        found: Mapping[str, Mapping[str, object]] = index["mappings"].get("properties", {})
        faults = [
            f"`{name}` is {found[name].get('type')}, expected {wanted['type']}"
            for name, wanted in properties.items()
            if name in found and found[name].get("type") != wanted["type"]
        ]
        if faults:
            raise InvalidInput(
                f"Elasticsearch {self._url}: index {self._name} has fields that this release cannot use: "
                f"{'; '.join(faults)}; `kogpt2-chat index --rebuild` recreates it from the lake"
            )
        missing = {name: wanted for name, wanted in properties.items() if name not in found}
        if missing:
            self._client.indices.put_mapping(index=self._name, properties=missing)

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents in bulk, and resend those that the server was too busy for.

        Raises:
            Unavailable: the last retry did not get all of them accepted; calling again is safe.
        """
        iterator = iter(documents)
        count = 0
        while batch := list(islice(iterator, _BATCH)):
            self._put_batch(batch)
            count += len(batch)
        return count

    def remove(self, turn_ids: Sequence[str]) -> None:
        """Remove documents in bulk; ignore an index that does not exist.

        Raises:
            Unavailable: the server did not remove all of them; calling again is safe.
        """
        for start in range(0, len(turn_ids), _BATCH):
            batch = turn_ids[start : start + _BATCH]
            try:
                reply = self._client.bulk(
                    operations=[{"delete": {"_index": self._name, "_id": turn_id}} for turn_id in batch]
                )
            except ApiError as error:
                raise self._refused("remove documents", error) from error
            except TransportError as error:
                raise self._unavailable(error) from error
            left = [item for item in reply["items"] if not _is_removed(int(item["delete"]["status"]))]
            if left:
                raise Unavailable(
                    f"Elasticsearch {self._url}: {len(left)} documents could not be removed: run `index` again"
                )

    def find(self, turn_id: str) -> Row | None:
        """See :meth:`kogpt2_chat.ports.Index.find`; without an index, return None."""
        try:
            return dict(self._client.get(index=self._name, id=turn_id)["_source"])
        except ApiError as error:
            if error.status_code == _NOT_FOUND:
                return None
            raise self._refused("return a document", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def count(self, bot: str | None = None) -> int:
        """See :meth:`kogpt2_chat.ports.Index.count`; without an index, return 0."""
        query = {"match_all": {}} if bot is None else {"term": {"bot": bot}}
        try:
            self._client.indices.refresh(index=self._name)
            return int(self._client.count(index=self._name, query=query)["count"])
        except ApiError as error:
            if error.status_code == _NOT_FOUND:
                return 0
            raise self._refused("count", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def clear(self) -> None:
        """Delete the index and create it again."""
        try:
            self._client.indices.delete(index=self._name, ignore_unavailable=True)
        except ApiError as error:
            raise self._refused("clear the index", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error
        self.ensure()

    def _put_batch(self, batch: Sequence[Row]) -> None:
        left, reason = list(batch), "busy"

        def send() -> None:
            nonlocal left, reason
            try:
                reply = self._client.bulk(operations=_operations(self._name, left))
            except ApiError as error:
                if not _is_transient(error.status_code):
                    raise self._refused("index", error) from error
                reason = str(error)
                raise _NotAccepted from error
            except TransportError as error:
                reason = str(error)
                raise _NotAccepted from error
            left = self._to_resend(left, reply["items"])
            if left:
                raise _NotAccepted

        try:
            call_with_retries(
                send,
                is_transient=lambda error: isinstance(error, _NotAccepted),
                attempts=_RETRIES + 1,
                first_delay_s=_FIRST_DELAY_S,
            )
        except _NotAccepted as error:
            raise Unavailable(
                f"Elasticsearch {self._url}: {len(left)} of {len(batch)} documents were not accepted in {_RETRIES + 1} "
                f"attempts ({reason}); run `index` again later, nothing is lost"
            ) from error

    def _to_resend(self, sent: Sequence[Row], items: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Return the documents to resend; raise if a document does not fit the mapping."""
        left = []
        for document, item in zip(sent, items, strict=True):
            status = int(item["index"]["status"])
            if _is_transient(status):
                left.append(document)
            elif status >= 400:  # noqa: PLR2004
                cause = item["index"]["error"]
                raise InvalidInput(
                    f"Elasticsearch {self._url} refused turn {document['turn_id']}: {cause['type']}: {cause['reason']}"
                )
        return left

    def _refused(self, what: str, error: ApiError) -> Unavailable | InvalidInput:
        kind = InvalidInput if error.status_code == _BAD_REQUEST else Unavailable  # a retry would fail again
        return kind(f"Elasticsearch {self._url} refused to {what}: {error.status_code} {error.error}")

    def _unavailable(self, error: TransportError) -> Unavailable:
        return Unavailable(f"Elasticsearch {self._url} did not answer: {error.message}; is it running?")


def _is_removed(status: int) -> bool:
    return status < 300 or status == _NOT_FOUND  # noqa: PLR2004


def _is_transient(status: int) -> bool:
    return status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR


def _operations(name: str, documents: Iterable[Row]) -> list[dict[str, object]]:
    return [line for document in documents for line in _lines(name, document)]


def _lines(name: str, document: Row) -> Iterator[dict[str, object]]:
    yield {"index": {"_index": name, "_id": document["turn_id"]}}
    yield {
        field: value.isoformat() if isinstance(value, datetime) else value
        for field, value in document.items()
        if value is not None
    }
