"""Read ``model.json``, with the facts about a version and the hashes of its files, and check a folder against it.

Imports no model library, so that a version can be checked or served without torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from kogpt2_chat.errors import CheckpointCorrupt

VERSION_PATH: Final = "version"
"""Folder of a version's files among the artifacts of its run."""
CARD_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "model.safetensors"
ENGINE_FILES: Final = ("engine.xml", "engine.bin")
"""The serving engine's graph and its weights."""
CHECK_FILE: Final = "engine_check.json"
"""Prompts with the version's fp32 answers as tokens; older versions do not have this file."""
_LOADABLE: Final = (".json", ".safetensors", ".txt", ".jinja")
_REQUIRED: Final = (WEIGHTS_FILE, "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The content of ``model.json``.

    Attributes:
        base: name of the base model.
        base_sha: hash of the base's weights file.
        licence: of the weights; every version has the licence of its base.
        small: whether the base is the small one, which this project trains itself.
        bot: the bot's id; empty for a base.
        dataset: id of the dataset it was trained on; empty for a base.
        parent: the version that training started from; empty if it started from the base.
        git_commit: of the code that trained it; empty if unknown.
        figures: results of its training, by name.
        key: hash of everything that a small base is made from; empty for other models.
        prompt_format: the format of its prompts (:data:`kogpt2_chat.domain.chat.prompt.PROMPT_FORMAT`).
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
    figures: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    prompt_format: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    v: int = 1


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_hashes(folder: Path, card: ModelCard) -> ModelCard:
    """Return the card with the hash of every file that is in the folder now."""
    files = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return replace(card, files=files)


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        CheckpointCorrupt: it is missing, unreadable or invalid.
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


def verify_folder(folder: Path) -> ModelCard:
    """Check every file of a version against its card.

    Raises:
        CheckpointCorrupt: a file is missing, changed, unlisted or of a kind that may not be loaded.
    """
    card = read_card(folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {CARD_FILE}
    if unlisted := sorted(found - set(card.files)):
        raise CheckpointCorrupt(f"{folder / unlisted[0]} is not listed in {CARD_FILE}: take the previous version")
    for name in sorted({*_REQUIRED, *card.files}):
        _verify_file(folder, name, card.files.get(name, ""))
    return card


def _verify_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    loadable = name.endswith(_LOADABLE) or name in ENGINE_FILES
    if Path(name).is_absolute() or ".." in Path(name).parts or not loadable:
        raise CheckpointCorrupt(f"{folder / CARD_FILE} lists {name!r}, a file that may not be loaded")
    if not path.is_file() or path.is_symlink():
        raise CheckpointCorrupt(f"{path} is missing: take the previous version")
    found = file_sha256(path)
    if found != expected:
        raise CheckpointCorrupt(
            f"{path} has SHA-256 {found[:12]}…, {CARD_FILE} lists {expected[:12] or 'none'}…: take the previous version"
        )
