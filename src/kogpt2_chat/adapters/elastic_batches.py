"""The body of bulk requests: documents as lines of JSON, in batches of bounded size."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from kogpt2_chat.ports import Documents, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A document as it is sent.

    Attributes:
        document_id: its id.
        source: its fields as JSON in UTF-8.
    """

    document_id: str
    source: bytes


def entries(documents: Documents) -> Iterator[Entry]:
    """Yield each document as it is sent."""
    for document_id, document in documents:
        yield Entry(document_id=document_id, source=_source(document))


def batches(found: Iterable[Entry], *, most: int, max_bytes: int) -> Iterator[list[Entry]]:
    """Divide documents into batches.

    Args:
        found: the documents.
        most: maximum number of documents in a batch.
        max_bytes: maximum size of their fields. A larger document has a batch of its own.

    Yields:
        Batches with at least one document, in order.
    """
    batch: list[Entry] = []
    size = 0
    for entry in found:
        if batch and (len(batch) >= most or size + len(entry.source) > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry.source)
    if batch:
        yield batch


def _source(document: Row) -> bytes:
    known = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in document.items()
        if value is not None
    }
    # UTF-8 cannot express a lone surrogate, which would make the server refuse the whole request.
    return json.dumps(known, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
