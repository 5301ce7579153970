"""Delta tables on HDFS through the library ``deltalake``, which needs no JVM; an append takes about a second.

Topic positions are stored as Delta application transactions: they move in the same commit as the rows, and two
concurrent commits that move the same position conflict.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    DeltaProtocolError,
    SchemaMismatchError,
    TableNotFoundError,
)
from deltalake.schema import ArrayType, PrimitiveType

from kogpt2_chat.adapters.delta_log import changed_partitions
from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.domain.lake.layout import TABLE_BY_NAME, ColumnKind, Table, table_path
from kogpt2_chat.errors import InvalidInput, PlanOutdated, Unavailable
from kogpt2_chat.ports import Partition, Row, TableChanges
from kogpt2_chat.settings import Settings

T = TypeVar("T")
# Two writers that move different positions may both commit; the later one retries on the newer table version.
_COMMIT_RETRIES: Final = 10
# The NameNode needs up to 20 s to notice that a DataNode died; until then it still directs writes to that one.
_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 10.0
_ROWS_AT_ONCE: Final = 500
_FINAL_ERRORS: Final = (SchemaMismatchError, DeltaProtocolError)


class DeltaTables:
    """The lake's Delta tables, by short name."""

    def __init__(self, settings: Settings) -> None:
        self._uri = settings.hdfs_uri
        self._root = settings.hdfs.root
        self._retries = settings.hdfs.retries
        # The native HDFS client reads its user from the environment, like Hadoop's own clients.
        os.environ.setdefault("HADOOP_USER_NAME", settings.hdfs.user)

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """See :meth:`kogpt2_chat.ports.Tables.append`; the first append creates the table.

        Raises:
            InvalidInput: the table's column types differ from this release's, or a value does not fit its column.
            Unavailable: HDFS did not answer after all retries.
        """
        layout = _layout(table)
        content = arrow_rows(rows, layout)
        # Each attempt reads the positions first: a commit that succeeded, but whose reply was lost, is not repeated.
        return self._retry(lambda: self._append_once(layout, content, positions, expected), table)

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """See :meth:`kogpt2_chat.ports.Tables.positions`."""
        delta = self._open(_layout(table))
        return {} if delta is None else _positions(delta, app_ids)

    def table_version(self, table: str) -> int | None:
        """See :meth:`kogpt2_chat.ports.Tables.table_version`."""
        delta = self._open(_layout(table))
        return None if delta is None else delta.version()

    def read(
        self, table: str, columns: Sequence[str] | None = None, table_version: int | None = None
    ) -> list[dict[str, object]]:
        """See :meth:`kogpt2_chat.ports.Tables.read`."""
        layout = _layout(table)
        names = tuple(columns or layout.columns)
        return self._retry(lambda: self._read_once(layout, names, table_version), table)

    def batches(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        table_version: int | None = None,
        partitions: Collection[Partition] | None = None,
        size: int = 1000,
    ) -> Iterator[list[dict[str, object]]]:
        """See :meth:`kogpt2_chat.ports.Tables.batches`."""
        layout = _layout(table)
        names = tuple(columns or layout.columns)
        delta = self._retry(lambda: self._open_once(layout, table_version), table)
        if delta is None:
            return
        known = columns_in(delta, layout)
        wanted = [name for name in names if name in known] or list(layout.partition_by[:1])
        for partition in _partitions(delta, layout):
            if partitions is None or partition in partitions:
                # A scan of the whole table would keep the metadata of every file until its end.
                rows = self._scan(delta, layout, wanted, partition)
                while batch := [{name: row.get(name) for name in names} for row in islice(rows, size)]:
                    yield batch

    def partitions(self, table: str, table_version: int | None = None) -> list[Partition]:
        """See :meth:`kogpt2_chat.ports.Tables.partitions`."""
        layout = _layout(table)
        delta = self._retry(lambda: self._open_once(layout, table_version), table)
        return [] if delta is None else _partitions(delta, layout)

    def changes(self, table: str, since: str) -> TableChanges:
        """See :meth:`kogpt2_chat.ports.Tables.changes`."""
        layout = _layout(table)
        return self._retry(lambda: self._changes_once(layout, since), table)

    def _changes_once(self, layout: Table, since: str) -> TableChanges:
        delta = self._open_once(layout)
        if delta is None:
            return TableChanges(mark="", table_version=None, partitions=None)
        # A table that was moved away and created again has another id.
        table_id, table_version = str(delta.metadata().id), delta.version()
        known_id, _, version = since.rpartition(":")
        partitions = None
        if known_id == table_id and int(version) <= table_version:
            partitions = changed_partitions(self._address(layout.name), int(version), table_version, layout)
        return TableChanges(mark=f"{table_id}:{table_version}", table_version=table_version, partitions=partitions)

    def _scan(
        self, delta: DeltaTable, layout: Table, columns: Sequence[str], partition: Partition
    ) -> Iterator[dict[str, object]]:
        """Yield the rows of a partition. Only the steps up to the first of them are retried."""
        values = ((name, value.replace("'", "''")) for name, value in zip(layout.partition_by, partition, strict=True))
        predicate = " and ".join(f"\"{name}\" = '{value}'" for name, value in values)

        def start() -> tuple[Iterator[Any], Any]:
            batches = _arrow_batches(delta.scan(columns=list(columns), predicate=predicate))
            return batches, next(batches, None)

        batches, batch = self._retry(start, layout.name)
        while batch is not None:
            for first in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield from batch.slice(first, _ROWS_AT_ONCE).to_pylist()
            try:
                batch = next(batches, None)
            except (DeltaError, OSError) as error:
                raise Unavailable(
                    f"table {layout.name} at {self._address(layout.name)}: the rows of {'/'.join(partition)} ended in "
                    f"the middle: {error}; run the command again"
                ) from error

    def of_turns(self, table: str, turn_ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, object]]:
        """See :meth:`kogpt2_chat.ports.Tables.of_turns`."""
        if not turn_ids:
            return []
        layout = _layout(table)
        listed = ", ".join("'" + turn_id.replace("'", "''") + "'" for turn_id in turn_ids)
        return self._retry(lambda: self._read_once(layout, columns, None, f' where "turn_id" in ({listed})'), table)

    def _append_once(
        self, layout: Table, content: Any, positions: Mapping[str, int], expected: Mapping[str, int] | None
    ) -> bool:
        table = layout.name
        delta = self._open_once(layout) or self._create_once(layout)
        committed = _positions(delta, list(positions))
        done = committed == dict(positions) if expected is not None else _has_passed(committed, positions)
        if positions and done:
            return False
        if expected is not None and committed != dict(expected):
            raise PlanOutdated(
                f"table {table}: planned from the positions {dict(expected)}, but they are now {committed}: plan again"
            )
        properties = CommitProperties(
            app_transactions=[Transaction(app_id, end) for app_id, end in positions.items()],
            max_commit_retries=_COMMIT_RETRIES,
        )
        try:
            write_deltalake(
                delta,
                content,
                mode="append",
                # "merge" writes null to columns of a later release and adds columns that the table lacks.
                schema_mode=None if columns_in(delta, layout) == set(layout.columns) else "merge",
                partition_by=list(layout.partition_by),
                commit_properties=properties,
            )
        except CommitFailedError as error:
            raise PlanOutdated(
                f"table {table}: another writer moved {sorted(positions)} at the same time: plan again ({error})"
            ) from error
        return True

    def _read_once(
        self, layout: Table, names: Sequence[str], table_version: int | None, where: str = ""
    ) -> list[dict[str, object]]:
        delta = self._open_once(layout, table_version)
        if delta is None:
            return []
        # Not to_pyarrow_table(): its Arrow IO threads call back into Python to close files, and a callback during
        # interpreter exit aborts the process (seen in 16 of 60 runs; in none with a query).
        known = columns_in(delta, layout)
        columns = ", ".join(f'"{name}"' if name in known else f'null as "{name}"' for name in names)
        query = QueryBuilder().register(layout.name, delta).execute(f"select {columns} from {layout.name}{where}")  # noqa: S608
        return [row for batch in _arrow_batches(query) for row in batch.to_pylist()]

    def _open(self, layout: Table) -> DeltaTable | None:
        return self._retry(lambda: self._open_once(layout), layout.name)

    def _open_once(self, layout: Table, table_version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self._address(layout.name), version=table_version)
        except TableNotFoundError:
            return None

    def _create_once(self, layout: Table) -> DeltaTable:
        """Create an empty table, or open it if another process created it: every append starts from a table version."""
        try:
            return DeltaTable.create(
                self._address(layout.name),
                schema=schema_of(layout),
                mode="ignore",
                partition_by=list(layout.partition_by),
            )
        except DeltaError:
            created = self._open_once(layout)
            if created is None:
                raise
            return created

    def _retry(self, call: Callable[[], T], table: str) -> T:
        """Call until a call succeeds or the retries run out, with growing pauses."""
        try:
            return call_with_retries(
                call,
                is_transient=_is_transient,
                attempts=self._retries + 1,
                first_delay_s=_FIRST_DELAY_S,
                longest_delay_s=_LONGEST_DELAY_S,
            )
        except _FINAL_ERRORS as error:
            raise InvalidInput(
                f"table {table} at {self._address(table)} has a schema or protocol that this release cannot use: "
                f"{error}. Another release or program wrote it: use that one, or move the table's folder elsewhere"
            ) from error
        except (DeltaError, OSError) as error:
            raise Unavailable(
                f"table {table} at {self._address(table)} failed in {self._retries + 1} attempts: {error}; "
                "check with `kogpt2-chat status` that HDFS is running and has free disk space"
            ) from error

    def _address(self, table: str) -> str:
        return self._uri + table_path(self._root, table)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, DeltaError | OSError) and not isinstance(error, _FINAL_ERRORS)


