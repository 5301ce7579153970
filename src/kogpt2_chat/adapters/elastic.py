"""The search indices in Elasticsearch.

All documents are derived, and writing one again changes nothing. The mappings are strict: an unknown field is an error
instead of being mapped dynamically.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from elasticsearch import ApiError, Elasticsearch, TransportError
from tenacity.nap import sleep as default_sleep

from kogpt2_chat.adapters.elastic_batches import Entry, batches, entries
from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.domain.lake.storable import MAX_ID_BYTES
from kogpt2_chat.domain.search.fields import FEEDBACK_INDEX, FIELDS_BY_INDEX, TURN_INDEX, IndexName
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Documents, PutResult, Refusal, Row
from kogpt2_chat.settings import Settings

_MAX_BATCH: Final = 500
_SCAN_BATCH: Final = 1000
_SCROLL_KEPT: Final = "5m"
_ATTEMPTS: Final = 7
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 16.0
_FAILED, _BLOCKED, _NOT_FOUND, _TOO_LARGE, _TOO_MANY_REQUESTS, _SERVER_ERROR = 400, 403, 404, 413, 429, 500
_NO_INDEX: Final = "index_not_found_exception"
_BLOCK: Final = "cluster_block_exception"
_FAULTS_OF_A_DOCUMENT: Final = frozenset({
    "mapper_parsing_exception", "document_parsing_exception", "strict_dynamic_mapping_exception",
    "illegal_argument_exception", "max_bytes_length_exceeded_exception", "json_parse_exception",
    "x_content_parse_exception", "parse_exception", "parsing_exception", "routing_missing_exception",
})  # fmt: skip
_FIELD: Final = re.compile(r"(?:field|introduction of) \[([\w.]{1,100})\]", re.ASCII)

T = TypeVar("T")


class _NotAccepted(Exception):
    """The server did not answer, or was not able to take some documents now."""


class ElasticIndex:
    """The port Index on an Elasticsearch 7 server.

    Args:
        settings: the server, the login and the size of a request.
        prefix: precedes the name of each index; tests use it.
        sleep: waits for some seconds between two attempts; may raise an exception to end them.
        attempts: how often a write is tried before it is reported as unavailable.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        prefix: str = "",
        sleep: Callable[[float], object] = default_sleep,
        attempts: int = _ATTEMPTS,
    ) -> None:
        elastic = settings.elastic
        self._prefix = prefix
        self._sleep = sleep
        self._attempts = attempts
        self._max_bytes = int(elastic.batch_mb * 1024 * 1024)
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
        for index in FIELDS_BY_INDEX:
            self._ensure(index)

    def index_id(self, index: IndexName) -> str | None:
        """See :meth:`kogpt2_chat.ports.Index.index_id`."""
        name = self._name(index)
        found = self._call("describe an index", lambda: self._client.indices.get_settings(index=name), missing={})
        return str(found[name]["settings"]["index"]["uuid"]) if name in found else None

    def put(self, index: IndexName, documents: Documents) -> PutResult:
        """Write documents in bulk. Only those that the server was too busy for are sent again.

        Args:
            index: the index.
            documents: the documents, with their ids.

        Returns:
            The number of accepted documents, and the refused ones.

        Raises:
            Unavailable: the last attempt did not get all of them accepted; calling again is safe.
        """
        accepted, refused = 0, list[Refusal]()
        for batch in batches(entries(documents), most=_MAX_BATCH, max_bytes=self._max_bytes):
            found = self._put_batch(index, batch)
            refused += found
            accepted += len(batch) - len(found)
        return PutResult(accepted=accepted, refused=tuple(refused))

    def remove(self, index: IndexName, ids: Sequence[str]) -> None:
        """Remove documents in bulk.

        Raises:
            Unavailable: the server did not remove all of them; calling again is safe.
        """
        for start in range(0, len(ids), _MAX_BATCH):
            batch = [{"delete": {"_id": document_id}} for document_id in ids[start : start + _MAX_BATCH]]
            self._retried(partial(self._remove_batch, index, batch))

    def find(self, index: IndexName, document_id: str) -> Row | None:
        """See :meth:`kogpt2_chat.ports.Index.find`."""
        return self.find_many(index, [document_id]).get(document_id)

    def find_many(self, index: IndexName, ids: Sequence[str]) -> Mapping[str, Row]:
        """See :meth:`kogpt2_chat.ports.Index.find_many`."""
        found: dict[str, Row] = {}
        name = self._name(index)
        for start in range(0, len(ids), _MAX_BATCH):
            batch = list(ids[start : start + _MAX_BATCH])
            reply = self._call("return documents", partial(self._client.mget, index=name, ids=batch), missing={})
            found |= {entry["_id"]: entry["_source"] for entry in reply.get("docs", ()) if entry.get("found")}
        return found

    def scan(self, index: IndexName, fields: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
        """Yield every document's id with some of its fields; the server keeps the reading open for five minutes a page.

        Args:
            index: the index.
            fields: the fields to return; by default none.

        Yields:
            Ids with fields.
        """
        name = self._name(index)
        what = "list documents"
        self._call(what, lambda: self._client.indices.refresh(index=name), missing={})
        reply = self._call(
            what,
            lambda: self._client.search(
                index=name, scroll=_SCROLL_KEPT, size=_SCAN_BATCH, sort="_doc", source=list(fields) or False
            ),
            missing={},
        )
        scroll_id = reply.get("_scroll_id")
        try:
            while hits := (reply["hits"]["hits"] if scroll_id else ()):
                yield from ((hit["_id"], hit.get("_source", {})) for hit in hits)
                reply = self._call(what, partial(self._client.scroll, scroll_id=scroll_id, scroll=_SCROLL_KEPT))
                scroll_id = reply["_scroll_id"]
        finally:
            if scroll_id:
                self._call(what, lambda: self._client.clear_scroll(scroll_id=scroll_id), missing={})

    def count(self, index: IndexName, bot: str | None = None) -> int:
        """See :meth:`kogpt2_chat.ports.Index.count`."""
        name = self._name(index)
        query = {"match_all": {}} if bot is None else {"term": {"bot": bot}}
        self._call("refresh", lambda: self._client.indices.refresh(index=name), missing={})
        reply = self._call("count", lambda: self._client.count(index=name, query=query), missing={"count": 0})
        return int(reply["count"])

    def clear(self, index: IndexName) -> None:
        """Delete an index and create it again."""
        name = self._name(index)
        self._call("clear the index", lambda: self._client.indices.delete(index=name, ignore_unavailable=True))
        self._ensure(index)

    def _name(self, index: IndexName) -> str:
        return f"{self._prefix}{index}"

    def _ensure(self, index: IndexName) -> None:
        name = self._name(index)
        mapping = {"dynamic": "strict", "properties": FIELDS_BY_INDEX[index]}
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
        indices = self._client.indices
        # Between the deletion of an index and its creation, a write must not create one with a guessed mapping.
        self._call(
            "store the index template",
            lambda: indices.put_index_template(
                name=name,
                index_patterns=[name],
                template={"settings": settings, "mappings": mapping},
                allow_auto_create=False,
            ),
        )
        if self._call("find the index", lambda: indices.exists(index=name)):
            self._call("describe the index", lambda: self._add_fields(index))
            return
        try:
            indices.create(index=name, mappings=mapping, settings=settings)
        except ApiError as error:
            if error.error != "resource_already_exists_exception":
                raise self._refused("create the index", error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def _add_fields(self, index: IndexName) -> None:
        """Add missing fields, and keep the unknown fields of a later release.

        Raises:
            InvalidInput: a field has a different type. Otherwise every document would be refused.
        """
        name, properties = self._name(index), FIELDS_BY_INDEX[index]
        (described,) = self._client.indices.get_mapping(index=name).values()
        found: Mapping[str, Mapping[str, object]] = described["mappings"].get("properties", {})
        faults = [
            f"`{field}` is {found[field].get('type')}, expected {wanted['type']}"
            for field, wanted in properties.items()
            if field in found and found[field].get("type") != wanted["type"]
        ]
        if faults:
            raise InvalidInput(
                f"Elasticsearch {self._url}: index {name} has fields that this release cannot use: "
                f"{'; '.join(faults)}; {_again(index)}"
            )
        missing = {field: wanted for field, wanted in properties.items() if field not in found}
        if missing:
            self._client.indices.put_mapping(index=name, properties=missing)

    def _put_batch(self, index: IndexName, batch: Sequence[Entry]) -> list[Refusal]:
        """Write one batch, and return the documents that were refused."""
        refused = [
            Refusal(document_id=entry.document_id, reason=f"its id does not have 1 to {MAX_ID_BYTES} bytes")
            for entry in batch
            if not _is_id(entry.document_id)
        ]
        left = [entry for entry in batch if _is_id(entry.document_id)]

        def send() -> None:
            nonlocal left, refused
            if not left:
                return
            left, new, kinds = self._send(index, left)
            refused += new
            if left:
                why = ", ".join(sorted(kinds))
                raise _NotAccepted(f"{len(left)} of {len(batch)} documents were not accepted ({why})")

        self._retried(send)
        return refused

    def _send(self, index: IndexName, batch: Sequence[Entry]) -> tuple[list[Entry], list[Refusal], set[str]]:
        """Send one request.

        Returns:
            The documents to send again, those that were refused, and the kinds of errors of the former.
        """
        lines = [part for entry in batch for part in ({"index": {"_id": entry.document_id}}, entry.source)]
        try:
            reply = self._bulk(index, lines)
        except ApiError as error:
            if error.status_code != _TOO_LARGE:
                raise
            if len(batch) == 1:
                return [], [Refusal(document_id=batch[0].document_id, reason="larger than the server accepts")], set()
            halves = (batch[: len(batch) // 2], batch[len(batch) // 2 :])
            (left, refused, kinds), (more_left, more_refused, more) = (self._send(index, half) for half in halves)
            return left + more_left, refused + more_refused, kinds | more
        left, refused, kinds = [], [], set()
        for entry, item in zip(batch, reply["items"], strict=True):
            status, cause = int(item["index"]["status"]), item["index"].get("error") or {}
            if cause.get("type") == _NO_INDEX:
                self._ensure(index)
                left.append(entry)
                kinds.add(_NO_INDEX)
            elif _may_be_accepted_later(status, cause.get("type")):
                left.append(entry)
                kinds.add(str(cause.get("type") or status))
            elif status >= _FAILED:
                refused.append(Refusal(document_id=entry.document_id, reason=_reason(cause)))
        return left, refused, kinds

    def _remove_batch(self, index: IndexName, operations: Sequence[Mapping[str, Any]]) -> None:
        reply = self._bulk(index, operations)
        left = [item for item in reply["items"] if not _is_removed(int(item["delete"]["status"]))]
        if left:
            kinds = {str((item["delete"].get("error") or {}).get("type")) for item in left}
            raise _NotAccepted(f"{len(left)} documents could not be removed ({', '.join(sorted(kinds))})")

    def _bulk(self, index: IndexName, operations: Sequence[Any]) -> Any:
        return self._client.bulk(index=self._name(index), operations=operations, filter_path="items")

    def _retried(self, call: Callable[[], None]) -> None:
        """Call until the server takes everything.

        Raises:
            InvalidInput: the server cannot read the request.
            Unavailable: the attempts have run out.
        """

        def attempt() -> None:
            try:
                call()
            except ApiError as error:
                if not _is_transient(error.status_code, error.error):
                    raise self._refused("write documents", error) from error
                raise _NotAccepted(f"{error.status_code} {error.error}") from error
            except TransportError as error:
                raise _NotAccepted(f"no answer: {error.message}") from error

        try:
            call_with_retries(
                attempt,
                is_transient=lambda error: isinstance(error, _NotAccepted),
                attempts=self._attempts,
                first_delay_s=_FIRST_DELAY_S,
                longest_delay_s=_LONGEST_DELAY_S,
                sleep=self._sleep,
            )
        except _NotAccepted as error:
            raise Unavailable(
                f"Elasticsearch {self._url}: {error}, in {self._attempts} attempts; try again later, nothing is lost"
            ) from error

    def _call(self, what: str, call: Callable[[], T], missing: T | None = None) -> Any:
        """Call the server, and return ``missing`` if there is no such index, unless it is None."""
        try:
            return call()
        except ApiError as error:
            if error.status_code == _NOT_FOUND and missing is not None:
                return missing
            raise self._refused(what, error) from error
        except TransportError as error:
            raise self._unavailable(error) from error

    def _refused(self, what: str, error: ApiError) -> Unavailable | InvalidInput:
        kind = InvalidInput if error.status_code == _FAILED else Unavailable  # a retry would fail again
        return kind(f"Elasticsearch {self._url} refused to {what}: {error.status_code} {error.error}")

    def _unavailable(self, error: TransportError) -> Unavailable:
        return Unavailable(f"Elasticsearch {self._url} did not answer: {error.message}; is it running?")


def _again(index: IndexName) -> str:
    """Return how an index is made again."""
    if index in (TURN_INDEX, FEEDBACK_INDEX):
        return "`kogpt2-chat index --rebuild` recreates it from the lake"
    return "delete it: the indexer creates it again and fills it from Kafka"


def _is_id(document_id: str) -> bool:
    return 0 < len(document_id.encode("utf-8", "replace")) <= MAX_ID_BYTES


def _is_removed(status: int) -> bool:
    return status < _FAILED or status == _NOT_FOUND


def _is_transient(status: int, kind: str | None) -> bool:
    """Check whether a request may succeed later: the server is busy, out of order, or writes are blocked."""
    return status in (_TOO_MANY_REQUESTS, _NOT_FOUND) or status >= _SERVER_ERROR or kind == _BLOCK


def _may_be_accepted_later(status: int, kind: str | None) -> bool:
    """Check whether a document may be accepted later: whatever is wrong is no fault of the document itself.

    The server may be busy or out of order, writes may be blocked, the index closed, or a permission missing.
    """
    return status >= _FAILED and kind not in _FAULTS_OF_A_DOCUMENT


def _reason(cause: Mapping[str, Any]) -> str:
    """Return the kind of an error and the field, without the server's message, which quotes the value."""
    field = _FIELD.search(str(cause.get("reason") or ""))
    return f"{cause.get('type')}{f' in `{field[1]}`' if field else ''}"
