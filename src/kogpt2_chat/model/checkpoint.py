"""A model version as a folder: written whole or not at all, and loaded only as its hashes promise.

``model.json`` lists the SHA-256 of every other file and says where the weights come from. Weights are
safetensors, everything else is JSON; the network's class is fixed, so no file can bring code along.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.model.tokenizer import ChatTokenizer, load_tokenizer

CARD_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "model.safetensors"
_READABLE: Final = (".json", ".safetensors", ".txt", ".jinja")
_NEEDED: Final = (WEIGHTS_FILE, "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """``model.json``: what a version is made of.

    Attributes:
        base: name of the base model.
        base_sha: hash of the base's weights file.
        licence: of the weights; that of the base travels with every version made from it.
        small: whether the base is the small one that was trained here.
        bot: whose model; empty for a base.
        dataset: version of the dataset it learned; empty for a base.
        parent: the version it started from; empty when that was the base.
        git_commit: of the code that trained it; empty where unknown.
        files: SHA-256 by file name.
    """

    base: str
    base_sha: str = ""
    licence: str
    small: bool
    bot: str = ""
    dataset: str = ""
    parent: str = ""
    git_commit: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    v: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded version."""

    network: GPT2LMHeadModel
    tokenizer: ChatTokenizer
    card: ModelCard


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checkpoint(folder: Path, network: GPT2LMHeadModel, tokenizer: ChatTokenizer, card: ModelCard) -> ModelCard:
    """Write a version beside ``folder`` and rename it there; an existing folder is replaced.

    Args:
        folder: the version's folder.
        network: its weights.
        tokenizer: its tokenizer.
        card: its facts; ``files`` is filled in here.

    Returns:
        The card with its hashes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        network.save_pretrained(aside)
        tokenizer.save(aside)
        whole = _with_hashes(aside, card)
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


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        CheckpointCorrupt: it is missing or not what it should be.
    """
    path = folder / CARD_FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        known = {entry.name for entry in fields(ModelCard)}
        card = ModelCard(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointCorrupt(f"{path} is missing or unreadable ({error}): take the previous version") from error
    if not isinstance(card.files, dict):
        raise CheckpointCorrupt(f"{path}: `files` must be an object: take the previous version")
    return card


def verify_checkpoint(folder: Path) -> ModelCard:
    """Check every file of a version against its card.

    Raises:
        CheckpointCorrupt: naming the file that is missing, changed, unlisted or of a kind that may not be loaded.
    """
    card = read_card(folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {CARD_FILE}
    if unlisted := sorted(found - set(card.files)):
        raise CheckpointCorrupt(f"{folder / unlisted[0]} is not listed in {CARD_FILE}: take the previous version")
    for name in (*_NEEDED, *card.files):
        _verify_file(folder, name, card.files.get(name, ""))
    return card


def load_checkpoint(folder: Path) -> Checkpoint:
    """Verify a version and load it, in fp32 and evaluation mode.

    Raises:
        CheckpointCorrupt: some file is not what the card promises, or the weights do not fit the config.
    """
    card = verify_checkpoint(folder)
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


def _verify_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not name.endswith(_READABLE):
        raise CheckpointCorrupt(f"{folder / CARD_FILE} lists {name!r}, a file that may not be loaded")
    if not path.is_file() or path.is_symlink():
        raise CheckpointCorrupt(f"{path} is missing: take the previous version")
    found = file_sha256(path)
    if found != expected:
        raise CheckpointCorrupt(
            f"{path} has SHA-256 {found[:12]}…, {CARD_FILE} promises {expected[:12] or 'nothing'}…: "
            "take the previous version"
        )


def _with_hashes(folder: Path, card: ModelCard) -> ModelCard:
    files = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return ModelCard(**{**{entry.name: getattr(card, entry.name) for entry in fields(card)}, "files": files})
