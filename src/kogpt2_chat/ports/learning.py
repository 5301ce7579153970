"""Spark, which makes datasets, and MLflow, which keeps runs and versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Alias = Literal["candidate", "champion", "previous"]


class SparkJobs(Protocol):
    """Spark applications of ``spark_jobs/``."""

    def submit(self, script: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Run ``spark_jobs/SCRIPT.py`` to its end; arguments and result are JSON.

        Raises:
            InvalidInput: the job refused its input, with the job's own sentence.
            Unavailable: Spark could not be started, or the application died.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered version of a bot's model."""

    bot: str
    version: int
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_ms: int = 0


class Registry(Protocol):
    """Runs and model versions."""

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Open a run; give its id."""
        ...

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record figures of one step."""
        ...

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """Upload a local folder (or file) below an artefact path of the run."""
        ...

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """Close a run."""
        ...

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """Register the run's artefact folder ``path`` as a new version; the same run twice gives the same version."""
        ...

    def versions(self, bot: str) -> list[ModelVersion]:
        """All versions, oldest first; empty for an unknown bot."""
        ...

    def get(self, bot: str, version: int) -> ModelVersion:
        """One version.

        Raises:
            NotFound: no such version.
        """
        ...

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """The version that an alias points at now."""
        ...

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """Move an alias; None removes it."""
        ...

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """Add or replace tags of a version (values up to 5000 characters)."""
        ...

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Copy a version's files into a new local folder; all of them or none.

        A folder that is there already was finished by another process and is given back as it is.
        """
        ...

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """One artefact of the version's run.

        Raises:
            NotFound: no such artefact.
        """
        ...
