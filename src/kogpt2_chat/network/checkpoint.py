"""A model version as a folder: written whole or not at all, and loaded only as its hashes promise.

``model.json`` lists the SHA-256 of every other file and says where the weights come from. Weights are
safetensors, everything else is JSON or the serving engine's graph; the network's class is fixed, so no file can
bring code along.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
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
    sequences: Sequence[Sequence[int]] = (),
    beside: Mapping[str, str] | None = None,
    prompts: Sequence[Sequence[int]] = (),
) -> ModelCard:
    """Write a version beside ``folder`` and rename it there; an existing folder is replaced.

    A bot's version is converted for the serving engine on the way, once; a base is never served.

    Args:
        folder: the version's folder.
        network: its weights.
        tokenizer: its tokenizer.
        card: its facts; ``files`` is filled in here.
        sequences: token ids that the network was trained on, to fit the serving engine's int8 to; without any, only
            its weights are int8.
        beside: text files that the version carries, by name.
        prompts: token ids of questions that the network knows answers to; what it says to some of them in fp32 goes
            with the version, for machines to compare themselves with.

    Returns:
        The card with its hashes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        network.save_pretrained(aside)
        tokenizer.save(aside)
        for name, text in (beside or {}).items():
            (aside / name).write_text(text, "utf-8")
        if card.bot:
            network.eval()
            _write_engine(aside, network, tokenizer, card, sequences, prompts)
        whole = with_hashes(aside, card)
        (aside / CARD_FILE).write_text(json.dumps(asdict(whole), ensure_ascii=False, indent=1, sort_keys=True), "utf-8")
        aside.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.rename(old / "x")
            shutil.rmtree(old)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return whole


def _write_engine(
    folder: Path,
    network: GPT2LMHeadModel,
    tokenizer: ChatTokenizer,
    card: ModelCard,
    sequences: Sequence[Sequence[int]],
    prompts: Sequence[Sequence[int]],
) -> None:
    """The graph, and what it is compared with."""
    from kogpt2_chat.artifact.convert import convert
    from kogpt2_chat.artifact.engine_check import write_check
    from kogpt2_chat.evaluation.reference_answers import reference_answers
    from kogpt2_chat.network.calibrate import activation_ranges
    from kogpt2_chat.network.load import LoadedBot

    convert(folder, tokenizer.control_ids, activation_ranges(network, sequences) if sequences else None)
    if prompts:
        bot = LoadedBot(
            version="", network=network, tokenizer=tokenizer, card=card, max_prompt_tokens=0, max_answer_chars=0
        )
        write_check(folder, reference_answers(bot, prompts))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Verify a version and load it, in fp32 and evaluation mode.

    Raises:
        CheckpointCorrupt: some file is not what the card promises, or the weights do not fit the config.
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
    """Load ``model.safetensors`` as GPT-2: a fixed class, local files, no code from the folder.

    Raises:
        CheckpointCorrupt: the files do not make a whole GPT-2.
    """
    try:
        network, report = GPT2LMHeadModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # the library raises many kinds for a bad file
        raise CheckpointCorrupt(f"{folder / WEIGHTS_FILE} cannot be loaded: {error}") from error
    if lost := sorted(set(report["missing_keys"]) - {"lm_head.weight"}):
        raise CheckpointCorrupt(f"{folder / WEIGHTS_FILE} lacks {lost[0]} and {len(lost) - 1} more weights")
    network.eval()
    return network
