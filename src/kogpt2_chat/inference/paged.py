"""One version's graph in OpenVINO with a paged KV cache: one pass computes any mix of sequences.

The graph contains nodes that round activations to int8. It is loaded with these nodes, or without them: then the
matrix products are computed in fp32, and the same weights stay int8 until they are multiplied.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from openvino._offline_transformations import paged_attention_transformation

from kogpt2_chat.artifact.convert import POSITIONS_PATH
from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS, Form
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.mapped_files import advise_dontneed
from kogpt2_chat.inference.pages import Logits, PagePool, PageTable, pass_inputs
from kogpt2_chat.machine.cores import library_threads

_CACHES: Final = ("key_cache", "value_cache")
_NORMALISERS: Final = "normalisers"
_MAX_CACHED_KERNELS: Final = 200
_ROUNDING: Final = "FakeQuantize"


class PagedModel:
    """A compiled graph and its pool of KV pages; a :class:`kogpt2_chat.inference.pages.PagedNetwork`.

    Attributes:
        pool: its free pages.
        positions: the network's context length, in tokens.
        vocabulary: entries of the vocabulary, the width of the logits.

    Args:
        graph: ``engine.xml``; its weights are in the same folder.
        form: one of :func:`forms_of` this graph.
        threads: cores that one pass uses; 0 lets OpenVINO decide.
        side_by_side: also compile the graph for one core, for passes that run concurrently with those of other models.
            This needs memory for a second copy of the weights.
        max_sequences: most sequences at once.
        max_tokens: most positions of a sequence.

    Raises:
        CheckpointCorrupt: OpenVINO cannot load the file as such a graph.
    """

    def __init__(
        self,
        graph: Path,
        *,
        form: Form = INT8,
        threads: int = 0,
        side_by_side: bool = False,
        max_sequences: int,
        max_tokens: int = 256,
    ) -> None:
        core, threads = ov.Core(), library_threads(threads)
        try:
            model = core.read_model(graph)
            _add_normalisers(model)
            self.positions = int(model.get_rt_info(POSITIONS_PATH).astype(int))
            if form == INT8_WEIGHTS:
                _remove_activation_rounding(model)
            paged_attention_transformation(model)
            all_cores = compile_graph(core, model, properties(threads, form))
            compile_twice = side_by_side and threads != 1
            single_core = compile_graph(core, model, properties(1, form)) if compile_twice else all_cores
        except RuntimeError as error:
            raise CheckpointCorrupt(f"{graph} cannot be loaded: {error}: take the previous version") from error
        self._all_cores: Any = all_cores.create_infer_request()
        self._single_core: Any = self._all_cores if single_core is all_cores else single_core.create_infer_request()
        page_tokens = int(all_cores.input("value_cache.0").partial_shape[2].get_length())
        self.vocabulary = int(all_cores.output("logits").partial_shape[1].get_length())
        self.pool = PagePool(
            page_tokens=page_tokens, positions=self.positions, max_sequences=max_sequences, max_tokens=max_tokens
        )
        for port in all_cores.inputs:
            if port.any_name.startswith(_CACHES):
                shape = [self.pool.count, *(int(size.get_length()) for size in list(port.partial_shape)[1:])]
                # Not initialised: the system allocates a memory page at the first write. Both requests share the cache.
                pages = ov.Tensor(port.element_type, ov.Shape(shape))
                self._all_cores.set_tensor(port.any_name, pages)
                self._single_core.set_tensor(port.any_name, pages)
        self._pack()
        advise_dontneed(graph.with_suffix(".bin"))

    def forward(
        self,
        sequences: Sequence[tuple[PageTable, Sequence[int]]],
        *,
        tails: Sequence[int] | None = None,
        all_logits: bool = False,
        single_core: bool = False,
    ) -> tuple[Logits, Logits]:
        """Compute new positions; see :meth:`kogpt2_chat.inference.pages.PagedNetwork.forward`."""
        found = pass_inputs(self.pool, sequences, tails, all_logits=all_logits)
        past_ids = [np.arange(start, table.length) for start, (table, _) in zip(found.past, sequences, strict=True)]
        inputs = {
            "input_ids": found.tokens,
            "position_ids": np.concatenate(past_ids).astype(np.int64),
            "logit_rows": found.rows.astype(np.int64),
            "max_context_len": np.array(max(table.length for table, _ in sequences), np.int32),
            "past_lens": found.past,
            "subsequence_begins": found.begins,
            "block_indices": found.pages,
            "block_indices_begins": found.page_begins,
        }
        request = self._single_core if single_core else self._all_cores
        for name, values in inputs.items():
            request.set_tensor(name, ov.Tensor(values))
        request.infer()
        return request.get_tensor("logits").data, request.get_tensor(_NORMALISERS).data

    def forget(self, table: PageTable, tokens: int) -> None:
        """Drop the last positions of a sequence."""
        self.pool.forget(table, tokens)

    def release(self, table: PageTable) -> None:
        """Return a sequence's pages to the pool."""
        self.pool.release(table)

    def _pack(self) -> None:
        """Run one pass per compiled graph, because the first pass packs the weights: do it before the first question.

        After that, the mapped file is read only to look up token embeddings.
        """
        for single_core in {False, self._single_core is not self._all_cores}:
            table = PageTable()
            self.forward([(table, [0])], single_core=single_core)
            self.release(table)


def _add_normalisers(model: ov.Model) -> None:
    """Add an output that turns logits into log-probabilities: computed in the graph, it uses all cores."""
    logits = model.output("logits").get_node().input_value(0)
    axis = ops.constant(np.array([1], np.int64))
    highest = ops.reduce_max(logits, axis, keep_dims=True)
    summed = ops.reduce_sum(ops.exp(ops.subtract(logits, highest)), axis, keep_dims=True)
    normalisers = ops.squeeze(ops.add(ops.log(summed), highest), axis)
    normalisers.output(0).set_names({_NORMALISERS})
    model.add_outputs(normalisers.output(0))


def forms_of(graph: Path) -> tuple[Form, ...]:
    """Return the forms in which a graph can be loaded: both if it rounds activations.

    Raises:
        CheckpointCorrupt: the file cannot be read.
    """
    try:
        return (INT8, INT8_WEIGHTS) if _ROUNDING.encode() in graph.read_bytes() else (INT8_WEIGHTS,)
    except OSError as error:
        raise CheckpointCorrupt(f"{graph} cannot be read: {error}: take the previous version") from error


def _remove_activation_rounding(model: ov.Model) -> None:
    """Remove the rounding of activations from a graph. The smoothing scales stay; they cancel out."""
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
    """Return the properties that a graph is compiled with; ``threads`` 0: all cores of affinity and CPU quota."""
    # CPU pinning is on by default: all models of this process and of others would be pinned to the same first cores.
    # The int8 KV cache (the default) is 10 % slower for a single sequence and saves only a few MB.
    properties: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "KV_CACHE_PRECISION": "f16",
        # OpenVINO caches a kernel for each new shape of a pass. The default capacity is 5,000, which takes hundreds of
        # megabytes in the course of a day. A smaller cache does not slow down the passes.
        "CPU_RUNTIME_CACHE_CAPACITY": _MAX_CACHED_KERNELS,
    }
    if form == INT8_WEIGHTS:
        # Otherwise OpenVINO would multiply in bf16 or round activations to int8 if the processor can.
        properties |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    if bound := library_threads(threads):
        properties["INFERENCE_NUM_THREADS"] = bound
    return properties
