"""One bot's graph in OpenVINO, with its keys and values in pages: any mix of rows goes through in one pass.

The graph says where activations are rounded to int8. It is loaded as it is, or without that rounding: then products
are in fp32, and the same weights stay int8 until they are multiplied.

A row is a sequence being decoded. Its keys and values lie in blocks of ``block_tokens`` positions, taken from one
pool a model; rows of any length share a pass without padding, some with a whole prompt, some with one token.
"""

import heapq
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from numpy.typing import NDArray
from openvino._offline_transformations import paged_attention_transformation

from kogpt2_chat.domain.forms import INT8, INT8_WEIGHTS, Form
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.model.convert import POSITIONS_PATH
from kogpt2_chat.model.cores import library_threads
from kogpt2_chat.model.mapped import let_go_of

Logits = NDArray[np.float32]
_CACHES: Final = ("key_cache", "value_cache")
_NORMALISERS: Final = "normalisers"
_PREPARED_KEPT: Final = 200
_LEAST_BLOCKS: Final = 8
_ROUNDING: Final = "FakeQuantize"


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
    """A compiled graph and its pool of blocks. One call of ``forward`` at a time.

    Attributes:
        block_tokens: positions in a block.
        positions: most positions that the network knows.
        vocabulary: entries of the vocabulary, the width of the logits.

    Args:
        graph: ``engine.xml``, its weights beside it.
        form: one of :func:`forms_of` it.
        threads: cores that one pass uses; 0 leaves it to OpenVINO.
        side_by_side: compile it for one core as well, for passes beside those of other models; costs the memory of
            its weights once more.
        max_rows: most rows at once.
        max_tokens: most positions of a row.

    Raises:
        CheckpointCorrupt: the file is no such graph.
    """

    def __init__(
        self,
        graph: Path,
        *,
        form: Form = INT8,
        threads: int = 0,
        side_by_side: bool = False,
        max_rows: int = 32,
        max_tokens: int = 256,
    ) -> None:
        core, threads = ov.Core(), library_threads(threads)
        try:
            model = core.read_model(graph)
            _add_normalisers(model)
            self.positions = int(model.get_rt_info(POSITIONS_PATH).astype(int))
            if form == INT8_WEIGHTS:
                _leave_activations(model)
            paged_attention_transformation(model)
            alone = compile_graph(core, model, properties(threads, form))
            beside = compile_graph(core, model, properties(1, form)) if side_by_side and threads != 1 else alone
        except RuntimeError as error:
            raise CheckpointCorrupt(f"{graph} cannot be loaded: {error}: take the previous version") from error
        self._alone: Any = alone.create_infer_request()
        self._beside: Any = self._alone if beside is alone else beside.create_infer_request()
        self.block_tokens = int(alone.input("value_cache.0").partial_shape[2].get_length())
        self.vocabulary = int(alone.output("logits").partial_shape[1].get_length())
        # However tight the bounds are: eight short rows are measured at load, and one of any length is compared.
        longest, bounded = (-(-tokens // self.block_tokens) for tokens in (self.positions, max_tokens))
        count = max(max_rows * bounded, longest, _LEAST_BLOCKS)
        self._free = list(range(count))
        for port in alone.inputs:
            if port.any_name.startswith(_CACHES):
                shape = [count, *(int(size.get_length()) for size in list(port.partial_shape)[1:])]
                # Not filled: the machine gives a page when it is first written to. Both ways of running share them.
                pages = ov.Tensor(port.element_type, ov.Shape(shape))
                self._alone.set_tensor(port.any_name, pages)
                self._beside.set_tensor(port.any_name, pages)
        self._pack()
        let_go_of(graph.with_suffix(".bin"))

    def forward(
        self, rows: Sequence[tuple[Pages, Sequence[int]]], *, all_logits: bool = False, beside: bool = False
    ) -> tuple[Logits, Logits]:
        """Compute new positions of rows, and remember their keys and values.

        Args:
            rows: each with its pages and its new tokens, at least one.
            all_logits: of every new position instead of each row's last one.
            beside: on one core, since other models run at the same time.

        Returns:
            Logits, (rows, vocabulary), or (new tokens of all rows, vocabulary); and of each row of them the logarithm
            of the sum of their exponentials, (rows,): a logit less it is a log-probability. Both are valid until the
            next call.
        """
        begins = np.cumsum([0, *(len(tokens) for _, tokens in rows)], dtype=np.int32)
        past = np.array([pages.length for pages, _ in rows], np.int32)
        for pages, tokens in rows:
            pages.length += len(tokens)
            while len(pages.blocks) * self.block_tokens < pages.length:
                pages.blocks.append(heapq.heappop(self._free))
        past_ids = [np.arange(start, pages.length) for start, (pages, _) in zip(past, rows, strict=True)]
        inputs = {
            "input_ids": np.concatenate([np.asarray(tokens, np.int64) for _, tokens in rows]),
            "position_ids": np.concatenate(past_ids).astype(np.int64),
            "logit_rows": (np.arange(begins[-1]) if all_logits else begins[1:] - 1).astype(np.int64),
            "max_context_len": np.array(max(pages.length for pages, _ in rows), np.int32),
            "past_lens": past,
            "subsequence_begins": begins,
            "block_indices": np.concatenate([np.asarray(pages.blocks, np.int32) for pages, _ in rows]),
            "block_indices_begins": np.cumsum([0, *(len(pages.blocks) for pages, _ in rows)], dtype=np.int32),
        }
        request = self._beside if beside else self._alone
        for name, values in inputs.items():
            request.set_tensor(name, ov.Tensor(values))
        request.infer()
        return request.get_tensor("logits").data, request.get_tensor(_NORMALISERS).data

    def release(self, pages: Pages) -> None:
        """Give a row's blocks back. Low ones are taken first, so that memory follows the load, not the bound."""
        for block in pages.blocks:
            heapq.heappush(self._free, block)
        pages.length, pages.blocks = 0, []

    def _pack(self) -> None:
        """The first pass of each way of running packs the weights for it: now, and not while somebody waits.

        From then on the mapped file is read only where tokens are looked up.
        """
        for beside in {False, self._beside is not self._alone}:
            pages = Pages()
            self.forward([(pages, [0])], beside=beside)
            self.release(pages)


def _add_normalisers(model: ov.Model) -> None:
    """Let the graph give, beside its logits, what turns them into log-probabilities: all cores share the work there."""
    logits = model.output("logits").get_node().input_value(0)
    axis = ops.constant(np.array([1], np.int64))
    highest = ops.reduce_max(logits, axis, keep_dims=True)
    summed = ops.reduce_sum(ops.exp(ops.subtract(logits, highest)), axis, keep_dims=True)
    normalisers = ops.squeeze(ops.add(ops.log(summed), highest), axis)
    normalisers.output(0).set_names({_NORMALISERS})
    model.add_outputs(normalisers.output(0))


def forms_of(graph: Path) -> tuple[Form, ...]:
    """Forms that a graph can be loaded in: both, where it rounds activations.

    Raises:
        CheckpointCorrupt: the file cannot be read.
    """
    try:
        return (INT8, INT8_WEIGHTS) if _ROUNDING.encode() in graph.read_bytes() else (INT8_WEIGHTS,)
    except OSError as error:
        raise CheckpointCorrupt(f"{graph} cannot be read: {error}: take the previous version") from error


def _leave_activations(model: ov.Model) -> None:
    """Take the rounding of activations out of a graph; the scales that balance them for it stay, and cancel out."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == _ROUNDING:
            node.output(0).replace(node.input(0).get_source_output())


def compile_graph(core: ov.Core, model: ov.Model, properties: dict[str, object]) -> ov.CompiledModel:
    """Compile a graph for the CPU, in a thread that ends with it.

    In OpenVINO 2026.4.1, ``compile_model`` changes the calling thread's alternate signal stack (``sigaltstack``) and
    frees it with the model. Python's signal handlers run on that stack, so in the main thread the next SIGTERM or
    ctrl-C would end the process with a segmentation fault.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile") as executor:
        return executor.submit(core.compile_model, model, "CPU", properties).result()


def properties(threads: int, form: Form = INT8) -> dict[str, object]:
    """How graphs are compiled; ``threads`` 0 takes all cores that affinity and CPU quota allow."""
    # Pinned, as is the default, every model of this process and of its neighbours would take the same first cores.
    # Keys and values in 8 bits, its default, take a pass of one row a tenth longer, for megabytes that nobody misses.
    properties: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "KV_CACHE_PRECISION": "f16",
        # Kernels are prepared for each new shape of a pass, and kept: by default 5,000 of them, hundreds of megabytes
        # in the course of a day. Passes are no slower with fewer.
        "CPU_RUNTIME_CACHE_CAPACITY": _PREPARED_KEPT,
    }
    if form == INT8_WEIGHTS:
        # Else a processor with bf16 would multiply in it, and one with int8 products would round activations after all.
        properties |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    if bound := library_threads(threads):
        properties["INFERENCE_NUM_THREADS"] = bound
    return properties
