"""Where bots begin: a base model imported from a hub or folder, or the small one trained here.

Both end as the same kind of folder (:mod:`kogpt2_chat.model.checkpoint`) below the cache, found again by the
hash of what they are made of. Two processes that want the same base make it once.
"""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput, Unavailable
from kogpt2_chat.model.base_record import BaseRecord, base_of_versions, read_record, record_path, write_record
from kogpt2_chat.model.card import CARD_FILE, WEIGHTS_FILE, ModelCard, file_sha256, verify_folder
from kogpt2_chat.model.checkpoint import write_checkpoint
from kogpt2_chat.model.hub import find, is_pointer, pointer_error, weights_file
from kogpt2_chat.model.load import use_threads
from kogpt2_chat.model.small_base import SHIPPED, SMALL_NAME, is_shipped, small_key, train_small_base
from kogpt2_chat.model.tokenizer import load_tokenizer
from kogpt2_chat.settings import Settings

KOGPT2: Final = "skt/kogpt2-base-v2"
KOGPT2_LICENCE: Final = "CC BY-NC-SA 4.0"
_KOGPT2_SHAPE: Final = (51_200, 12, 768)
_IMPORT_VERSION: Final = "1"
AUTO: Final = "auto"


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

    ``auto`` is decided once a home, and recorded in it: the hub's local cache, the hub, the small base. Later calls
    take what is recorded, whatever has become available since, so that living bots keep their base.

    Args:
        settings: ``model.base`` and what goes with it.
        progress: told what is done.

    Returns:
        A verified folder.

    Raises:
        InvalidInput: the named base is no GPT-2 in KoGPT2's layout, its weights have another hash, or the recorded
            base is gone.
        Unavailable: the named hub model can't be had.
    """
    use_threads(settings)
    with _locked(record_path(settings.home)):
        record = read_record(settings.home)
        if settings.model.base == AUTO and record is not None:
            return _recorded(record, settings, progress)
        base = _chosen(settings, progress) if settings.model.base == AUTO else _named(settings, progress)
        if record is None:
            asked = settings.model.base
            write_record(settings.home, BaseRecord.now(asked=asked, name=base.name, folder=base.folder, sha=base.sha))
        elif base.sha != record.sha:
            progress(
                f"KOGPT2_MODEL__BASE names {base.name} (sha {base.sha[:12]}); this home was begun with {record.name} "
                f"(sha {record.sha[:12]}), which `{AUTO}` goes on with: {record_path(settings.home)}"
            )
        return base


def _chosen(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """The first choice of a home."""
    if begun := base_of_versions(settings.home):
        progress(f"this home's bots began with the base {begun}: they keep it")
        return _named(
            settings.model_copy(update={"model": settings.model.model_copy(update={"base": begun})}), progress
        )
    try:
        source = find(KOGPT2, settings.model.revision, progress)
    except Unavailable as error:
        where = record_path(settings.home)
        progress(f"{error}; the small base stands in, and stays this home's base (recorded in {where})")
        return _small(settings, progress)
    return _imported(source, KOGPT2, settings, progress)


def _named(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    asked = settings.model.base
    if asked == SMALL_NAME:
        return _small(settings, progress)
    folder = Path(asked)
    if folder.is_dir():
        return _imported(folder, folder.name, settings, progress)
    return _imported(find(asked, settings.model.revision, progress), asked, settings, progress)


def _recorded(record: BaseRecord, settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """The base that a home was begun with; the small one is made again where it is made of the same.

    Raises:
        InvalidInput: it is gone.
    """
    folder = Path(record.folder)
    for place in (folder, settings.cache_dir / "base" / folder.name):
        with suppress(CheckpointCorrupt):
            if (place / CARD_FILE).is_file() and (base := _prepared(place)).sha == record.sha:
                return base
    if record.name == SMALL_NAME and folder.name == _small_folder(settings).name:
        return _small(settings, progress)
    source = record.name if record.asked == AUTO else record.asked
    raise InvalidInput(
        f"the base that this home's bots began with is gone: {record.name}, sha {record.sha[:12]}, was in {folder}. "
        f"Put the folder back, name the base to make it anew (KOGPT2_MODEL__BASE={source}), or remove "
        f"{record_path(settings.home)} to choose anew: bots that are trained from then on begin with another base"
    )


def rebuild(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """Train the small base anew, whatever is there; from then on it is taken before the one in the checkout.

    Args:
        settings: ``model.small_*``, ``training`` and the corpora.
        progress: told about every epoch.

    Returns:
        The base, in the cache.
    """
    use_threads(settings)
    folder = _small_folder(settings)
    with _locked(folder):
        train_small_base(folder, settings, progress, folder.parent / f".work-{folder.name}")
        return _prepared(folder)


def _small_folder(settings: Settings) -> Path:
    return settings.cache_dir / "base" / f"small-{small_key(settings)}"


def _small(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """One made here, else the one that comes with the checkout where it is of these settings, else made now."""
    folder = _small_folder(settings)
    if not (folder / CARD_FILE).exists() and is_shipped(settings):
        return _prepared(SHIPPED)
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
    for needed in (path, source / "tokenizer.json"):
        if needed.is_file() and is_pointer(needed):
            raise pointer_error(needed)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is missing or no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("model_type") != "gpt2":
        raise InvalidInput(f"{path} must say model_type gpt2: only GPT-2 in KoGPT2's layout can be a base")
    for foreign in ("auto_map", "architectures", "transformers_version"):
        content.pop(foreign, None)
    return GPT2Config(**content)


def _sha_or_none(path: Path) -> str:
    return file_sha256(path) if path.is_file() else "-"
