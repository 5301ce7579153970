"""Convert a version's weights into the graph of the serving engine: a stateful GPT-2 in OpenVINO's IR, int8 weights.

The graph is built node by node from ``config.json`` and ``model.safetensors``. Nothing is traced, so neither torch nor
transformers is needed, and the full-size model takes a second. Its attention stores keys and values in state
variables, which OpenVINO turns into paged attention when it loads the graph.

Weights are int8, symmetric, with one scale per output channel. If the observed ranges of activations
(:mod:`kogpt2_chat.network.calibrate`) are known, activations are int8 as well, and products run on the machine's int8
units. Before that, a scale per input channel moves a part of its range from the activations to the weights, so that a
few large channels do not reduce the precision of all others (SmoothQuant, Xiao et al. 2022).

The graph sets the logits of suppressed tokens to minus infinity, so that an engine does not have to mask them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset15 as ops
from numpy.typing import NDArray
from openvino.op.util import Variable, VariableInfo
from safetensors.numpy import load_file

from kogpt2_chat.artifact.card import ENGINE_FILES, WEIGHTS_FILE
from kogpt2_chat.domain.chat.prompt import END_ID

Node = Any
FloatArray = NDArray[np.float32]
Ranges = Mapping[str, FloatArray]
"""By the name of a linear layer (``h.0.mlp.c_fc``, ``lm_head``): the largest magnitude of each input channel, (in,)."""
LM_HEAD: Final = "lm_head"
POSITIONS_PATH: Final = ["kogpt2_chat", "positions"]
"""Path in the graph's ``rt_info`` of the network's context length, in tokens."""
_INT8_MAX: Final = 127
_INT8_LEVELS: Final = 256
_MAX_SMOOTHING: Final = 100.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """The sizes in ``config.json`` that the graph is built with."""

    layers: int
    heads: int
    width: int
    epsilon: float

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def convert(
    folder: Path, control_ids: Iterable[int], ranges: Ranges | None = None, *, into: Path | None = None
) -> Path:
    """Write ``engine.xml`` and ``engine.bin``.

    Args:
        folder: contains ``config.json`` and ``model.safetensors`` of a GPT-2.
        control_ids: tokens to suppress; the end token is never suppressed.
        ranges: of activations; without them only the weights are int8.
        into: folder for the graph; ``folder`` by default.

    Returns:
        The path of ``engine.xml``.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    shape = _Shape(config["n_layer"], config["n_head"], config["n_embd"], config["layer_norm_epsilon"])
    weights = {name.removeprefix("transformer."): value for name, value in load_file(folder / WEIGHTS_FILE).items()}
    graph = _Graph(weights, shape, ranges or {}).build([id_ for id_ in control_ids if id_ != END_ID])
    path = (into or folder) / ENGINE_FILES[0]
    ov.save_model(graph, path, compress_to_fp16=False)
    return path


