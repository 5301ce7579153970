"""The model registry in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Registry`."""

import itertools
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Alias, ModelVersion, TrainingRun


@dataclass(slots=True, kw_only=True)
class InMemoryRun:
    """One run, for tests to inspect.

    Attributes:
        metrics: the values of each metric, in the order in which they were logged.
        files: content by artifact path.
        state: ``RUNNING``, ``FINISHED`` or ``FAILED``.
    """

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "RUNNING"


@dataclass(slots=True)
class _RegisteredModel:
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    descriptions: dict[int, str] = field(default_factory=dict)


class InMemoryRegistry:
    """:class:`kogpt2_chat.ports.Registry` in memory.

    Attributes:
        runs: every run, by run id.
    """

    def __init__(self) -> None:
        self.runs: dict[str, InMemoryRun] = {}
        self._models: dict[str, _RegisteredModel] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """See :meth:`kogpt2_chat.ports.Registry.start_run`."""
        with self._lock:
            run_id = f"run{next(self._numbers):029d}"
            self.runs[run_id] = InMemoryRun(
                name=name, params={key: str(value) for key, value in params.items()}, tags=dict(tags)
            )
            return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:  # noqa: ARG002
        """Log the metrics of one step; the step's number is ignored."""
        for key, value in metrics.items():
            self._run(run_id).metrics.setdefault(key, []).append(float(value))

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.log_files`."""
        if not folder.exists():
            raise NotFound(f"cannot upload {folder} to run {run_id}: expected a folder or file, found nothing")
        files = self._run(run_id).files
        sources = [entry for entry in folder.rglob("*") if entry.is_file()] if folder.is_dir() else [folder]
        root = folder if folder.is_dir() else folder.parent
        for source in sources:
            files[_joined(path, source.relative_to(root).as_posix())] = source.read_bytes()

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.end_run`."""
        self._run(run_id).state = "FAILED" if failed else "FINISHED"

    def run(self, run_id: str) -> TrainingRun:
        """See :meth:`kogpt2_chat.ports.Registry.run`. A run's times are not recorded."""
        run = self._run(run_id)
        return TrainingRun(
            run_id=run_id,
            started_ms=None,
            ended_ms=None,
            metrics={name: values[-1] for name, values in run.metrics.items()},
            page=f"#/runs/{run_id}",
        )

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """See :meth:`kogpt2_chat.ports.Registry.add_version`."""
        with self._lock:
            if not any(name.startswith(f"{path}/") for name in self._run(run_id).files):
                raise NotFound(f"run {run_id} has no artifact folder {path!r}: train again, or choose another run")
            model = self._models.setdefault(bot, _RegisteredModel())
            for known in model.versions.values():
                if known.run_id == run_id:
                    return known.version
            number = len(model.versions) + 1
            model.versions[number] = ModelVersion(bot=bot, version=number, run_id=run_id, created_ms=number)
            model.paths[number] = path
            model.tags[number] = dict(tags)
            return number

    def versions(self, bot: str) -> list[ModelVersion]:
        """See :meth:`kogpt2_chat.ports.Registry.versions`."""
        with self._lock:
            return [self.get(bot, number) for number in sorted(self._models.get(bot, _RegisteredModel()).versions)]

    def get(self, bot: str, version: int) -> ModelVersion:
        """See :meth:`kogpt2_chat.ports.Registry.get`."""
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
                description=model.descriptions.get(version, ""),
                page=f"#/models/{bot}/versions/{version}",
            )

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """See :meth:`kogpt2_chat.ports.Registry.by_alias`."""
        with self._lock:
            number = self._models.get(bot, _RegisteredModel()).aliases.get(alias)
            return None if number is None else self.get(bot, number)

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.set_alias`."""
        with self._lock:
            if version is not None:
                self._model(bot, version).aliases[alias] = version
            else:
                self._models.get(bot, _RegisteredModel()).aliases.pop(alias, None)

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.tag`."""
        with self._lock:
            self._model(bot, version).tags[version].update({key: value[:5000] for key, value in tags.items()})

    def describe(self, bot: str, version: int, text: str) -> None:
        """See :meth:`kogpt2_chat.ports.Registry.describe`."""
        with self._lock:
            self._model(bot, version).descriptions[version] = text[:5000]

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """See :meth:`kogpt2_chat.ports.Registry.download`."""
        with self._lock:
            if folder.exists():
                return folder
            prefix = f"{self._model(bot, version).paths[version]}/"
            files = self._run(self.get(bot, version).run_id).files
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
                complete = Path(temporary) / "complete"
                for name in files:
                    if name.startswith(prefix):
                        target = complete / name.removeprefix(prefix)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(files[name])
                complete.rename(folder)
            return folder

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """See :meth:`kogpt2_chat.ports.Registry.read_file`."""
        content = self._run(self.get(bot, version).run_id).files.get(path)
        if content is None:
            raise NotFound(f"{bot} version {version} has no artifact {path!r}")
        return content

    def _run(self, run_id: str) -> InMemoryRun:
        if run_id not in self.runs:
            raise NotFound(f"this registry has no run {run_id!r}")
        return self.runs[run_id]

    def _model(self, bot: str, version: int) -> _RegisteredModel:
        model = self._models.get(bot)
        if model is None or version not in model.versions:
            raise NotFound(f"{bot} has no version {version}")
        return model


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
