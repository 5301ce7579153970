"""HDFS, the Delta tables on it, and the search index that is derived from them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

Row = Mapping[str, object]


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
    """Delta tables of the lake, by short name: ``turns``, ``feedback`` and those beside them."""

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """Add rows and move positions (app id -> end position) in one commit.

        ``expected`` names the positions that the work was planned from (an app id without one is left out); with
        it, work planned from positions that have moved since is refused, and positions may also be set back.

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
        """All rows of a version (newest by default); empty when the table does not exist.

        Columns that the version lacks are null: it is of an earlier release. Those of a later one are left out.
        """
        ...


class Index(Protocol):
    """The search index of turns; derived, and rebuilt from the lake at any time."""

    def ensure(self) -> None:
        """Create the index with its strict mapping if it is missing; add the fields that an earlier release lacked."""
        ...

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``; give how many. Doing it again changes nothing."""
        ...

    def remove(self, turn_ids: Sequence[str]) -> None:
        """Take documents out; those that are not there are passed over."""
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
