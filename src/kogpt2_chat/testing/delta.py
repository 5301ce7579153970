"""Delta tables in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Tables`."""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from kogpt2_chat.domain.lake.layout import TABLE_BY_NAME
from kogpt2_chat.errors import PlanOutdated
from kogpt2_chat.ports import Partition, Row, TableChanges


class InMemoryTables:
    """Rows and positions of each table; all table versions are kept.

    Attributes:
        before_commit: called between an append's check and its commit, so that a test can run a concurrent writer.
        partitions_read: the partitions that :meth:`batches` has read, in order.
    """

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        self.partitions_read: list[Partition] = []
        self._table_versions: dict[str, list[list[dict[str, object]]]] = {}
        self._positions: dict[str, dict[str, int]] = {}
        self.before_commit: Callable[[], None] = lambda: None

    def append(
        self,
        table: str,
        rows: Sequence[Row],
        positions: Mapping[str, int],
        expected: Mapping[str, int] | None = None,
    ) -> bool:
        """See :meth:`kogpt2_chat.ports.Tables.append`."""
        committed = self.positions(table, list(positions))
        done = committed == dict(positions) if expected is not None else _has_passed(committed, positions)
        if positions and done:
            return False
        if expected is not None and committed != dict(expected):
            raise PlanOutdated(
                f"table {table}: planned from {dict(expected)}, but positions are {committed}: plan again"
            )
        self.before_commit()
        if self.positions(table, list(positions)) != committed:
            raise PlanOutdated(f"table {table}: another writer moved {sorted(positions)} at the same time: plan again")
        columns = TABLE_BY_NAME[table].columns
        added = [{name: row.get(name) for name in columns} for row in rows]
        versions = self._table_versions.setdefault(table, [])
        versions.append([*(versions[-1] if versions else []), *added])
        self._positions.setdefault(table, {}).update(positions)
        return True

    def positions(self, table: str, app_ids: Sequence[str]) -> dict[str, int]:
        """See :meth:`kogpt2_chat.ports.Tables.positions`."""
        known = self._positions.get(table, {})
        return {app_id: known[app_id] for app_id in app_ids if app_id in known}

    def table_version(self, table: str) -> int | None:
        """See :meth:`kogpt2_chat.ports.Tables.table_version`."""
        versions = self._table_versions.get(table)
        return len(versions) - 1 if versions else None

    def read(
        self, table: str, columns: Sequence[str] | None = None, table_version: int | None = None
    ) -> list[dict[str, object]]:
        """See :meth:`kogpt2_chat.ports.Tables.read`."""
        versions = self._table_versions.get(table)
        if not versions:
            return []
        rows = versions[-1 if table_version is None else table_version]
        return [{name: row[name] for name in (columns or row)} for row in rows]

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
        for partition in self.partitions(table, table_version):
            if partitions is None or partition in partitions:
                self.partitions_read.append(partition)
                rows = [row for row in self.read(table, None, table_version) if _partition(table, row) == partition]
                for start in range(0, len(rows), size):
                    yield [{name: row[name] for name in (columns or row)} for row in rows[start : start + size]]

    def partitions(self, table: str, table_version: int | None = None) -> list[Partition]:
        """See :meth:`kogpt2_chat.ports.Tables.partitions`."""
        return sorted({_partition(table, row) for row in self.read(table, None, table_version)})

    def changes(self, table: str, since: str) -> TableChanges:
        """See :meth:`kogpt2_chat.ports.Tables.changes`."""
        newest = self.table_version(table)
        if newest is None:
            return TableChanges(mark="", table_version=None, partitions=None)
        known_id, _, version = since.rpartition(":")
        partitions = None
        if known_id == self._id and int(version) <= newest:
            before = len(self._table_versions[table][int(version)])
            partitions = frozenset(_partition(table, row) for row in self.read(table)[before:])
        return TableChanges(mark=f"{self._id}:{newest}", table_version=newest, partitions=partitions)

    def of_turns(self, table: str, turn_ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, object]]:
        """See :meth:`kogpt2_chat.ports.Tables.of_turns`."""
        found = self.read(table, list({*columns, "turn_id"}))
        return [{name: row[name] for name in columns} for row in found if row["turn_id"] in turn_ids]


def _has_passed(committed: Mapping[str, int], positions: Mapping[str, int]) -> bool:
    return all(committed.get(app_id, -1) >= end for app_id, end in positions.items())


def _partition(table: str, row: Row) -> Partition:
    return tuple(str(row[name]) for name in TABLE_BY_NAME[table].partition_by)
