"""The ports of learning: Spark jobs, and the model registry with its runs and versions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Alias = Literal["candidate", "champion", "previous"]


class SparkJobs(Protocol):
    """The Spark applications in ``spark_jobs/``."""

    def submit(
        self,
        script: str,
        arguments: Mapping[str, object],
        *,
        progress: Callable[[str], None] = lambda _: None,
        timeout_s: float | None = None,
    ) -> dict[str, object]:
        """Run ``spark_jobs/SCRIPT.py``, wait until it ends and return its result. Arguments and result are JSON.

        Args:
            script: the file name without its extension.
            arguments: JSON values.
            progress: called with each line that the job reports, while it runs.
            timeout_s: the job is stopped after this time; None: KOGPT2_SPARK__TIMEOUT_S.

        Raises:
            InvalidInput: the job rejected its input; the message comes from the job.
            Unavailable: Spark could not be started, or the application failed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered version of a bot's model.

    Attributes:
        version: its number; the first version of a bot has 1.
        run_id: the run that trained it.
        tags: facts about it, e.g. the gate's decision.
        aliases: the aliases that point to it.
        created_ms: Unix milliseconds.
        description: Markdown; empty if it has none.
        page: its page, relative to the registry's address.
    """

    bot: str
    version: int
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_ms: int = 0
    description: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """A run of a training.

    Attributes:
        started_ms: Unix milliseconds; None if unknown. So is ``ended_ms``, also while the run runs.
        metrics: the last value of each metric.
        page: its page, relative to the registry's address.
    """

    run_id: str
    started_ms: int | None
    ended_ms: int | None
    metrics: Mapping[str, float]
    page: str


class Registry(Protocol):
    """The registry of runs and model versions.

    Every method raises ``Unavailable`` if the server does not answer, ``NotFound`` if the run or version does not exist
    (unless its docstring says otherwise), and ``InvalidInput`` if the server refuses the request.
    """

    def start_run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Start a run and return its id."""
        ...

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log the metrics of one step."""
        ...

    def log_files(self, run_id: str, folder: Path, path: str) -> None:
        """Upload a local folder or file to an artifact path of the run.

        Raises:
            NotFound: the folder or file does not exist.
        """
        ...

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """End a run as finished or failed."""
        ...

    def run(self, run_id: str) -> TrainingRun:
        """Return what is known about a run."""
        ...

    def add_version(self, bot: str, run_id: str, path: str, tags: Mapping[str, str]) -> int:
        """Register the run's artifact folder ``path`` as a new version and return its number.

        If the run is already registered, return the number of its version.

        Raises:
            NotFound: the run has no such folder.
        """
        ...

    def versions(self, bot: str) -> list[ModelVersion]:
        """Return all versions of a bot, oldest first; empty for an unknown bot."""
        ...

    def get(self, bot: str, version: int) -> ModelVersion:
        """Return one version.

        Raises:
            NotFound: the version does not exist.
        """
        ...

    def by_alias(self, bot: str, alias: Alias) -> ModelVersion | None:
        """Return the version that an alias points to; None if the alias is not set."""
        ...

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        """Point an alias to a version; None removes the alias, if it is set.

        Raises:
            NotFound: the version does not exist.
        """
        ...

    def tag(self, bot: str, version: int, tags: Mapping[str, str]) -> None:
        """Add or replace tags of a version; values are cut at 5000 characters."""
        ...

    def describe(self, bot: str, version: int, text: str) -> None:
        """Replace a version's description, which is Markdown; it is cut at 5000 characters."""
        ...

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Download a version's files into a new local folder and return it; all files or none.

        An existing folder was completed by another process and is returned unchanged.

        Raises:
            NotFound: the version or its files do not exist.
        """
        ...

    def read_file(self, bot: str, version: int, path: str) -> bytes:
        """Return the content of one artifact of the version's run.

        Raises:
            NotFound: the artifact does not exist.
        """
        ...
