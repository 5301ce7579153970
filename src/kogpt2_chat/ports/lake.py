"""The ports of the lake: files on HDFS, and the Delta tables stored there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Row = Mapping[str, object]
Partition = tuple[str, ...]
"""The values of a table's partition columns, in the order of the table's ``partition_by``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChanges:
    """Where a table has changed since a mark.

    Attributes:
        mark: stands for the present rows of the table; empty if it does not exist. Store it for the next call.
        table_version: the table version of ``mark``; None if the table does not exist.
        partitions: the partitions that gained or lost rows; None if it is not known, and all may have changed.
    """

    mark: str
    table_version: int | None
    partitions: frozenset[Partition] | None


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

    def of_turns(self, table: str, turn_ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, object]]:
        """Return the rows about some turns, from the newest table version. The table must have the column ``turn_id``.

        Only the matching rows are kept in memory. Missing columns and a missing table are treated as in ``read``.
        """
        ...

    def batches(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        table_version: int | None = None,
        partitions: Collection[Partition] | None = None,
        size: int = 1000,
    ) -> Iterator[list[dict[str, object]]]:
        """Yield the rows that :meth:`read` returns, in batches, so that memory does not grow with the table.

        The partitions are sorted. The rows of a partition have no defined order, and no batch has rows of two
        partitions.

        Args:
            table: the table.
            columns: names of columns; all by default.
            table_version: the newest by default.
            partitions: the partitions to read; all by default. Ones without rows are ignored. No others are read.
            size: maximum number of rows in a batch.

        Raises:
            Unavailable: HDFS did not answer. In the middle of a partition, this is not retried.
        """
        ...

    def partitions(self, table: str, table_version: int | None = None) -> list[Partition]:
        """Return the partitions that have rows, sorted; empty if the table does not exist."""
        ...

    def changes(self, table: str, since: str) -> TableChanges:
        """Return the present mark of a table, and which partitions gained or lost rows since an earlier mark.

        The cost depends on the number of commits since then. Files that were only compacted do not count as changes.

        Args:
            table: the table.
            since: a mark of an earlier call. If it is empty or of another table, or the table no longer has the
                commits since then, the changed partitions are not known.
        """
        ...
