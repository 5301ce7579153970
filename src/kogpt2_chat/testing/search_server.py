"""Indices of a test's or benchmark's own on a real Elasticsearch, beside those of the platform."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any, Final

import requests

from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, IndexName
from kogpt2_chat.ports import Search
from kogpt2_chat.testing.history import Document

_BATCH: Final = 2000
_TIMEOUT_S: Final = 120.0


class OwnIndices:
    """The platform's indices with a prefix. It searches them under their usual names.

    Args:
        url: address of the server.
        search: searches on it.
        prefix: what the names begin with.
    """

    def __init__(self, url: str, search: Search, prefix: str) -> None:
        self._url, self._search, self._prefix = url, search, prefix

    def search(self, index: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        """See :meth:`kogpt2_chat.ports.Search.search`."""
        return self._search.search(self.name(index), body)

    def name(self, index: str) -> str:
        """Return the name that an index has on the server."""
        return f"{self._prefix}{index}"

    def create(self, settings: Mapping[str, object]) -> None:
        """Create all indices with their mappings."""
        for index, fields in FIELDS_BY_INDEX.items():
            mappings = {"dynamic": "strict", "properties": dict(fields)}
            self._send("PUT", f"/{self.name(index)}", json.dumps({"settings": settings, "mappings": mappings}))

    def fill(self, documents: Iterable[Document], said: Callable[[int], None] = lambda _: None) -> int:
        """Write documents and refresh; ``said`` is called with their number after each request.

        Raises:
            ValueError: the server refuses a document.
        """
        count, remaining = 0, iter(documents)
        while batch := list(islice(remaining, _BATCH)):
            lines = chain.from_iterable(self._lines(*document) for document in batch)
            reply = self._send("POST", "/_bulk", "".join(f"{line}\n" for line in lines))
            if reply["errors"]:
                first = next(item for item in reply["items"] if "error" in item["index"])
                raise ValueError(f"Elasticsearch refused a document: {first}")
            count += len(batch)
            said(count)
        self._send("POST", f"/{self._prefix}*/_refresh")
        return count

    def delete(self) -> None:
        """Delete the indices."""
        for index in FIELDS_BY_INDEX:
            self._send("DELETE", f"/{self.name(index)}?ignore_unavailable=true")

    def megabytes(self) -> float:
        """Return the size of the indices on disk."""
        stats = self._send("GET", f"/{self._prefix}*/_stats/store")
        return float(stats["_all"]["primaries"]["store"]["size_in_bytes"]) / 1024**2

    def merge(self) -> None:
        """Merge the segments, as a quiet night does."""
        self._send("POST", f"/{self._prefix}*/_forcemerge?max_num_segments=5")

    def forget_searches(self) -> None:
        """Empty the cache of searches."""
        self._send("POST", f"/{self._prefix}*/_cache/clear?request=true")

    def _lines(self, index: IndexName, document_id: str, document: Mapping[str, object]) -> tuple[str, str]:
        place = {"index": {"_index": self.name(index), "_id": document_id}}
        return json.dumps(place), json.dumps(document, ensure_ascii=False)

    def _send(self, method: str, path: str, body: str = "") -> dict[str, Any]:
        reply = requests.request(
            method,
            f"{self._url}{path}",
            data=body.encode() or None,
            headers={"content-type": "application/x-ndjson" if path == "/_bulk" else "application/json"},
            timeout=_TIMEOUT_S,
        )
        if not reply.ok:
            raise ValueError(f"Elasticsearch {method} {path}: {reply.status_code} {reply.text[:500]}")
        found: dict[str, Any] = reply.json()
        return found
