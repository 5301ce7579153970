"""Convert a version's weights into the graph of the serving engine: a stateful GPT-2 in OpenVINO's IR, int8 weights.

The graph is laid down node by node from ``config.json`` and ``model.safetensors``; nothing is traced, so neither
torch nor transformers is needed, and the full-size model takes a second. Its attention keeps keys and values in
state variables, the form that OpenVINO turns into paged attention when it loads the graph.

Weights are int8, symmetric, with one scale per output channel. With the observed ranges of activations
(:mod:`kogpt2_chat.network.calibrate`) activations are int8 as well, and products run on the machine's int8 units.
Before that, each input channel's spread is balanced between activations and weights, so that a few large channels do
not cost all others their precision (SmoothQuant, Xiao et al. 2022).

Tokens that may never be said get a logit of minus infinity here, so that no engine has to remember to mask them.
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
Weights = NDArray[np.float32]
Ranges = Mapping[str, Weights]
"""By the name of a linear layer (``h.0.mlp.c_fc``, ``lm_head``): the largest magnitude of each input channel, (in,)."""
LM_HEAD: Final = "lm_head"
POSITIONS_PATH: Final = ["kogpt2_chat", "positions"]
"""Where the graph says how long a row may become."""
_INT8_MAX: Final = 127
_INT8_LEVELS: Final = 256
_MOST_BALANCING: Final = 100.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the graph needs of ``config.json``."""

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
    """Write ``engine.xml`` and ``engine.bin``, by default beside the version's weights.

    Args:
        folder: holds ``config.json`` and ``model.safetensors`` of a GPT-2.
        control_ids: tokens that no answer may hold; the end token is left free.
        ranges: of activations; without them only weights are int8.
        into: another folder for the graph.

    Returns:
        The graph's file.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    shape = _Shape(config["n_layer"], config["n_head"], config["n_embd"], config["layer_norm_epsilon"])
    weights = {name.removeprefix("transformer."): value for name, value in load_file(folder / WEIGHTS_FILE).items()}
    graph = _Graph(weights, shape, ranges or {}).build([id_ for id_ in control_ids if id_ != END_ID])
    path = (into or folder) / ENGINE_FILES[0]
    ov.save_model(graph, path, compress_to_fp16=False)
    return path


def quantise(weights: Weights) -> tuple[NDArray[np.int8], Weights]:
    """Symmetric int8 by row.

    Args:
        weights: (out, in).

    Returns:
        Whole numbers (out, in) and scales (out, 1); their product is close to the weights.
    """
    scales = np.abs(weights).max(axis=1, keepdims=True) / _INT8_MAX
    scales[scales == 0] = 1.0
    return np.rint(weights / scales).clip(-_INT8_MAX, _INT8_MAX).astype(np.int8), scales.astype(np.float32)


class _Graph:
    """GPT-2, node by node, in the order of its forward pass.

    Args:
        weights: by the names that transformers gives them, without their common prefix.
        shape: of the network.
        ranges: of activations; a layer without one keeps them in float.
    """

    def __init__(self, weights: dict[str, Weights], shape: _Shape, ranges: Ranges) -> None:
        self._weights = weights
        self._shape = shape
        self._ranges = ranges
        self._zero = ops.constant(0, ov.Type.i64)
        self._assigns: list[Node] = []

    def build(self, silenced: list[int]) -> ov.Model:
        """The whole graph; ``silenced`` ids are never chosen."""
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
        # Only the rows that a token is chosen for go through the vocabulary, a third of all weights.
        rows = ops.gather(ops.reshape(hidden, _whole([-1, self._shape.width]), special_zero=False), wanted, self._zero)
        logits = self._product(rows, self._weights.get("lm_head.weight", self._weights["wte.weight"]), LM_HEAD)
        if silenced:
            bias = np.zeros((1, len(self._weights["wte.weight"])), np.float32)
            bias[0, silenced] = -np.inf
            logits = ops.add(logits, ops.constant(bias))
        logits.output(0).get_tensor().set_names({"logits"})
        graph = ov.Model([ops.result(logits)], self._assigns, [ids, positions, mask, beams, wanted], "gpt2")
        graph.set_rt_info(str(len(self._weights["wpe.weight"])), POSITIONS_PATH)
        return graph

    def _block(self, name: str, hidden: Node, visible: Node, beams: Node, empty: Node) -> Node:
        normed = self._layer_norm(hidden, f"{name}.ln_1", f"{name}.attn.c_attn")
        attended = self._balanced(self._attention(name, normed, visible, beams, empty), f"{name}.attn.c_proj")
        hidden = ops.add(hidden, self._linear(attended, f"{name}.attn.c_proj"))
        normed = self._layer_norm(hidden, f"{name}.ln_2", f"{name}.mlp.c_fc")
        wide = self._balanced(ops.gelu(self._linear(normed, f"{name}.mlp.c_fc"), "TANH"), f"{name}.mlp.c_proj")
        return ops.add(hidden, self._linear(wide, f"{name}.mlp.c_proj"))

    def _attention(self, name: str, hidden: Node, visible: Node, beams: Node, empty: Node) -> Node:
        width, by_head = self._shape.width, _whole([0, 0, self._shape.heads, self._shape.head_width])
        joined = self._linear(hidden, f"{name}.attn.c_attn")
        parts = ops.variadic_split(joined, ops.constant(-1, ov.Type.i64), _whole([width] * 3)).outputs()
        query, key, value = (
            ops.transpose(ops.reshape(part, by_head, special_zero=True), _whole([0, 2, 1, 3])) for part in parts
        )
        key = self._remembered(key, f"{name}.key", beams, empty)
        value = self._remembered(value, f"{name}.value", beams, empty)
        attended = ops.scaled_dot_product_attention(query, key, value, visible)
        return ops.reshape(ops.transpose(attended, _whole([0, 2, 1, 3])), _whole([0, 0, width]), special_zero=True)

    def _remembered(self, new: Node, name: str, beams: Node, empty: Node) -> Node:
        """What earlier calls left in the state, and the new columns after it."""
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
        batch = ops.gather(ops.shape_of(ids), _whole([0]), self._zero)
        head, width = _whole([self._shape.heads, 0]), _whole([self._shape.head_width])
        return ops.broadcast(ops.constant(0.0, ov.Type.f32), ops.concat([batch, head, width], 0))

    def _layer_norm(self, hidden: Node, name: str, reader: str) -> Node:
        """Layer normalisation; the balancing of the layer that reads it costs nothing here."""
        share = self._balance(reader)
        normed = ops.mvn(hidden, _whole([-1]), True, self._shape.epsilon, "INSIDE_SQRT")
        scaled = ops.multiply(normed, ops.constant(self._weights[f"{name}.weight"] / share))
        return ops.add(scaled, ops.constant(self._weights[f"{name}.bias"] / share))

    def _balanced(self, hidden: Node, reader: str) -> Node:
        return ops.multiply(hidden, ops.constant(1 / self._balance(reader))) if reader in self._ranges else hidden

    def _linear(self, hidden: Node, name: str) -> Node:
        return ops.add(self._product(hidden, self._table(name), name), ops.constant(self._weights[f"{name}.bias"]))

    def _product(self, hidden: Node, weights: Weights, name: str) -> Node:
        """Balanced hidden states times weights (out, in)."""
        if name not in self._ranges:
            return multiplied(hidden, weights)
        share = self._balance(name)
        return int8_matmul(hidden, weights * share, float((self._ranges[name] / share).max()))

    def _balance(self, name: str) -> Weights:
        """By how much each input channel of a layer is divided, and its weights are multiplied: (in,)."""
        if name not in self._ranges:
            return np.ones(1, np.float32)
        spread = np.maximum(self._ranges[name], 1e-5) / np.maximum(np.abs(self._table(name)).max(axis=0), 1e-5)
        share = np.sqrt(spread)
        share /= np.exp(np.log(share).mean())
        balance: Weights = share.clip(1 / _MOST_BALANCING, _MOST_BALANCING).astype(np.float32)
        return balance

    def _table(self, name: str) -> Weights:
        """A layer's weights (out, in)."""
        if name == LM_HEAD:
            return self._weights.get("lm_head.weight", self._weights["wte.weight"])
        return np.ascontiguousarray(self._weights[f"{name}.weight"].T)  # GPT-2 keeps them as (in, out)


