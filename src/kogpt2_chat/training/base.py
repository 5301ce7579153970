"""Prepare the base model that bots are fine-tuned from: imported from a hub or folder, or the small one trained here.

Both become the same kind of folder (:mod:`kogpt2_chat.network.checkpoint`) below the cache, named by a hash of their
sources. If two processes need the same base, only one of them makes it. An existing base is verified without
torch, so that a job that only needs the tokenizer does not import it.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import CARD_FILE, WEIGHTS_FILE, file_sha256, verify_folder
from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput, Unavailable
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.base_record import BaseRecord, base_of_versions, read_record, record_path, write_record
from kogpt2_chat.training.hub import KOGPT2, find, weights_file
from kogpt2_chat.training.small_key import SHIPPED, SMALL_NAME, is_shipped, small_key

_IMPORT_VERSION: Final = "1"
AUTO: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBase:
    """A base model, ready to be fine-tuned.

    Attributes:
        folder: a verified version folder.
        sha: hash of its weights.
        name: hub id, folder name, or ``small``.
        licence: the licence of every version made from it.
        small: whether it is the small base, trained by this project.
    """

    folder: Path
    sha: str
    name: str
    licence: str
    small: bool

    def as_json(self) -> dict[str, object]:
        """Return the base as plain values."""
        return {"folder": str(self.folder), "sha": self.sha, "name": self.name, "licence": self.licence,
                "small": self.small}  # fmt: skip


def prepare(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """Return the base that the settings name, from the cache or newly made.

    ``auto`` is decided once per home and recorded there: the first of the hub's local cache, the hub, the small base.
    Later calls use the recorded base even if another one has become available, so that existing bots keep their base.

    Args:
        settings: ``model.base`` and the settings that belong to it.
        progress: called with a line for each step.

    Returns:
        The base, in a verified folder.

    Raises:
        InvalidInput: the named base is not a GPT-2 in KoGPT2's layout, its weights do not have the hash in the
            settings, or the recorded base is missing.
        Unavailable: the named hub model is neither in the local cache nor on the hub.
    """
    with _locked(record_path(settings.home), progress):
        record = read_record(settings.home)
        if settings.model.base == AUTO and record is not None:
            return _recorded(record, settings, progress)
        base = _choose(settings, progress) if settings.model.base == AUTO else _named(settings, progress)
        if record is None:
            asked = settings.model.base
            write_record(settings.home, BaseRecord.now(asked=asked, name=base.name, folder=base.folder, sha=base.sha))
        elif base.sha != record.sha:
            progress(
                f"KOGPT2_MODEL__BASE names {base.name} (sha {base.sha[:12]}); the recorded base of this home is "
                f"{record.name} (sha {record.sha[:12]}), and `{AUTO}` keeps using it: {record_path(settings.home)}"
            )
        return base


def _choose(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """Choose the base of a home that has none recorded."""
    if existing := base_of_versions(settings.home):
        progress(f"this home's bots were trained from the base {existing}: they keep it")
        return _named(
            settings.model_copy(update={"model": settings.model.model_copy(update={"base": existing})}), progress
        )
    try:
        source = find(KOGPT2, settings.model.revision, progress)
    except Unavailable as error:
        where = record_path(settings.home)
        progress(f"{error}; using the small base instead, which stays this home's base (recorded in {where})")
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
    """Return the recorded base of a home. The small base is made again if its corpora and settings are the same.

    Raises:
        InvalidInput: the base is missing.
    """
    folder = Path(record.folder)
    for candidate in (folder, settings.cache_dir / "base" / folder.name):
        with suppress(CheckpointCorrupt):
            if (candidate / CARD_FILE).is_file() and (base := _prepared(candidate)).sha == record.sha:
                return base
    if record.name == SMALL_NAME and folder.name == _small_folder(settings).name:
        return _small(settings, progress)
    source = record.name if record.asked == AUTO else record.asked
    raise InvalidInput(
        f"the base of this home's bots is missing: {record.name}, sha {record.sha[:12]}, was in {folder}. "
        f"Put the folder back, or name the base to make it again (KOGPT2_MODEL__BASE={source}), or remove "
        f"{record_path(settings.home)} to choose again: bots trained after that start from another base"
    )


def rebuild(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """Train the small base again even if it exists. After that, it has priority over the one in the checkout.

    Args:
        settings: ``model.small_*``, ``training`` and the corpora.
        progress: called with a line for each epoch.

    Returns:
        The base, in the cache.
    """
    folder = _small_folder(settings)
    with _locked(folder, progress):
        _train(folder, folder.parent / f".work-{folder.name}", settings, progress)
        return _prepared(folder)


def _small_folder(settings: Settings) -> Path:
    return settings.cache_dir / "base" / f"small-{small_key(settings)}"


def _small(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """Return the small base: from the cache, from the checkout if it has the same settings, or newly trained."""
    folder = _small_folder(settings)
    if not (folder / CARD_FILE).exists() and is_shipped(settings):
        return _prepared(SHIPPED)
    return _make_once(folder, lambda work: _train(folder, work, settings, progress), progress)


def _imported(source: Path, name: str, settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    weights = weights_file(source)
    found = file_sha256(weights)
    if settings.model.base_sha256 and found != settings.model.base_sha256:
        raise InvalidInput(
            f"{weights} has SHA-256 {found}, KOGPT2_MODEL__BASE_SHA256 expects {settings.model.base_sha256}: "
            "use the weights with this hash, or correct the setting"
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
    return _make_once(folder, lambda _: _import(source, folder, name, settings, progress), progress)


def _train(folder: Path, work: Path, settings: Settings, progress: Callable[[str], None]) -> None:
    from kogpt2_chat.network.load import use_threads
    from kogpt2_chat.training.small_base import train_small_base

    use_threads(settings)
    train_small_base(folder, settings, progress, work)


def _import(source: Path, folder: Path, name: str, settings: Settings, progress: Callable[[str], None]) -> None:
    from kogpt2_chat.network.load import use_threads
    from kogpt2_chat.training.import_base import import_base

    use_threads(settings)
    import_base(source, folder, name, progress)


def _make_once(folder: Path, make: Callable[[Path], None], progress: Callable[[str], None]) -> PreparedBase:
    """Make a folder unless it exists and is intact; other processes that need it wait."""
    with _locked(folder, progress):
        if (folder / CARD_FILE).exists():
            try:
                return _prepared(folder)
            except CheckpointCorrupt as error:
                progress(f"the cached base is damaged and will be made again: {error}")
        make(folder.parent / f".work-{folder.name}")
        return _prepared(folder)


def _prepared(folder: Path) -> PreparedBase:
    card = verify_folder(folder)
    return PreparedBase(
        folder=folder, sha=card.files[WEIGHTS_FILE], name=card.base, licence=card.licence, small=card.small
    )


def _locked(folder: Path, progress: Callable[[str], None]) -> AbstractContextManager[None]:
    """Hold the lock of a folder or file; a second process waits."""
    return hold_lock(folder.parent / f".{folder.name}.lock", progress, "another process")


def _sha_or_none(path: Path) -> str:
    return file_sha256(path) if path.is_file() else "-"
