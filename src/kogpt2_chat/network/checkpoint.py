"""A model version as a folder: written atomically, and loaded only if every file has the hash on the card.

``model.json`` lists the SHA-256 of every other file and the origin of the weights. Weights are safetensors. Everything
else is text, JSON or the serving engine's graph. The network's class is fixed, so no file can contain code.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import CARD_FILE, WEIGHTS_FILE, ModelCard, verify_folder, with_hashes
from kogpt2_chat.artifact.tokenizer import ChatTokenizer, load_tokenizer
from kogpt2_chat.errors import CheckpointCorrupt


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded version."""

    network: GPT2LMHeadModel
    tokenizer: ChatTokenizer
    card: ModelCard


def write_checkpoint(
    folder: Path,
    network: GPT2LMHeadModel,
    tokenizer: ChatTokenizer,
    card: ModelCard,
    texts: Mapping[str, str] | None = None,
    add: Callable[[Path], None] = lambda _: None,
) -> ModelCard:
    """Write a version next to ``folder`` and rename it there. An existing folder is replaced.

    Args:
        folder: the version's folder.
        network: its weights.
        tokenizer: its tokenizer.
        card: its card; ``files`` is filled in here.
        texts: text files that the version carries, by name.
        add: called with a folder that contains weights and tokenizer; writes more files into it.

    Returns:
        The card with its hashes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        network.save_pretrained(staging)
        tokenizer.save(staging)
        for name, text in (texts or {}).items():
            (staging / name).write_text(text, "utf-8")
        add(staging)
        complete_card = with_hashes(staging, card)
        (staging / CARD_FILE).write_text(
            json.dumps(asdict(complete_card), ensure_ascii=False, indent=1, sort_keys=True), "utf-8"
        )
        staging.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / "x")
            shutil.rmtree(old)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return complete_card


def load_checkpoint(folder: Path) -> Checkpoint:
    """Verify a version and load it, in fp32 and evaluation mode.

    Raises:
        CheckpointCorrupt: a file does not have the hash on the card, or the weights do not fit the config.
    """
    card = verify_folder(folder)
    tokenizer = load_tokenizer(folder)
    network = load_network(folder)
    if tokenizer.size > network.config.vocab_size:
        raise CheckpointCorrupt(
            f"{folder}: the tokenizer has {tokenizer.size} entries, the network only {network.config.vocab_size}"
        )
    return Checkpoint(network=network, tokenizer=tokenizer, card=card)


def load_network(folder: Path) -> GPT2LMHeadModel:
    """Load ``model.safetensors`` as GPT-2: a fixed class, local files only, no code from the folder.

    Raises:
        CheckpointCorrupt: the file cannot be loaded, or weights are missing.
    """
    try:
        network, report = GPT2LMHeadModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # the library raises many kinds for a bad file
        raise CheckpointCorrupt(f"{folder / WEIGHTS_FILE} cannot be loaded: {error}") from error
    if missing := sorted(set(report["missing_keys"]) - {"lm_head.weight"}):
        raise CheckpointCorrupt(f"{folder / WEIGHTS_FILE} lacks {missing[0]} and {len(missing) - 1} more weights")
    network.eval()
    return network
