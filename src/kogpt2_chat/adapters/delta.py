"""Delta tables on HDFS through ``deltalake``: no JVM, an append in about a second.

Positions of a topic are Delta application transactions: they move in the same commit as the rows, and two
commits that move the same one conflict.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from kogpt2_chat.domain.lake_layout import TABLE_BY_NAME, Table, table_path
from kogpt2_chat.errors import Conflict, InvalidInput, Unavailable
from kogpt2_chat.ports import Row
from kogpt2_chat.settings import Settings

_ARROW_BY_KIND: Final[Mapping[str, Any]] = {
    "string": pa.string(),
    "long": pa.int64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "longs": pa.list_(pa.int64()),
}
# Two writers that touch different positions may both commit; the later one tries again on the newer version.
_COMMIT_RETRIES: Final = 10


class DeltaTables:
    """The lake's tables by short name."""

    def __init__(self, settings: Settings) -> None:
        self._uri = settings.hdfs_uri
        self._root = settings.hdfs.root
        # The native HDFS client reads its user from the environment, as Hadoop's own clients do.
        os.environ.setdefault("HADOOP_USER_NAME", settings.hdfs.user)

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """Add rows and move positions in one commit; the first append makes the table.

        Args:
            table: short name.
            rows: values by column; a column left out is null.
            positions: end position by app id.
            expected: positions the work was planned from.

        Returns:
            False when every position had already been reached.

        Raises:
            Conflict: a position moved since the plan, or during the commit.
            Unavailable: HDFS did not answer.
        """
        layout = _layout(table)
        delta = self._open(layout) or self._create(layout)
        committed = _positions(delta, list(positions))
        if positions and all(committed.get(app_id, -1) >= end for app_id, end in positions.items()):
            return False
        if expected is not None and committed != dict(expected):
            raise Conflict(f"table {table}: planned from {dict(expected)}, the table stands at {committed}: plan again")
        properties = CommitProperties(
            app_transactions=[Transaction(app_id, end) for app_id, end in positions.items()],
            max_commit_retries=_COMMIT_RETRIES,
        )
        try:
            write_deltalake(
                delta,
                _arrow(rows, layout),
                mode="append",
                partition_by=list(layout.partition_by),
                commit_properties=properties,
            )
        except CommitFailedError as error:
            raise Conflict(
                f"table {table}: another writer moved {sorted(positions)} at the same time: plan again ({error})"
            ) from error
        except (DeltaError, OSError) as error:
            raise Unavailable(self._silence(table, error)) from error
        return True

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """Committed end position of each app id that has one."""
        delta = self._open(_layout(table))
        return {} if delta is None else _positions(delta, app_ids)

    def version(self, table: str) -> int | None:
        """The table's newest version; None when the table does not exist yet."""
        delta = self._open(_layout(table))
        return None if delta is None else delta.version()

    def read(
        self, table: str, columns: Sequence[str] | None = None, version: int | None = None
    ) -> list[dict[str, object]]:
        """All rows of a version; empty when the table does not exist."""
        layout = _layout(table)
        delta = self._open(layout, version)
        if delta is None:
            return []
        columns_sql = ", ".join(f'"{name}"' for name in columns or layout.columns)
        try:
            # Not to_pyarrow_table(): Arrow's IO threads then call back into Python to close files, and one that
            # does so while the interpreter exits aborts the process (seen in 16 of 60 runs; this way in none).
            query = QueryBuilder().register(table, delta).execute(f"select {columns_sql} from {table}")  # noqa: S608
            found: list[dict[str, object]] = pa.table(query.read_all()).to_pylist()
        except (DeltaError, OSError) as error:
            raise Unavailable(self._silence(table, error)) from error
        return found

    def _open(self, layout: Table, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self._address(layout.name), version=version)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise Unavailable(self._silence(layout.name, error)) from error

    def _create(self, layout: Table) -> DeltaTable:
        """An empty table, so that every append is a commit onto an existing one; made by whoever comes first."""
        try:
            return DeltaTable.create(
                self._address(layout.name),
                schema=_schema(layout),
                mode="ignore",
                partition_by=list(layout.partition_by),
            )
        except (DeltaError, OSError) as error:
            made = self._open(layout)
            if made is None:
                raise Unavailable(self._silence(layout.name, error)) from error
            return made

    def _address(self, table: str) -> str:
        return self._uri + table_path(self._root, table)

    def _silence(self, table: str, error: Exception) -> str:
        return f"table {table} at {self._address(table)} did not answer: {error}; is HDFS running?"


def _layout(table: str) -> Table:
    if table not in TABLE_BY_NAME:
        raise InvalidInput(f"no table {table!r} in the lake; its tables are {', '.join(TABLE_BY_NAME)}")
    return TABLE_BY_NAME[table]


def _schema(layout: Table) -> Any:
    return pa.schema(
        [
            pa.field(name, _ARROW_BY_KIND[kind], nullable=name not in layout.partition_by)
            for name, kind in layout.columns.items()
        ]
    )


def _arrow(rows: Sequence[Row], layout: Table) -> Any:
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in layout.columns} for row in rows], schema=_schema(layout)
    )


def _positions(delta: DeltaTable, app_ids: Sequence[str]) -> dict[str, int]:
    found = {app_id: delta.transaction_version(app_id) for app_id in app_ids}
    return {app_id: position for app_id, position in found.items() if position is not None}
