"""onnxruntime-genai's graph, laid out as its model builder lays out others (the builder knows no GPT-2).

Products are MatMulNBits: int8 weights in blocks of 128 with a scale each, and products in int8 (accuracy level 4).
Attention is GroupQueryAttention with one buffer for past and present keys and values.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

BLOCK: Final = 128
_BITS: Final = 8
_INT8_PRODUCTS: Final = 4
_MICROSOFT: Final = "com.microsoft"
_END, _PAD = 1, 3
_LONGEST: Final = 64
"""Positions of a row's buffer by default; a generator sets its own."""


class _Graph:
    """Collects nodes and constants, in the order of the forward pass."""

    def __init__(self, weights: dict[str, Any], config: dict[str, Any]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights, self._config = weights, config
        self._epsilon = config["layer_norm_epsilon"]

    def build(self) -> None:
        """Add everything from the token ids to the logits."""
        layers = self._config["n_layer"]
        lengths = self._lengths()
        embedded = self.node("Gather", [self.constant("wte", self._weights["wte.weight"]), "input_ids"], "tokens")
        places = self.node("Gather", [self.constant("wpe", self._weights["wpe.weight"]), "position_ids"], "places")
        hidden = self.node("Add", [embedded, places], "embedded")
        normed = self.node(
            "LayerNormalization", [hidden, *self._affine("h.0.ln_1")], "h.0.normed", axis=-1, epsilon=self._epsilon
        )
        for layer in range(layers):
            name = f"h.{layer}"
            attended = self._attention(layer, self._linear(normed, f"{name}.attn.c_attn"), lengths)
            joined = self._linear(attended, f"{name}.attn.c_proj")
            normed, hidden = self._add_and_norm(hidden, joined, f"{name}.ln_2")
            wide = self.node("FastGelu", [self._linear(normed, f"{name}.mlp.c_fc")], f"{name}.gelu", _MICROSOFT)
            following = f"h.{layer + 1}.ln_1" if layer + 1 < layers else "ln_f"
            normed, hidden = self._add_and_norm(hidden, self._linear(wide, f"{name}.mlp.c_proj"), following)
        self._product(normed, self._weights["wte.weight"], "lm_head", None, "logits")

    def constant(self, name: str, array: Any) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}.node", domain=domain, **attributes))
        return output

    def _lengths(self) -> list[str]:
        """Return the names of each row's last position, and of the length of the longest row, both int32."""
        ones, one = self.constant("ones", np.array([1], np.int64)), self.constant("one", np.array(1, np.int64))
        counted = self.node("ReduceSum", ["attention_mask", ones], "counted", keepdims=0)
        last = self.node("Cast", [self.node("Sub", [counted, ones], "last")], "seqlens_k", to=TensorProto.INT32)
        whole = self.node("Gather", [self.node("Shape", ["attention_mask"], "mask_shape"), one], "whole", axis=0)
        return [last, self.node("Cast", [whole], "total_length", to=TensorProto.INT32)]

    def _attention(self, layer: int, joined: str, lengths: list[str]) -> str:
        heads, name = self._config["n_head"], f"h.{layer}.attended"
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        self.nodes.append(
            helper.make_node(
                "GroupQueryAttention", [joined, "", "", *past, *lengths], [name, *present], name=f"{name}.node",
                domain=_MICROSOFT, num_heads=heads, kv_num_heads=heads, do_rotary=0,
            )
        )  # fmt: skip
        return name

    def _add_and_norm(self, hidden: str, more: str, name: str) -> tuple[str, str]:
        """Return the names of the normalised sum and of the sum."""
        normed, summed = f"{name}.normed", f"{name}.summed"
        self.nodes.append(
            helper.make_node(
                "SkipLayerNormalization", [hidden, more, *self._affine(name)], [normed, "", "", summed],
                name=f"{name}.node", domain=_MICROSOFT, epsilon=self._epsilon,
            )
        )  # fmt: skip
        return normed, summed

    def _affine(self, name: str) -> list[str]:
        return [self.constant(f"{name}.{kind}", self._weights[f"{name}.{kind}"]) for kind in ("weight", "bias")]

    def _linear(self, hidden: str, name: str) -> str:
        return self._product(
            hidden, self._weights[f"{name}.weight"].T, name, self._weights[f"{name}.bias"], f"{name}.product"
        )

    def _product(self, hidden: str, table: Any, name: str, bias: Any, output: str) -> str:
        """Multiply by weights (out, in), which are rounded to unsigned integers around 128, block by block."""
        rows, width = table.shape
        blocks = table.reshape(rows, width // BLOCK, BLOCK)
        scales = np.abs(blocks).max(-1) / 127
        scales[scales == 0] = 1
        integers = (np.rint(blocks / scales[..., None]).clip(-127, 127) + 128).astype(np.uint8)
        inputs = [hidden, self.constant(f"{name}.integers", integers)]
        inputs.append(self.constant(f"{name}.scales", scales.astype(np.float32)))
        if bias is not None:
            inputs += ["", "", self.constant(f"{name}.bias", bias)]
        return self.node(
            "MatMulNBits", inputs, output, _MICROSOFT,
            K=width, N=rows, bits=_BITS, block_size=BLOCK, accuracy_level=_INT8_PRODUCTS,
        )  # fmt: skip


def main(version: Path, into: Path, threads: int) -> None:
    """Write a version's weights as a graph, and the description that the library reads."""
    config = json.loads((version / "config.json").read_text("utf-8"))
    weights = {
        name.removeprefix("transformer."): value for name, value in load_file(version / "model.safetensors").items()
    }
    into.mkdir(parents=True, exist_ok=True)
    graph = _Graph(weights, config)
    graph.build()
    heads, width, layers = config["n_head"], config["n_embd"] // config["n_head"], config["n_layer"]

    def info(name: str, kind: int, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    kinds = [(layer, kind) for layer in range(layers) for kind in ("key", "value")]
    inputs = [info(name, TensorProto.INT64, "batch", "length") for name in ("input_ids", "position_ids")]
    inputs.append(info("attention_mask", TensorProto.INT64, "batch", "all"))
    inputs += [info(f"past_key_values.{layer}.{kind}", TensorProto.FLOAT, "batch", heads, "past", width)
               for layer, kind in kinds]  # fmt: skip
    outputs = [info("logits", TensorProto.FLOAT, "batch", "length", config["vocab_size"])]
    outputs += [info(f"present.{layer}.{kind}", TensorProto.FLOAT, "batch", heads, "whole", width)
                for layer, kind in kinds]  # fmt: skip
    whole = helper.make_graph(graph.nodes, "gpt2", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=10)
    onnx.save(model, into / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    (into / "genai_config.json").write_text(json.dumps(_description(config, threads), indent=1), "utf-8")


def _description(config: dict[str, Any], threads: int) -> dict[str, Any]:
    decoder = {
        "session_options": {
            "log_id": "onnxruntime-genai", "provider_options": [], "intra_op_num_threads": threads,
        },
        "filename": "model.onnx",
        "head_size": config["n_embd"] // config["n_head"],
        "hidden_size": config["n_embd"],
        "num_attention_heads": config["n_head"],
        "num_key_value_heads": config["n_head"],
        "num_hidden_layers": config["n_layer"],
        "inputs": {
            **{name: name for name in ("input_ids", "attention_mask", "position_ids")},
            "past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value",
        },
    }  # fmt: skip
    model = {
        "bos_token_id": _END, "eos_token_id": _END, "pad_token_id": _PAD, "type": "decoder", "decoder": decoder,
        "context_length": config["n_positions"], "vocab_size": config["vocab_size"],
    }  # fmt: skip
    return {
        "model": model,
        "search": {"do_sample": False, "num_beams": 1, "past_present_share_buffer": True, "max_length": _LONGEST},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
