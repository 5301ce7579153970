"""Where bots begin: a base model imported from a hub or folder, or the small one trained here.

Both end as the same kind of folder (:mod:`kogpt2_chat.model.checkpoint`) below the cache, found again by the
hash of what they are made of. Two processes that want the same base make it once.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput, Unavailable
from kogpt2_chat.model.card import CARD_FILE, WEIGHTS_FILE, ModelCard, file_sha256, verify_folder
from kogpt2_chat.model.checkpoint import write_checkpoint
from kogpt2_chat.model.load import use_threads
from kogpt2_chat.model.small_base import small_key, train_small_base
from kogpt2_chat.model.tokenizer import load_tokenizer
from kogpt2_chat.settings import Settings

KOGPT2: Final = "skt/kogpt2-base-v2"
KOGPT2_LICENCE: Final = "CC BY-NC-SA 4.0"
_KOGPT2_SHAPE: Final = (51_200, 12, 768)
_IMPORT_VERSION: Final = "1"
_HUB_FILES: Final = ["config.json", "tokenizer.json", "*.safetensors", "pytorch_model.bin"]
_BIN: Final = "pytorch_model.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBase:
    """A base model, ready to be fine-tuned.

    Attributes:
        folder: a verified version folder.
        sha: hash of its weights.
        name: hub id, folder name, or ``small``.
        licence: carried by every version made from it.
        small: whether it was trained here.
    """

    folder: Path
    sha: str
    name: str
    licence: str
    small: bool

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {"folder": str(self.folder), "sha": self.sha, "name": self.name, "licence": self.licence,
                "small": self.small}  # fmt: skip


def prepare(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """The base that the settings name, from the cache or made now.

    Args:
        settings: ``model.base`` and what goes with it.
        progress: told what is done.

    Returns:
        A verified folder.

    Raises:
        InvalidInput: the named base is no GPT-2 in KoGPT2's layout, or its weights have another hash.
        Unavailable: the named hub model can't be had.
    """
    use_threads(settings)
    asked = settings.model.base
    if asked == "small":
        return _small(settings, progress)
    if asked == "auto":
        if (_small_folder(settings) / CARD_FILE).is_file():
            return _small(settings, progress)  # the choice stands: asking a hub that is away takes 15 s each time
        try:
            source = _from_hub(KOGPT2, settings)
        except Unavailable as error:
            progress(f"{error}; the small base stands in")
            return _small(settings, progress)
        return _imported(source, KOGPT2, settings, progress)
    folder = Path(asked)
    if folder.is_dir():
        return _imported(folder, folder.name, settings, progress)
    return _imported(_from_hub(asked, settings), asked, settings, progress)


def _small_folder(settings: Settings) -> Path:
    return settings.cache_dir / "base" / f"small-{small_key(settings)}"


def _small(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    folder = _small_folder(settings)
    return _made_once(folder, lambda work: train_small_base(folder, settings, progress, work), progress)


def _imported(source: Path, name: str, settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    weights = weights_file(source)
    found = file_sha256(weights)
    if settings.model.base_sha256 and found != settings.model.base_sha256:
        raise InvalidInput(
            f"{weights} has SHA-256 {found}, KOGPT2_MODEL__BASE_SHA256 asks for {settings.model.base_sha256}"
        )
    parts = (
        _IMPORT_VERSION,
        name,
        found,
        _sha_or_none(source / "config.json"),
        _sha_or_none(source / "tokenizer.json"),
    )
    key = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    folder = settings.cache_dir / "base" / f"imported-{key}"
    return _made_once(folder, lambda _: import_base(source, folder, name, progress), progress)


def _made_once(folder: Path, make: Callable[[Path], None], progress: Callable[[str], None]) -> PreparedBase:
    """Make a folder unless it is there and whole; others who want it wait."""
    with _locked(folder):
        if (folder / CARD_FILE).exists():
            try:
                return _prepared(folder)
            except CheckpointCorrupt as error:
                progress(f"the cached base is damaged and made again: {error}")
        make(folder.parent / f".work-{folder.name}")
        return _prepared(folder)


def _prepared(folder: Path) -> PreparedBase:
    card = verify_folder(folder)
    return PreparedBase(
        folder=folder, sha=card.files[WEIGHTS_FILE], name=card.base, licence=card.licence, small=card.small
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file; the system lets go of it when the process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def import_base(source: Path, folder: Path, name: str, progress: Callable[[str], None] = lambda _: None) -> None:
    """Turn a hub's files into a version folder: safetensors, tokenizer, card.

    Args:
        source: folder with ``config.json``, ``tokenizer.json`` and the weights.
        folder: where to write.
        name: what the base is called.
        progress: told what is done.

    Raises:
        InvalidInput: it is no GPT-2 in KoGPT2's layout.
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


def weights_file(folder: Path) -> Path:
    """The weights of a hub's folder, safetensors where there are any.

    Raises:
        InvalidInput: there are none.
    """
    for name in (WEIGHTS_FILE, _BIN):
        if (folder / name).is_file():
            return folder / name
    raise InvalidInput(f"base {folder} has neither {WEIGHTS_FILE} nor {_BIN}: name a folder or hub id of a GPT-2")


def read_hub_bin(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a hub's ``pytorch_model.bin``: the only pickle this project reads, with ``weights_only=True``.

    Raises:
        InvalidInput: it holds anything but tensors.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle's, zip's and its own
        raise InvalidInput(f"{path} is no plain weights file: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InvalidInput(f"{path} must hold named tensors only")
    return content


def _fill(network: GPT2LMHeadModel, state: dict[str, torch.Tensor], path: Path) -> None:
    """Load tensors into the network, all of them fitting."""
    known = network.state_dict()
    named = {name if name in known else f"transformer.{name}": value for name, value in state.items()}
    fitting = {name: value.float() for name, value in named.items() if name in known}
    lost = sorted(set(known) - set(fitting) - {"lm_head.weight"})
    wrong = sorted(name for name, value in fitting.items() if value.shape != known[name].shape)
    if lost or wrong:
        raise InvalidInput(f"{path} does not fit its config.json: missing {lost[:3]}, of another shape {wrong[:3]}")
    network.load_state_dict(fitting, strict=False)
    network.tie_weights()


def _read_config(source: Path) -> GPT2Config:
    path = source / "config.json"
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is missing or no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("model_type") != "gpt2":
        raise InvalidInput(f"{path} must say model_type gpt2: only GPT-2 in KoGPT2's layout can be a base")
    for foreign in ("auto_map", "architectures", "transformers_version"):
        content.pop(foreign, None)
    return GPT2Config(**content)


def _from_hub(name: str, settings: Settings) -> Path:
    """A hub model's files, pinned by revision: from the hub's local cache, else from the hub.

    Raises:
        Unavailable: neither has it.
    """
    from huggingface_hub import snapshot_download

    for local in (True, False):
        if not local and os.environ.get("HF_HUB_OFFLINE"):
            break
        try:
            return Path(snapshot_download(
                name, revision=settings.model.revision, allow_patterns=_HUB_FILES, local_files_only=local,
                etag_timeout=5, max_workers=2,
            ))  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the hub's client raises its HTTP library's errors as they are
            reason = type(error).__name__
    raise Unavailable(f"base model {name} is neither in the hub's local cache nor to be had from the hub ({reason})")


def _sha_or_none(path: Path) -> str:
    return file_sha256(path) if path.is_file() else "-"
