"""The ports of the lake: files on HDFS, the Delta tables stored there, and the search index derived from them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

Row = Mapping[str, object]


class Files(Protocol):
    """The lake's file system. Paths are absolute: they start with a slash."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file atomically: readers see all of it or none of it; an existing file is replaced."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            NotFound: the file does not exist.
        """
        ...

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; empty if the folder does not exist."""
        ...

    def exists(self, path: str) -> bool:
        """Check whether a file or folder exists."""
        ...

    def publish_folder(self, source: str, target: str) -> bool:
        """Rename a finished folder to its final, immutable name.

        Return False, and remove the source, if the name is already taken.
        """
        ...

    def download(self, path: str, folder: Path) -> Path:
        """Copy a file or a whole folder into a local folder; return its local path."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file or folder, if it exists."""
        ...


class Tables(Protocol):
    """The lake's Delta tables, by short name, e.g. ``turns`` or ``feedback``."""

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """Add rows and move positions (end position by app id) in one commit.

        ``expected`` holds the positions that the work was planned from, without app ids that had none. If it is
        passed, the append is refused if a position has moved since then, and it may also move positions back.

        Returns:
            False if every position was already reached: another run did this work, and nothing is written.

        Raises:
            PlanOutdated: another writer has moved one of the positions since the plan, or moves one at the same time.
        """
        ...

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """Return the committed end position of each app id that has one."""
        ...

    def version(self, table: str) -> int | None:
        """Return the newest table version; None if the table does not exist yet."""
        ...

    def read(
        self, table: str, columns: Sequence[str] | None = None, version: int | None = None
    ) -> list[dict[str, object]]:
        """Return all rows of a table version (the newest by default); empty if the table does not exist.

        Columns that an earlier release did not write are null. Columns that only a later release knows are left out.
        """
        ...


class Index(Protocol):
    """The search index of turns. It is derived data and can be rebuilt from the lake at any time."""

    def ensure(self) -> None:
        """Create the index with its strict mapping, or add the fields that an existing index lacks."""
        ...

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``; return how many. Idempotent."""
        ...

    def remove(self, turn_ids: Sequence[str]) -> None:
        """Remove documents; ignore ids that are not in the index."""
        ...

    def find(self, turn_id: str) -> Row | None:
        """Return a turn's document as JSON values (times as text, without nulls); None if there is none."""
        ...

    def count(self, bot: str | None = None) -> int:
        """Refresh the index and count its documents, of one bot or of all."""
        ...

    def clear(self) -> None:
        """Delete every document, before a rebuild."""
        ...
