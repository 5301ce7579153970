"""One bot's graph in OpenVINO, with its keys and values in pages: any mix of rows goes through in one pass.

A row is a sequence being decoded. Its keys and values lie in blocks of ``block_tokens`` positions, taken from one
pool a model; rows of any length share a pass without padding, some with a whole prompt, some with one token.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino._offline_transformations import paged_attention_transformation

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.model.convert import POSITIONS_PATH

Logits = NDArray[np.float32]
_CACHES: Final = ("key_cache", "value_cache")


@dataclass(slots=True)
class Pages:
    """Where a row's keys and values lie.

    Attributes:
        length: positions that have been computed.
        blocks: of the pool, in the order of the positions.
    """

    length: int = 0
    blocks: list[int] = field(default_factory=list)


class PagedModel:
    """A compiled graph and its pool of blocks. Not thread safe.

    Attributes:
        block_tokens: positions in a block.
        positions: most positions that the network knows.

    Args:
        graph: ``engine.xml``, its weights beside it.
        threads: cores that one pass uses; 0 leaves it to OpenVINO.
        max_rows: most rows at once.
        max_tokens: most positions of a row.

    Raises:
        CheckpointCorrupt: the file is no such graph.
    """

    def __init__(self, graph: Path, *, threads: int = 0, max_rows: int = 32, max_tokens: int = 256) -> None:
        core = ov.Core()
        try:
            model = core.read_model(graph)
            self.positions = int(model.get_rt_info(POSITIONS_PATH).astype(int))
            paged_attention_transformation(model)
            self._compiled = core.compile_model(model, "CPU", properties(threads))
        except RuntimeError as error:
            raise CheckpointCorrupt(f"{graph} cannot be loaded: {error}: take the previous version") from error
        self._request: Any = self._compiled.create_infer_request()
        values = self._compiled.input("value_cache.0").partial_shape
        self.block_tokens = int(values[2].get_length())
        count = max_rows * -(-max_tokens // self.block_tokens)
        self._free = list(range(count))
        for port in self._compiled.inputs:
            if port.any_name.startswith(_CACHES):
                shape = [count, *(int(size.get_length()) for size in list(port.partial_shape)[1:])]
                # Not filled: the machine gives a page when it is first written to.
                self._request.set_tensor(port.any_name, ov.Tensor(port.element_type, ov.Shape(shape)))

    @property
    def vocabulary(self) -> int:
        """Entries of the vocabulary, the width of the logits."""
        return int(self._compiled.output("logits").partial_shape[1].get_length())

    def forward(self, rows: Sequence[tuple[Pages, Sequence[int]]], *, all_logits: bool = False) -> Logits:
        """Compute new positions of rows, and remember their keys and values.

        Args:
            rows: each with its pages and its new tokens, at least one.
            all_logits: of every new position instead of each row's last one.

        Returns:
            (rows, vocabulary), or (new tokens of all rows, vocabulary); valid until the next call.
        """
        begins = np.cumsum([0, *(len(tokens) for _, tokens in rows)], dtype=np.int32)
        past = np.array([pages.length for pages, _ in rows], np.int32)
        for pages, tokens in rows:
            pages.length += len(tokens)
            while len(pages.blocks) * self.block_tokens < pages.length:
                pages.blocks.append(heapq.heappop(self._free))
        self._set("input_ids", np.concatenate([np.asarray(tokens, np.int64) for _, tokens in rows]))
        self._set("position_ids", np.concatenate([np.arange(start, pages.length, dtype=np.int64)
                                                  for start, (pages, _) in zip(past, rows, strict=True)]))  # fmt: skip
        self._set(
            "logit_rows", np.arange(begins[-1], dtype=np.int64) if all_logits else begins[1:].astype(np.int64) - 1
        )
        self._set("max_context_len", np.array(max(pages.length for pages, _ in rows), np.int32))
        self._set("past_lens", past)
        self._set("subsequence_begins", begins)
        self._set("block_indices", np.concatenate([np.asarray(pages.blocks, np.int32) for pages, _ in rows]))
        self._set("block_indices_begins", np.cumsum([0, *(len(pages.blocks) for pages, _ in rows)], dtype=np.int32))
        self._request.infer()
        logits: Logits = self._request.get_tensor("logits").data
        return logits

    def release(self, pages: Pages) -> None:
        """Give a row's blocks back. Low ones are taken first, so that memory follows the load, not the bound."""
        for block in pages.blocks:
            heapq.heappush(self._free, block)
        pages.length, pages.blocks = 0, []

    def _set(self, name: str, values: NDArray[Any]) -> None:
        self._request.set_tensor(name, ov.Tensor(values))


def properties(threads: int) -> dict[str, object]:
    """How graphs are compiled; ``threads`` 0 takes all cores."""
    properties: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        properties["INFERENCE_NUM_THREADS"] = threads
    return properties
