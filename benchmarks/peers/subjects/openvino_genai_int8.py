"""OpenVINO GenAI's pipeline with continuous batching, with its own settings but for the size of the KV cache."""

from typing import Any, Final

import numpy as np
import openvino as ov
import openvino_genai as genai

from benchmarks.peers.loads import END_ID, MAX_BATCH, Request
from benchmarks.peers.measure import arguments, run

_BLOCKS_PER_ROW: Final = 8


class Pipeline:
    """A :class:`benchmarks.peers.loads.Engine` on the pipeline."""

    def __init__(self, folder: str) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = MAX_BATCH * _BLOCKS_PER_ROW
        scheduler.max_num_seqs = MAX_BATCH
        scheduler.enable_prefix_caching = False
        self._pipeline = genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", {})
        self._handles: dict[int, Any] = {}
        self._ids = 0  # of the pipeline: unique in the whole run
        self._numbers: dict[int, int] = {}

    def add(self, request: Request) -> None:
        """Queue a request."""
        config = genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = request.new_tokens
        config.do_sample = False
        config.ignore_eos = True
        config.set_eos_token_id(END_ID)
        prompt = ov.Tensor(np.array([request.prompt], np.int64))
        self._numbers[self._ids] = request.number
        self._handles[self._ids] = self._pipeline.add_request(self._ids, prompt, config)
        self._ids += 1

    def step(self) -> list[tuple[int, list[int]]]:
        """Run one step of the pipeline."""
        if not self._handles:
            return []
        self._pipeline.step()
        done = [
            id_ for id_, handle in self._handles.items() if handle.get_status() == genai.GenerationStatus.FINISHED
        ]  # fmt: skip
        return [(self._numbers.pop(id_), list(self._handles.pop(id_).read_all()[0].generated_ids)) for id_ in done]


if __name__ == "__main__":
    options = arguments()
    run(options, lambda: Pipeline(options.model))
