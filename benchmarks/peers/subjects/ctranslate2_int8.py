"""CTranslate2 on int8 weights: batches on one or more workers. A row leaves its batch when its answer is complete."""

import json
import queue
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2

from benchmarks.peers.loads import MAX_BATCH, Request
from benchmarks.peers.measure import arguments, run
from benchmarks.peers.static_batches import Batch
from benchmarks.peers.waiting_threads import results

_FREE = "a worker is free"


class Workers:
    """A :class:`benchmarks.peers.loads.Engine` on a generator: what waits is spread over the workers that are free."""

    def __init__(self, folder: str, workers: int, threads: int) -> None:
        self._generator = ctranslate2.Generator(
            folder, device="cpu", compute_type="int8", inter_threads=workers, intra_threads=threads
        )
        self._words: list[str] = json.loads((Path(folder) / "vocabulary.json").read_text("utf-8"))
        self._pool, self._free, self._workers = ThreadPoolExecutor(workers), workers, workers
        self._waiting: Batch = []
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def step(self) -> list[tuple[int, list[int]]]:
        """Give batches to free workers, and wait a moment for answers."""
        while self._free and self._waiting:
            size = min(MAX_BATCH, -(-len(self._waiting) // self._free))
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            self._free -= 1
            self._pool.submit(self._decode, batch)
        if self._free == self._workers:
            return []
        found = results(self._done)
        self._free += sum(result is _FREE for result in found)
        return [result for result in found if result is not _FREE]

    def _decode(self, batch: Batch) -> None:
        try:
            self._generate(batch)
            self._done.put(_FREE)
        except BaseException as error:  # noqa: BLE001 - step raises it
            self._done.put(error)

    def _generate(self, batch: Batch) -> None:
        """Decode a batch. If the lengths differ, a callback ends each row at its own and passes the answer on."""
        longest = max(request.new_tokens for request in batch)
        answers: list[list[int]] = [[] for _ in batch]

        def ends(step: Any) -> bool:
            request, tokens = batch[step.batch_id], answers[step.batch_id]
            tokens.append(step.token_id)
            complete = len(tokens) == request.new_tokens
            if complete:
                self._done.put((request.number, tokens))
            return complete

        differ = len({request.new_tokens for request in batch}) > 1
        found = self._generator.generate_batch(
            [[self._words[token] for token in request.prompt] for request in batch], max_batch_size=len(batch),
            max_length=longest, min_length=longest, sampling_topk=1, beam_size=1, include_prompt_in_result=False,
            callback=ends if differ else None,
        )  # fmt: skip
        if not differ:
            for request, result in zip(batch, found, strict=True):
                self._done.put((request.number, result.sequences_ids[0]))


if __name__ == "__main__":
    options = arguments("workers", "threads")
    run(options, lambda: Workers(options.model, int(options.workers), int(options.threads)))
