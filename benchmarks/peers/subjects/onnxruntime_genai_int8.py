"""onnxruntime-genai on int8 weights: batches, whose tokens its user asks for one by one."""

from collections.abc import Iterator

import numpy as np
import onnxruntime_genai as og

from benchmarks.peers.loads import PROMPT_TOKENS
from benchmarks.peers.measure import arguments, run
from benchmarks.peers.static_batches import Answers, Batch, StaticBatches


class Network:
    """The model."""

    def __init__(self, folder: str) -> None:
        self._model = og.Model(folder)

    def decode(self, batch: Batch) -> Iterator[Answers]:
        """Generate token by token; an answer leaves when it is complete, and its row is computed to the end."""
        longest = max(request.new_tokens for request in batch)
        length = PROMPT_TOKENS + longest
        search = og.GeneratorParams(self._model)
        search.set_search_options(batch_size=len(batch), max_length=length, min_length=length, do_sample=False)
        generator = og.Generator(self._model, search)
        generator.append_tokens(np.array([request.prompt for request in batch], np.int32))
        for count in range(1, longest + 1):
            generator.generate_next_token()
            yield [
                (request.number, generator.get_sequence(row)[PROMPT_TOKENS:].tolist())
                for row, request in enumerate(batch)
                if request.new_tokens == count
            ]


if __name__ == "__main__":
    options = arguments()
    run(options, lambda: StaticBatches(Network(options.model).decode))