def multiplied(hidden: Node, weights: Weights) -> Node:
    """Hidden states in float times int8 weights (out, in), in the form that the engine keeps compressed."""
    whole, scales = quantise(weights)
    restored = ops.multiply(ops.convert(ops.constant(whole), "f16"), ops.constant(scales.astype(np.float16)))
    return ops.matmul(hidden, ops.convert(restored, "f32"), transpose_a=False, transpose_b=True)


def int8_matmul(hidden: Node, weights: Weights, largest: float) -> Node:
    """Hidden states of a known range as int8, times int8 weights (out, in), in the form that the engine knows."""
    low, high = (ops.constant(np.float32(bound)) for bound in (-largest * (_INT8_MAX + 1) / _INT8_MAX, largest))
    rounded = ops.fake_quantize(hidden, low, high, low, high, _INT8_LEVELS)
    whole, scales = quantise(weights)
    restored = ops.multiply(ops.convert(ops.constant(whole), "f32"), ops.constant(scales))
    return ops.matmul(rounded, restored, transpose_a=False, transpose_b=True)


def _parameter(name: str, shape: list[int], kind: ov.Type) -> Node:
    node = ops.parameter(ov.PartialShape(shape), kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _whole(values: list[int]) -> Node:
    return ops.constant(values, ov.Type.i64)
