"""Delta tables in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Tables`."""

from collections.abc import Callable, Mapping, Sequence

from kogpt2_chat.domain.lake.layout import TABLE_BY_NAME
from kogpt2_chat.errors import PlanOutdated
from kogpt2_chat.ports import Row


class InMemoryTables:
    """Rows and positions of each table; all table versions are kept.

    Attributes:
        before_commit: called between an append's check and its commit, so that a test can run a concurrent writer.
    """

    def __init__(self) -> None:
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


def _has_passed(committed: Mapping[str, int], positions: Mapping[str, int]) -> bool:
    return all(committed.get(app_id, -1) >= end for app_id, end in positions.items())
