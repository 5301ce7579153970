"""Import a model from a hub or folder as a base: turn its weights, config and tokenizer into a version's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard, file_sha256
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.network.checkpoint import write_checkpoint
from kogpt2_chat.training.hub import KOGPT2, is_pointer, pointer_error, weights_file

KOGPT2_LICENCE: Final = "CC BY-NC-SA 4.0"
_KOGPT2_SHAPE: Final = (51_200, 12, 768)


def import_base(source: Path, folder: Path, name: str, progress: Callable[[str], None] = lambda _: None) -> None:
    """Convert a model's files into a version's folder: safetensors, tokenizer, card.

    Args:
        source: folder with ``config.json``, ``tokenizer.json`` and the weights.
        folder: where to write.
        name: the name of the base.
        progress: called with a line before the import.

    Raises:
        CheckpointCorrupt: the tokenizer is missing or not in KoGPT2's layout.
        InvalidInput: the config, or the weights, are not those of a GPT-2.
    """
    progress(f"importing base {name}")
    config = _read_config(source)
    tokenizer = load_tokenizer(source)
    network = GPT2LMHeadModel(config)
    weights = weights_file(source)
    state = load_file(weights) if weights.suffix == ".safetensors" else read_hub_bin(weights)
    _fill(network, state, weights)
    shape = (config.vocab_size, config.n_layer, config.n_embd)
    licence = KOGPT2_LICENCE if name == KOGPT2 or shape == _KOGPT2_SHAPE else "unknown: see the base model's own terms"
    card = ModelCard(base=name, base_sha=file_sha256(weights), licence=licence, small=False)
    write_checkpoint(folder, network, tokenizer, card)


def read_hub_bin(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a ``pytorch_model.bin``: the only pickle this project reads, with ``weights_only=True``.

    Raises:
        InvalidInput: the file contains anything except named tensors.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of pickle, zip and its own
        raise InvalidInput(f"{path} is not a plain weights file: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InvalidInput(f"{path} must contain named tensors only")
    return content


def _fill(network: GPT2LMHeadModel, state: dict[str, torch.Tensor], path: Path) -> None:
    """Load tensors into the network; fail if one is missing or has another shape."""
    known = network.state_dict()
    named = {name if name in known else f"transformer.{name}": value for name, value in state.items()}
    fitting = {name: value.float() for name, value in named.items() if name in known}
    missing = sorted(set(known) - set(fitting) - {"lm_head.weight"})
    wrong = sorted(name for name, value in fitting.items() if value.shape != known[name].shape)
    if missing or wrong:
        raise InvalidInput(f"{path} does not fit its config.json: missing {missing[:3]}, of another shape {wrong[:3]}")
    network.load_state_dict(fitting, strict=False)
    network.tie_weights()


def _read_config(source: Path) -> GPT2Config:
    path = source / "config.json"
    for needed in (path, source / "tokenizer.json"):
        if needed.is_file() and is_pointer(needed):
            raise pointer_error(needed)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is missing or not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("model_type") != "gpt2":
        raise InvalidInput(f"{path} must have model_type gpt2: only a GPT-2 in KoGPT2's layout can be a base")
    for foreign in ("auto_map", "architectures", "transformers_version"):
        content.pop(foreign, None)
    return GPT2Config(**content)