def quantise(weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Quantise weights to symmetric int8, row by row.

    Args:
        weights: (out, in).

    Returns:
        Integers (out, in) and scales (out, 1); their product approximates the weights.
    """
    scales = np.abs(weights).max(axis=1, keepdims=True) / _INT8_MAX
    scales[scales == 0] = 1.0
    return np.rint(weights / scales).clip(-_INT8_MAX, _INT8_MAX).astype(np.int8), scales.astype(np.float32)


class _Graph:
    """Builds GPT-2 node by node, in the order of its forward pass.

    Args:
        weights: by their names in transformers, without the common prefix.
        shape: sizes of the network.
        ranges: of activations; the activations of a layer without a range stay in float.
    """

    def __init__(self, weights: dict[str, FloatArray], shape: _Shape, ranges: Ranges) -> None:
        self._weights = weights
        self._shape = shape
        self._ranges = ranges
        self._zero = ops.constant(0, ov.Type.i64)
        self._assigns: list[Node] = []

    def build(self, suppressed_tokens: list[int]) -> ov.Model:
        """Build the whole graph; the logits of ``suppressed_tokens`` are minus infinity."""
        ids = _parameter("input_ids", [-1, -1], ov.Type.i64)
        positions = _parameter("position_ids", [-1, -1], ov.Type.i64)
        mask = _parameter("attention_mask", [-1, -1], ov.Type.i64)
        beams = _parameter("beam_idx", [-1], ov.Type.i32)
        wanted = _parameter("logit_rows", [-1], ov.Type.i64)
        table = quantise(self._weights["wte.weight"])
        embedded = ops.multiply(
            ops.convert(ops.gather(ops.constant(table[0]), ids, self._zero), "f32"),
            ops.gather(ops.constant(table[1]), ids, self._zero),
        )
        hidden = ops.add(embedded, ops.gather(ops.constant(self._weights["wpe.weight"]), positions, self._zero))
        visible = ops.convert(ops.unsqueeze(mask, ops.constant([1, 2], ov.Type.i64)), "boolean")
        empty = self._empty_state(ids)
        for layer in range(self._shape.layers):
            hidden = self._block(f"h.{layer}", hidden, visible, beams, empty)
        hidden = self._layer_norm(hidden, "ln_f", LM_HEAD)
        # The vocabulary projection, a third of all weights, is computed only for positions whose logits are needed.
        rows = ops.gather(
            ops.reshape(hidden, _integers([-1, self._shape.width]), special_zero=False), wanted, self._zero
        )
        logits = self._product(rows, self._weights.get("lm_head.weight", self._weights["wte.weight"]), LM_HEAD)
        if suppressed_tokens:
            bias = np.zeros((1, len(self._weights["wte.weight"])), np.float32)
            bias[0, suppressed_tokens] = -np.inf
            logits = ops.add(logits, ops.constant(bias))
        logits.output(0).get_tensor().set_names({"logits"})
        graph = ov.Model([ops.result(logits)], self._assigns, [ids, positions, mask, beams, wanted], "gpt2")
        graph.set_rt_info(str(len(self._weights["wpe.weight"])), POSITIONS_PATH)
        return graph

    def _block(self, name: str, hidden: Node, visible: Node, beams: Node, empty: Node) -> Node:
        normed = self._layer_norm(hidden, f"{name}.ln_1", f"{name}.attn.c_attn")
        attended = self._smooth(self._attention(name, normed, visible, beams, empty), f"{name}.attn.c_proj")
        hidden = ops.add(hidden, self._linear(attended, f"{name}.attn.c_proj"))
        normed = self._layer_norm(hidden, f"{name}.ln_2", f"{name}.mlp.c_fc")
        wide = self._smooth(ops.gelu(self._linear(normed, f"{name}.mlp.c_fc"), "TANH"), f"{name}.mlp.c_proj")
        return ops.add(hidden, self._linear(wide, f"{name}.mlp.c_proj"))

    def _attention(self, name: str, hidden: Node, visible: Node, beams: Node, empty: Node) -> Node:
        width, by_head = self._shape.width, _integers([0, 0, self._shape.heads, self._shape.head_width])
        joined = self._linear(hidden, f"{name}.attn.c_attn")
        parts = ops.variadic_split(joined, ops.constant(-1, ov.Type.i64), _integers([width] * 3)).outputs()
        query, key, value = (
            ops.transpose(ops.reshape(part, by_head, special_zero=True), _integers([0, 2, 1, 3])) for part in parts
        )
        key = self._kv_state(key, f"{name}.key", beams, empty)
        value = self._kv_state(value, f"{name}.value", beams, empty)
        attended = ops.scaled_dot_product_attention(query, key, value, visible)
        return ops.reshape(
            ops.transpose(attended, _integers([0, 2, 1, 3])), _integers([0, 0, width]), special_zero=True
        )

    def _kv_state(self, new: Node, name: str, beams: Node, empty: Node) -> Node:
        """Append new columns to a state variable, and return all of its columns."""
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, self._shape.heads, -1, self._shape.head_width])
        info.data_type = ov.Type.f32
        info.variable_id = name
        variable = Variable(info)
        past = ops.gather(ops.read_value(empty, variable), beams, self._zero)
        whole = ops.concat([past, new], -2)
        self._assigns.append(ops.assign(whole, variable))
        return whole

    def _empty_state(self, ids: Node) -> Node:
        batch = ops.gather(ops.shape_of(ids), _integers([0]), self._zero)
        head, width = _integers([self._shape.heads, 0]), _integers([self._shape.head_width])
        return ops.broadcast(ops.constant(0.0, ov.Type.f32), ops.concat([batch, head, width], 0))

    def _layer_norm(self, hidden: Node, name: str, reader: str) -> Node:
        """Normalise a layer's input. The smoothing scale of the layer that reads it is folded into the constants."""
        scale = self._smoothing_scale(reader)
        normed = ops.mvn(hidden, _integers([-1]), True, self._shape.epsilon, "INSIDE_SQRT")
        scaled = ops.multiply(normed, ops.constant(self._weights[f"{name}.weight"] / scale))
        return ops.add(scaled, ops.constant(self._weights[f"{name}.bias"] / scale))

    def _smooth(self, hidden: Node, reader: str) -> Node:
        if reader not in self._ranges:
            return hidden
        return ops.multiply(hidden, ops.constant(1 / self._smoothing_scale(reader)))

    def _linear(self, hidden: Node, name: str) -> Node:
        return ops.add(self._product(hidden, self._table(name), name), ops.constant(self._weights[f"{name}.bias"]))

    def _product(self, hidden: Node, weights: FloatArray, name: str) -> Node:
        """Multiply smoothed hidden states by weights (out, in)."""
        if name not in self._ranges:
            return int8_weights_matmul(hidden, weights)
        scale = self._smoothing_scale(name)
        return int8_matmul(hidden, weights * scale, float((self._ranges[name] / scale).max()))

    def _smoothing_scale(self, name: str) -> FloatArray:
        """Return what each input channel of a layer is divided by and its weights are multiplied by: (in,)."""
        if name not in self._ranges:
            return np.ones(1, np.float32)
        spread = np.maximum(self._ranges[name], 1e-5) / np.maximum(np.abs(self._table(name)).max(axis=0), 1e-5)
        scale = np.sqrt(spread)
        scale /= np.exp(np.log(scale).mean())
        clipped: FloatArray = scale.clip(1 / _MAX_SMOOTHING, _MAX_SMOOTHING).astype(np.float32)
        return clipped

    def _table(self, name: str) -> FloatArray:
        """Return a layer's weights (out, in)."""
        if name == LM_HEAD:
            return self._weights.get("lm_head.weight", self._weights["wte.weight"])
        return np.ascontiguousarray(self._weights[f"{name}.weight"].T)  # GPT-2 stores them as (in, out)


def int8_weights_matmul(hidden: Node, weights: FloatArray) -> Node:
    """Multiply float hidden states by int8 weights (out, in), in a pattern that OpenVINO keeps compressed."""
    integers, scales = quantise(weights)
    restored = ops.multiply(ops.convert(ops.constant(integers), "f16"), ops.constant(scales.astype(np.float16)))
    return ops.matmul(hidden, ops.convert(restored, "f32"), transpose_a=False, transpose_b=True)


def int8_matmul(hidden: Node, weights: FloatArray, largest: float) -> Node:
    """Round hidden states to int8 and multiply them by int8 weights (out, in), in a pattern that OpenVINO recognises.

    Args:
        hidden: the hidden states.
        weights: (out, in) float32.
        largest: largest magnitude of the hidden states; values beyond it are clipped.

    Returns:
        The product.
    """
    low, high = (ops.constant(np.float32(bound)) for bound in (-largest * (_INT8_MAX + 1) / _INT8_MAX, largest))
    rounded = ops.fake_quantize(hidden, low, high, low, high, _INT8_LEVELS)
    integers, scales = quantise(weights)
    restored = ops.multiply(ops.convert(ops.constant(integers), "f32"), ops.constant(scales))
    return ops.matmul(rounded, restored, transpose_a=False, transpose_b=True)


def _parameter(name: str, shape: list[int], kind: ov.Type) -> Node:
    node = ops.parameter(ov.PartialShape(shape), kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _integers(values: list[int]) -> Node:
    return ops.constant(values, ov.Type.i64)
