"""``model.json``: what a version is made of, and whether its folder still is what it promises.

Imports no model library: whoever only checks or serves a version need not load torch.
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
"""The serving engine's graph, and its weights beside it."""
CHECK_FILE: Final = "engine_check.json"
"""Prompts with the tokens that the weights themselves say, in fp32; older versions have none."""
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
        figures: what its training came to, by name.
        key: hash of all that a small base was made of; empty for anything else.
        prompt_format: what its prompts look like (:data:`kogpt2_chat.domain.chat.prompt.PROMPT_FORMAT`).
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
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_hashes(folder: Path, card: ModelCard) -> ModelCard:
    """The card with the hash of every file that lies in the folder now."""
    files = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return replace(card, files=files)


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


def verify_folder(folder: Path) -> ModelCard:
    """Check every file of a version against its card.

    Raises:
        CheckpointCorrupt: naming the file that is missing, changed, unlisted or of a kind that may not be loaded.
    """
    card = read_card(folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {CARD_FILE}
    if unlisted := sorted(found - set(card.files)):
        raise CheckpointCorrupt(f"{folder / unlisted[0]} is not listed in {CARD_FILE}: take the previous version")
    for name in sorted({*_NEEDED, *card.files}):
        _verify_file(folder, name, card.files.get(name, ""))
    return card


def _verify_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    readable = name.endswith(_READABLE) or name in ENGINE_FILES
    if Path(name).is_absolute() or ".." in Path(name).parts or not readable:
        raise CheckpointCorrupt(f"{folder / CARD_FILE} lists {name!r}, a file that may not be loaded")
    if not path.is_file() or path.is_symlink():
        raise CheckpointCorrupt(f"{path} is missing: take the previous version")
    found = file_sha256(path)
    if found != expected:
        raise CheckpointCorrupt(
            f"{path} has SHA-256 {found[:12]}…, {CARD_FILE} promises {expected[:12] or 'nothing'}…: "
            "take the previous version"
        )
