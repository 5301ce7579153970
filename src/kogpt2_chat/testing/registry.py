"""A registry in memory: what an MLflow server does, without one."""

import itertools
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Alias, ModelVersion


@dataclass(slots=True, kw_only=True)
class MemoryRun:
    """One run, open to a test's eyes.

    Attributes:
        metrics: for each name the values in the order they came.
        files: artefact path to content.
        state: ``RUNNING``, ``FINISHED`` or ``FAILED``.
    """

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "RUNNING"


@dataclass(slots=True)
class _Model:
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


class MemoryRegistry:
    """:class:`kogpt2_chat.ports.Registry` in memory.

    Attributes:
        runs: every run by its id.
    """

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self._models: dict[str, _Model] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Open a run with its params; give its id."""
        with self._lock:
            run_id = f"run{next(self._numbers):029d}"
            self.runs[run_id] = MemoryRun(
                name=name, params={key: str(value) for key, value in params.items()}, tags=dict(tags)
            )
            return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:  # noqa: ARG002
        """Record figures of one step."""
        for key, value in metrics.items():
            self._run(run_id).metrics.setdefault(key, []).append(float(value))

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """Keep a local folder's (or file's) content below an artefact path of the run.

        Raises:
            NotFound: there is no such local folder or file, or no such run.
        """
        if not folder.exists():
            raise NotFound(f"nothing to upload at {folder}: expected a folder or file for run {run_id}")
        files = self._run(run_id).files
        sources = [entry for entry in folder.rglob("*") if entry.is_file()] if folder.is_dir() else [folder]
        root = folder if folder.is_dir() else folder.parent
        for source in sources:
            files[_joined(path, source.relative_to(root).as_posix())] = source.read_bytes()

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """Close a run."""
        self._run(run_id).state = "FAILED" if failed else "FINISHED"

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """Register the run's artefact folder as a new version; the same run twice gives the same version.

        Raises:
            NotFound: there is no such run, or it has no such folder.
        """
        with self._lock:
            if not any(name.startswith(f"{path}/") for name in self._run(run_id).files):
                raise NotFound(f"run {run_id} has no artefact folder {path!r}: train again, or name another run")
            model = self._models.setdefault(bot, _Model())
            for known in model.versions.values():
                if known.run_id == run_id:
                    return known.version
            number = len(model.versions) + 1
            model.versions[number] = ModelVersion(bot=bot, version=number, run_id=run_id, created_ms=number)
            model.paths[number] = path
            model.tags[number] = dict(tags)
            return number

    def versions(self, bot: str) -> list[ModelVersion]:
        """All versions, oldest first; empty for an unknown bot."""
        with self._lock:
            return [self.get(bot, number) for number in sorted(self._models.get(bot, _Model()).versions)]

    def get(self, bot: str, version: int) -> ModelVersion:
        """One version.

        Raises:
            NotFound: no such version.
        """
        with self._lock:
            model = self._model(bot, version)
            known = model.versions[version]
            return ModelVersion(
                bot=bot,
                version=version,
                run_id=known.run_id,
                tags=dict(model.tags[version]),
                aliases=tuple(sorted(alias for alias, number in model.aliases.items() if number == version)),
                created_ms=known.created_ms,
            )

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """The version that an alias points at now."""
        with self._lock:
            number = self._models.get(bot, _Model()).aliases.get(alias)
            return None if number is None else self.get(bot, number)

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """Move an alias; None removes it.

        Raises:
            NotFound: no such version.
        """
        with self._lock:
            if version is not None:
                self._model(bot, version).aliases[alias] = version
            else:
                self._models.get(bot, _Model()).aliases.pop(alias, None)

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """Add or replace tags of a version (values are cut at 5000 characters).

        Raises:
            NotFound: no such version.
        """
        with self._lock:
            self._model(bot, version).tags[version].update({key: value[:5000] for key, value in tags.items()})

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Write a version's files into a new local folder, all or none; one that is there is given back as it is.

        Raises:
            NotFound: no such version.
        """
        with self._lock:
            if folder.exists():
                return folder
            prefix = f"{self._model(bot, version).paths[version]}/"
            files = self._run(self.get(bot, version).run_id).files
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
                whole = Path(aside) / "whole"
                for name in files:
                    if name.startswith(prefix):
                        target = whole / name.removeprefix(prefix)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(files[name])
                whole.rename(folder)
            return folder

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """One artefact of the version's run.

        Raises:
            NotFound: no such artefact.
        """
        content = self._run(self.get(bot, version).run_id).files.get(path)
        if content is None:
            raise NotFound(f"{bot} version {version} has no artefact {path!r}")
        return content

    def _run(self, run_id: str) -> MemoryRun:
        if run_id not in self.runs:
            raise NotFound(f"no run {run_id!r} in this registry")
        return self.runs[run_id]

    def _model(self, bot: str, version: int) -> _Model:
        model = self._models.get(bot)
        if model is None or version not in model.versions:
            raise NotFound(f"{bot} has no version {version}")
        return model


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
