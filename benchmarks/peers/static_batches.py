"""Requests for a library that decodes whole batches: it gets what waits, up to a limit. Only the standard library.

A batch runs until its longest answer is complete. An answer that is complete earlier leaves at once where the library
lets it; its place in the batch is lost until the batch ends, unless the library takes rows out.
"""

from collections.abc import Callable, Iterator

from benchmarks.peers.loads import MAX_BATCH, Request

Batch = list[Request]
Answers = list[tuple[int, list[int]]]


class StaticBatches:
    """A :class:`benchmarks.peers.loads.Engine` on a library that decodes batches.

    Args:
        decode: decodes a batch, and yields what is complete, maybe nothing, whenever new requests may be queued.
        max_batch: most requests in a batch.
    """

    def __init__(self, decode: Callable[[Batch], Iterator[Answers]], max_batch: int = MAX_BATCH) -> None:
        self._decode, self._max_batch = decode, max_batch
        self._waiting: Batch = []
        self._running: Iterator[Answers] | None = None

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def step(self) -> Answers:
        """Begin a batch of what waits if none runs; return what the running batch has complete."""
        if self._running is None:
            if not self._waiting:
                return []
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            self._running = self._decode(batch)
        answers = next(self._running, None)
        if answers is None:
            self._running = None
        return answers or []
