"""The ports of the lake: files on HDFS, the Delta tables stored there, and the search index derived from them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

Row = Mapping[str, object]


class Files(Protocol):
    """The lake's file system. Paths are absolute: they start with a slash.

    Every method raises ``Unavailable`` if the server does not answer after the adapter's retries.
    """

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
        """Rename a finished folder to its final, immutable name. Readers see all of it or none of it.

        Returns:
            False if the name is already taken; then the source is removed.

        Raises:
            NotFound: the source does not exist.
        """
        ...

    def download(self, path: str, folder: Path) -> Path:
        """Copy a file or a whole folder into a local folder, created if necessary; return the path of the copy.

        An older copy is replaced only by a complete one.

        Raises:
            NotFound: the path does not exist.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove a file or folder, if it exists."""
        ...


class Tables(Protocol):
    """The lake's Delta tables, by short name, e.g. ``turns`` or ``feedback``.

    A table only grows: each commit makes a new table version. A commit may also move *positions*, numbers that the
    table stores by *app id*, such as how far it has read a partition of a topic. Rows and positions become visible
    together.

    Every method raises ``Unavailable`` if HDFS does not answer after the adapter's retries, and ``InvalidInput`` if the
    lake has no such table or this release cannot use its schema.
    """

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """Add rows and move positions in one commit; the first append creates the table.

        Args:
            table: the table.
            rows: values by column; a missing column is null.
            positions: end position by app id.
            expected: the positions that the work was planned from; app ids without a position are left out. If given,
                the append fails if one of ``positions`` has moved since then, and positions may also be moved back.

        Returns:
            False if every position is already reached (with ``expected``: has exactly this value). Then another run
            has done this work, and nothing is written.

        Raises:
            PlanOutdated: another writer has moved one of the positions since the plan was made, or is moving one now.
            InvalidInput: a value does not fit its column.
        """
        ...

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """Return the committed end position of each app id that has one."""
        ...

    def table_version(self, table: str) -> int | None:
        """Return the newest table version; None if the table does not exist yet."""
        ...

    def read(
        self, table: str, columns: Sequence[str] | None = None, table_version: int | None = None
    ) -> list[dict[str, object]]:
        """Return all rows of a table version (the newest by default); empty if the table does not exist.

        Columns that an earlier release did not write are null. Columns that only a later release knows are left out.
        """
        ...


class Index(Protocol):
    """The search index of turns. It is derived data and can be rebuilt from the lake at any time.

    Every method may be repeated after an error, and raises ``Unavailable`` if the server does not answer.
    """

    def ensure(self) -> None:
        """Create the index with its strict mapping, or add the fields that an existing index lacks.

        Raises:
            InvalidInput: an existing index has another mapping.
        """
        ...

    def put(self, documents: Iterable[Row]) -> int:
        """Index documents by their ``turn_id``; return how many. A document replaces the one with its id.

        Raises:
            InvalidInput: a document does not fit the mapping.
            Unavailable: the server did not accept all of them.
        """
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
