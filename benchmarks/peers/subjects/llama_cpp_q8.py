"""llama.cpp on Q8_0 weights: its server's slots with continuous batching, called in this process by xllamacpp."""

import queue
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import xllamacpp

from benchmarks.peers.loads import MAX_BATCH, Request
from benchmarks.peers.measure import arguments, run
from benchmarks.peers.waiting_threads import results

_POSITIONS_PER_SLOT: Final = 64
_BATCH_TOKENS: Final = 512


class Server:
    """A :class:`benchmarks.peers.loads.Engine` on the server: a thread waits for each answer."""

    def __init__(self, folder: str, threads: int) -> None:
        settings = xllamacpp.CommonParams()
        settings.model.path = str(Path(folder) / "model.gguf")
        settings.n_parallel, settings.n_ctx = MAX_BATCH, MAX_BATCH * _POSITIONS_PER_SLOT
        settings.n_batch = settings.n_ubatch = _BATCH_TOKENS
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.cont_batching, settings.warmup, settings.cache_prompt = True, False, False
        settings.cache_ram_mib = settings.n_ctx_checkpoints = settings.n_gpu_layers = settings.verbosity = 0
        settings.kv_unified = False
        self._server = xllamacpp.Server(settings)
        self._threads = ThreadPoolExecutor(MAX_BATCH)
        self._done: queue.SimpleQueue[tuple[int, list[int]] | BaseException] = queue.SimpleQueue()

    def add(self, request: Request) -> None:
        """Queue a request."""
        self._threads.submit(self._answer, request)

    def step(self) -> list[tuple[int, list[int]]]:
        """Wait a moment for answers."""
        return results(self._done)

    def _answer(self, request: Request) -> None:
        try:
            said: Any = self._server.handle_completions({
                "prompt": list(request.prompt), "n_predict": request.new_tokens, "ignore_eos": True,
                "temperature": 0.0, "top_k": 1, "samplers": ["top_k"], "cache_prompt": False, "stream": False,
            })  # fmt: skip
            # Entry n of the vocabulary is "tn".
            self._done.put((request.number, [int(token) for token in said["choices"][0]["text"].split("t")[1:]]))
        except BaseException as error:  # noqa: BLE001 - step raises it
            self._done.put(error)


if __name__ == "__main__":
    options = arguments("threads")
    run(options, lambda: Server(options.model, int(options.threads)))