def _layout(table: str) -> Table:
    if table not in TABLE_BY_NAME:
        raise InvalidInput(f"the lake has no table {table!r}; its tables are {', '.join(TABLE_BY_NAME)}")
    return TABLE_BY_NAME[table]


def _arrow_batches(reader: Any) -> Iterator[Any]:
    """Convert the record batches of a query.

    Yields:
        Batches, some of them empty.

    Raises:
        OSError: a file could not be read. The library raises a plain Exception.
    """
    try:
        for batch in reader:
            yield pa.record_batch(batch)
    except Exception as error:
        if type(error) is Exception:
            raise OSError(str(error)) from error
        raise


def _partitions(delta: DeltaTable, layout: Table) -> list[Partition]:
    """Return the partitions that have files."""
    return sorted({tuple(found[name] for name in layout.partition_by) for found in delta.partitions()})


def _positions(delta: DeltaTable, app_ids: Sequence[str]) -> dict[str, int]:
    found = {app_id: delta.transaction_version(app_id) for app_id in app_ids}
    return {app_id: position for app_id, position in found.items() if position is not None}


def _has_passed(committed: Mapping[str, int], positions: Mapping[str, int]) -> bool:
    return all(committed.get(app_id, -1) >= end for app_id, end in positions.items())


_ARROW_BY_KIND: Final[Mapping[ColumnKind, Any]] = {
    "string": pa.string(),
    "long": pa.int64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "longs": pa.list_(pa.int64()),
}
_DELTA_BY_KIND: Final[Mapping[ColumnKind, Any]] = {
    "string": PrimitiveType("string"),
    "long": PrimitiveType("long"),
    "bool": PrimitiveType("boolean"),
    "time": PrimitiveType("timestamp"),
    "longs": ArrayType(PrimitiveType("long"), contains_null=True),
}


