"""What the platform needs from a server, said in the platform's own words.

One protocol for each server (Kafka twice: plain topics, and the worker's exchange), each with a real
adapter, an in-memory double in :mod:`kogpt2_chat.testing` and one contract suite that runs on both. Jobs
and the worker know these protocols and never a client library.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Row = Mapping[str, object]
Alias = Literal["candidate", "champion", "previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as it stands in a topic. Its position is ``(topic, partition, offset)``."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record to be sent. No partition: Kafka's own partitioner chooses by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Topics(Protocol):
    """Kafka topics read by position and written outside any transaction."""

    def ensure(self) -> list[str]:
        """Create the contract's topics that are missing; give the names of those created."""
        ...

    def start_positions(self, topic: str) -> dict[int, int]:
        """First retained offset of each partition."""
        ...

    def end_positions(self, topic: str) -> dict[int, int]:
        """Offset after the last committed record of each partition (read_committed)."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Committed records with ``start <= offset < end``, in order; positions may have holes."""
        ...

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """The last value of each key of a compacted topic; tombstoned keys are left out."""
        ...

    def send(self, records: Iterable[Outgoing]) -> None:
        """Send and wait until all are acknowledged.

        Raises:
            Unavailable: some record was not acknowledged in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions of one poll, and the claim under which their offsets may be committed.

    Attributes:
        records: in order within each partition.
        claim: opaque to the worker; the exchange knows from it whether the partitions are still its own.
    """

    records: tuple[Record, ...]
    claim: object = None


class Exchange(Protocol):
    """The worker's side of Kafka: questions in; answers, turns, dead letters and offsets out, atomically."""

    def poll(self, timeout_s: float) -> Batch:
        """Next questions, possibly none."""
        ...

    def publish(self, batch: Batch, outgoing: Sequence[Outgoing]) -> bool:
        """Make all records and the batch's offsets visible in one transaction.

        Returns:
            False when the batch was dropped instead (partitions lost, transaction aborted or its outcome
            unknown); its questions will be polled again, here or elsewhere.
        """
        ...

    def close(self) -> None:
        """Leave the group and give back every connection."""
        ...


class Files(Protocol):
    """The lake's file system. Paths are absolute and start with a slash."""

    def write(self, path: str, content: bytes) -> None:
        """Publish a whole file: readers see all of it or none; an existing file is replaced."""
        ...

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Raises:
            NotFound: no such file.
        """
        ...

    def list(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty when there is no such folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        ...

    def publish_folder(self, source: str, target: str) -> bool:
        """Rename a finished folder to its final, immutable name; False (and source removed) if taken."""
        ...

    def download(self, path: str, folder: Path) -> Path:
        """Copy a file or folder, whole, below a local folder; give its local path."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file or folder; nothing happens when there is none."""
        ...


class Tables(Protocol):
    """Delta tables of the lake, by short name: ``turns`` and ``feedback``."""

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """Add rows and move positions (app id -> end position) in one commit.

        ``expected`` names the positions that the work was planned from (an app id without one is left out); with
        it, work planned from positions that have moved since is refused.

        Returns:
            False when every position had already been reached: somebody did this work before.

        Raises:
            Conflict: another writer moved one of the positions at the same time, or since the plan.
        """
        ...

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """Committed end position of each app id that has one."""
        ...

    def version(self, table: str) -> int | None:
        """The table's newest version; None when the table does not exist yet."""
        ...

    def read(
        self, table: str, columns: Sequence[str] | None = None, version: int | None = None
    ) -> list[dict[str, object]]:
        """All rows of a version (newest by default); empty when the table does not exist."""
        ...


class Index(Protocol):
    """The search index of turns; derived, and rebuilt from the lake at any time."""

    def ensure(self) -> None:
        """Create the index with its strict mapping if it is missing."""
        ...

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``; give how many. Doing it again changes nothing."""
        ...

    def find(self, turn_id: str) -> Row | None:
        """A turn's document as JSON has it (times are text, nulls left out); None when there is none."""
        ...

    def count(self, bot: str | None = None) -> int:
        """Documents, of one bot or all, after a refresh."""
        ...

    def clear(self) -> None:
        """Drop every document (before a rebuild)."""
        ...


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
