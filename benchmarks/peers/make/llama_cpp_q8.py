"""llama.cpp's file with Q8_0 weights. Its own converter needs a tokenizer of a known kind, and this one has none."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quants
from safetensors.numpy import load_file

FILE: Final = "model.gguf"
_Q8: Final = GGMLQuantizationType.Q8_0
_FILE_TYPE_Q8: Final = 7
_END, _PAD = 1, 3
_NORMS: Final = {"ln_1": "attn_norm", "ln_2": "ffn_norm"}
_LINEAR: Final = {
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}  # fmt: skip


def main(version: Path, into: Path) -> None:
    """Write a version's weights."""
    config = json.loads((version / "config.json").read_text("utf-8"))
    weights = {
        name.removeprefix("transformer."): value for name, value in load_file(version / "model.safetensors").items()
    }
    into.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(into / FILE, "gpt2")
    _facts(writer, config)
    _tensors(writer, weights, config["n_layer"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _facts(writer: GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("random weights")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_file_type(_FILE_TYPE_Q8)
    # It gets and gives token ids only, so any distinct entries will do: entry n is "tn".
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{number}" for number in range(config["vocab_size"])])
    writer.add_token_types([TokenType.NORMAL] * config["vocab_size"])
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(_END)
    writer.add_eos_token_id(_END)
    writer.add_pad_token_id(_PAD)
    writer.add_add_bos_token(False)


def _tensors(writer: GGUFWriter, weights: dict[str, Any], layers: int) -> None:
    def matrix(name: str, array: Any) -> None:
        writer.add_tensor(f"{name}.weight", quants.quantize(np.ascontiguousarray(array), _Q8), raw_dtype=_Q8)

    def vector(name: str, array: Any) -> None:
        writer.add_tensor(name, np.ascontiguousarray(array, np.float32))

    def norm(theirs: str, ours: str) -> None:
        vector(f"{theirs}.weight", weights[f"{ours}.weight"])
        vector(f"{theirs}.bias", weights[f"{ours}.bias"])

    matrix("token_embd", weights["wte.weight"])
    vector("position_embd.weight", weights["wpe.weight"])
    for layer in range(layers):
        for ours, theirs in _NORMS.items():
            norm(f"blk.{layer}.{theirs}", f"h.{layer}.{ours}")
        for ours, theirs in _LINEAR.items():
            matrix(f"blk.{layer}.{theirs}", weights[f"h.{layer}.{ours}.weight"].T)
            vector(f"blk.{layer}.{theirs}.bias", weights[f"h.{layer}.{ours}.bias"])
    norm("output_norm", "ln_f")
    matrix("output", weights["wte.weight"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
