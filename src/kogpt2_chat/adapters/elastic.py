"""The search index of turns in Elasticsearch.

Derived from the lake and idempotent: a document's id is its turn id. The mapping is strict, so that a field
nobody planned is an error here and not a surprise in a dashboard.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

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
# Words are searched in the texts; what a client sent beside them is kept and not searched.
_TYPE_BY_COLUMN: Final[Mapping[str, dict[str, object]]] = {
    "text": {"type": "text", "analyzer": "standard"},
    "answer": {"type": "text", "analyzer": "standard", "fields": {"exact": {"type": "keyword", "ignore_above": 1024}}},
    "decoding": {"type": "keyword", "index": False, "doc_values": False},
    "extra": {"type": "keyword", "index": False, "doc_values": False},
    "date": {"type": "date", "format": "yyyy-MM-dd"},
}


class ElasticIndex:
    """Turns by turn id."""

    def __init__(self, settings: Settings, name: str = INDEX) -> None:
        elastic = settings.elastic
        self._name = name
        self._url = settings.elastic_url
        self._client = Elasticsearch(
            self._url,
            basic_auth=(elastic.username, elastic.password.get_secret_value()) if elastic.username else None,
            request_timeout=elastic.timeout_s,
            # Version 7 servers know neither the compatibility header of the 8 client nor its product check.
            headers={"accept": "application/json", "content-type": "application/json"},
        )

    def ensure(self) -> None:
        """Create the index with its strict mapping if it is missing; add the fields that an earlier release lacked."""
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
        """Fields of a later release stay as they are; one of another type is said here and not once a document."""
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
                f"{'; '.join(faults)}: `kogpt2-chat index --rebuild` makes it anew from the lake"
            )
        missing = {name: wanted for name, wanted in properties.items() if name not in found}
        if missing:
            self._client.indices.put_mapping(index=self._name, properties=missing)

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``, in bulk; what the server was too busy for is sent again.

        Args:
            documents: rows of the table ``turns``.

        Returns:
            How many. A document that does not fit the mapping raises :class:`InvalidInput`; a server that does
            not take all of them in time :class:`Unavailable`, and doing it again is safe.
        """
        iterator = iter(documents)
        count = 0
        while batch := list(islice(iterator, _BATCH)):
            self._put_batch(batch)
            count += len(batch)
        return count

    def remove(self, turn_ids: Sequence[str]) -> None:
        """Take documents out, in bulk; those that are not there, or an index that is not, are passed over.

        Args:
            turn_ids: which ones.

        Raises:
            Unavailable: the server did not take all of it; doing it again is safe.
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
            left = [item for item in reply["items"] if not _is_gone(int(item["delete"]["status"]))]
            if left:
                raise Unavailable(
                    f"Elasticsearch {self._url}: {len(left)} documents could not be removed: run `index` again"
                )

    def find(self, turn_id: str) -> Row | None:
        """A turn's document as JSON has it; None when there is none, or no index yet."""
        try:
            return dict(self._client.get(index=self._name, id=turn_id)["_source"])
        except ApiError as error:
            if error.status_code == _NOT_FOUND:
                return None
            raise self._refused("give a document", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def count(self, bot: str | None = None) -> int:
        """Documents, of one bot or all, after a refresh."""
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
        """Drop every document: the index is removed and made again."""
        try:
            self._client.indices.delete(index=self._name, ignore_unavailable=True)
        except ApiError as error:
            raise self._refused("clear the index", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error
        self.ensure()

    def _put_batch(self, batch: Sequence[Row]) -> None:
        left, delay_s, error = list(batch), _FIRST_DELAY_S, "busy"
        for attempt in range(_RETRIES + 1):
            if attempt:
                time.sleep(delay_s)
                delay_s *= 2
            try:
                reply = self._client.bulk(operations=_operations(self._name, left))
            except ApiError as found:
                if not _is_passing(found.status_code):
                    raise self._refused("index", found) from found
                error = str(found)
            except TransportError as found:
                error = str(found)
            else:
                left = self._left_over(left, reply["items"])
                if not left:
                    return
        raise Unavailable(
            f"Elasticsearch {self._url}: {len(left)} of {len(batch)} documents were not taken in {_RETRIES + 1} "
            f"attempts ({error}): index again later, nothing is lost"
        )

    def _left_over(self, sent: Sequence[Row], items: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Documents to send again; raises for one that will never fit."""
        left = []
        for document, item in zip(sent, items, strict=True):
            status = int(item["index"]["status"])
            if _is_passing(status):
                left.append(document)
            elif status >= 400:  # noqa: PLR2004
                cause = item["index"]["error"]
                raise InvalidInput(
                    f"Elasticsearch {self._url} refused turn {document['turn_id']}: {cause['type']}: {cause['reason']}"
                )
        return left

    def _refused(self, what: str, error: ApiError) -> Unavailable | InvalidInput:
        kind = InvalidInput if error.status_code == _BAD_REQUEST else Unavailable  # the same words would fail again
        return kind(f"Elasticsearch {self._url} refused to {what}: {error.status_code} {error.error}")

    def _unavailable(self, error: TransportError) -> Unavailable:
        return Unavailable(f"Elasticsearch {self._url} did not answer: {error.message}; is it running?")


def _is_gone(status: int) -> bool:
    return status < 300 or status == _NOT_FOUND  # noqa: PLR2004


def _is_passing(status: int) -> bool:
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
