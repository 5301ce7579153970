"""Where bots begin: a base model imported from a hub or folder, or the small one trained here.

Both end as the same kind of folder (:mod:`kogpt2_chat.network.checkpoint`) below the cache, found again by the
hash of what they are made of. Two processes that want the same base make it once. A base that is there is found and
verified without torch: whoever only needs its tokenizer waits for no model library.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import CARD_FILE, WEIGHTS_FILE, file_sha256, verify_folder
from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput, Unavailable
from kogpt2_chat.machine.in_turn import in_turn
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
    with _locked(record_path(settings.home), progress):
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
    folder = _small_folder(settings)
    with _locked(folder, progress):
        _train(folder, folder.parent / f".work-{folder.name}", settings, progress)
        return _prepared(folder)


def _small_folder(settings: Settings) -> Path:
    return settings.cache_dir / "base" / f"small-{small_key(settings)}"


def _small(settings: Settings, progress: Callable[[str], None]) -> PreparedBase:
    """One made here, else the one that comes with the checkout where it is of these settings, else made now."""
    folder = _small_folder(settings)
    if not (folder / CARD_FILE).exists() and is_shipped(settings):
        return _prepared(SHIPPED)
    return _made_once(folder, lambda work: _train(folder, work, settings, progress), progress)


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
    return _made_once(folder, lambda _: _import(source, folder, name, settings, progress), progress)


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


def _made_once(folder: Path, make: Callable[[Path], None], progress: Callable[[str], None]) -> PreparedBase:
    """Make a folder unless it is there and whole; others who want it wait."""
    with _locked(folder, progress):
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


def _locked(folder: Path, progress: Callable[[str], None]) -> AbstractContextManager[None]:
    """What is made or recorded here is made once; whoever comes second waits."""
    return in_turn(folder.parent / f".{folder.name}.lock", progress, "another process")


def _sha_or_none(path: Path) -> str:
    return file_sha256(path) if path.is_file() else "-"