def schema_of(layout: Table) -> Any:
    """Return the Arrow schema with which this release creates a table."""
    return pa.schema(
        [
            pa.field(name, _ARROW_BY_KIND[kind], nullable=name not in layout.partition_by)
            for name, kind in layout.columns.items()
        ]
    )


def arrow_rows(rows: Sequence[Row], layout: Table) -> Any:
    """Convert rows to an Arrow table.

    Args:
        rows: values by column; a missing column is null.
        layout: the table.

    Returns:
        The Arrow table.

    Raises:
        InvalidInput: a value does not fit its column's type.
    """
    try:
        return pa.Table.from_pylist(
            [{name: row.get(name) for name in layout.columns} for row in rows], schema=schema_of(layout)
        )
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"table {layout.name}: a row does not fit its columns: {error}") from error


def columns_in(delta: DeltaTable, layout: Table) -> frozenset[str]:
    """Return the names of a table's columns, and check that this release can use them.

    Args:
        delta: a table version.
        layout: the table's columns in this release.

    Returns:
        The names of all columns, including those that this release does not know.

    Raises:
        InvalidInput: a column has a different type in this release, or an unknown column is not nullable.
    """
    found = {field.name: field for field in delta.schema().fields}
    faults = [
        f"`{name}` is {found[name].type}, expected {_DELTA_BY_KIND[kind]}"
        for name, kind in layout.columns.items()
        if name in found and found[name].type != _DELTA_BY_KIND[kind]
    ]
    faults += [
        f"`{name}` is unknown and not nullable"
        for name, field in found.items()
        if name not in layout.columns and not field.nullable
    ]
    if faults:
        raise InvalidInput(
            f"table {layout.name} has columns that this release cannot use: {'; '.join(faults)}. Another release or "
            "program wrote it: use that one, or move the table's folder elsewhere"
        )
    return frozenset(found)
