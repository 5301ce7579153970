"""Cache versions on disk: each is downloaded once, verified at every load, and probed before it may answer."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import CARD_FILE, file_sha256
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.ports import Registry
from serving.loads import NoLongerWantedError
from serving.slot import LoadedVersion

PROBE_QUESTION: Final = "안녕?"
PROBE_STEPS: Final = 1000
LOAD_LOCK_TIMEOUT_S: Final = 15.0
"""Longest wait for another version's load to end. Concurrent loads use more memory and disturb each other's
measurements, but a load that never ends must not block other bots."""
_LAST_GOOD: Final = "last_good"


class VersionCache:
    """The versions that this worker has on disk.

    Args:
        folder: contains ``BOT/VERSION/``.
        registry: opens the registry; called only for a version that is not cached.
        load: verifies a version's folder and loads it.
        make_engine: returns a new engine for the probe, so that the worker's engine is not disturbed.
    """

    def __init__(
        self,
        *,
        folder: Path,
        registry: Callable[[], Registry],
        load: Callable[[Path], BotModel],
        make_engine: Callable[[], Engine],
    ) -> None:
        self._folder = folder
        self._registry = registry
        self._load_folder = load
        self._make_engine = make_engine
        self._load_lock = threading.Lock()

    def has(self, bot: str, version: int) -> bool:
        """Check whether a version is cached."""
        return (self._folder / bot / str(version)).is_dir()

    def load(
        self, bot: str, version: int, digest: str = "", is_target: Callable[[], bool] = lambda: True
    ) -> LoadedVersion:
        """Load a version, verify it and probe it.

        Args:
            bot: the bot's id.
            version: the version's number.
            digest: SHA-256 of its ``model.json``; empty if unknown.
            is_target: called after the download; False ends the load.

        Returns:
            The loaded version.

        Raises:
            CheckpointCorrupt: the registry's copy is damaged or has another digest, or the probe fails.
            GateRefused: the files are intact, but on this machine the answers differ too much from those in fp32.
            NoLongerWantedError: another version is the target now.
        """
        folder = self._folder / bot / str(version)
        if folder.exists():
            # The copy may be damaged, or from a registry that was lost. Then the registry may have a good one.
            with suppress(CheckpointCorrupt):
                return self._verified(bot, version, digest, folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _replaced(folder):
            self._registry().download(bot, version, folder)
            if not is_target():
                raise NoLongerWantedError
            return self._verified(bot, version, digest, folder)

    def last_good(self, bot: str) -> int | None:
        """Return the version that this worker served last, if it is still cached."""
        try:
            version = int((self._folder / bot / _LAST_GOOD).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return version if self.has(bot, version) else None

    def evict_except(self, bot: str, serving: int, versions: set[int]) -> None:
        """Remove cached versions that are not needed, and record the active one for :meth:`last_good`.

        Args:
            bot: the bot's id.
            serving: the active version, which is kept.
            versions: other versions to keep.

        Raises:
            OSError: the record cannot be written, for example because the disk is full; the old record remains.
        """
        home = self._folder / bot
        if not home.is_dir():
            return
        for folder in home.iterdir():  # first, because it frees space
            if folder.is_dir() and folder.name.isdecimal() and int(folder.name) not in versions | {serving}:
                shutil.rmtree(folder, ignore_errors=True)
        new_file = home / f".{_LAST_GOOD}"
        new_file.write_text(str(serving), encoding="ascii")
        new_file.replace(home / _LAST_GOOD)

    def sweep(self) -> None:
        """Remove partial downloads of killed processes. No other process writes to this cache."""
        for folder in self._folder.glob("*/.*"):
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _verified(self, bot: str, version: int, digest: str, folder: Path) -> LoadedVersion:
        found = _digest(folder)
        if digest and found and found != digest:
            raise CheckpointCorrupt(
                f"{bot} version {version} at {folder}: model.json has SHA-256 {found[:12]}…, the rollout names "
                f"{digest[:12]}…: it is another version that once had this number"
            )
        has_lock = self._load_lock.acquire(timeout=LOAD_LOCK_TIMEOUT_S)
        try:
            return self._loaded(bot, version, found, folder)
        finally:
            if has_lock:
                self._load_lock.release()

    def _loaded(self, bot: str, version: int, digest: str, folder: Path) -> LoadedVersion:
        model = self._load_folder(folder)
        engine = self._make_engine()
        engine.add_request("probe", model, model.encode(PROBE_QUESTION))
        finished = drain(engine, max_steps=PROBE_STEPS)
        if not finished:
            raise CheckpointCorrupt(f"{bot} version {version}: the probe question got no answer in {PROBE_STEPS} steps")
        model.decode(finished[0].token_ids)
        # Models of other engines, such as doubles, have no form.
        return LoadedVersion(version=version, model=model, form=getattr(model, "form", ""), digest=digest)


@contextmanager
def _replaced(folder: Path) -> Iterator[None]:
    """Replace a version's folder, but restore the old copy if the new one does not load: the old one may be active."""
    before = folder.with_name(f".{folder.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        folder.rename(before)
    try:
        yield
    except BaseException as error:
        if before.exists() or isinstance(error, CheckpointCorrupt):  # otherwise the new copy is intact: keep it
            shutil.rmtree(folder, ignore_errors=True)
        if before.exists():
            before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _digest(folder: Path) -> str:
    try:
        return file_sha256(folder / CARD_FILE)
    except OSError:  # loading reports the error
        return ""
