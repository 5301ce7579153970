"""Which of a table's rows with the same id is the newest. Ids repeat if a topic was deleted and created again."""

from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from kogpt2_chat.ports import Row

ORDER_COLUMNS: Final = ("ingested_at", "kafka_partition", "kafka_offset")
"""The columns that order rows with the same id from oldest to newest."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OFFSET_BITS: Final = 48


class NewestRows:
    """The newest row of each id, in 24 bytes a row.

    Ids are stored as hashes of 64 bits. Two of a million ids share a hash with a probability of 1 in 37 million; the
    older one's row then does not count.

    Args:
        rows: the id of each row of a table, with the row's ``ORDER_COLUMNS``.
    """

    def __init__(self, rows: Iterable[tuple[str, Row]]) -> None:
        numbers = array("q"), array("q"), array("q")
        for row_id, row in rows:
            for column, number in zip(numbers, (hash(row_id), *_order_of(row)), strict=True):
                column.append(number)
        columns = [np.frombuffer(column, dtype=np.int64) for column in numbers]
        del numbers
        order = np.lexsort(columns[::-1])
        hashes = columns[0][order]
        is_last = np.ones(len(order), dtype=bool)
        is_last[:-1] = hashes[1:] != hashes[:-1]
        order = order[is_last]
        # Each column is given up as soon as it is copied.
        self._positions, self._times, self._hashes = (columns.pop()[order] for _ in range(3))

    def __len__(self) -> int:
        """Return the number of distinct ids."""
        return len(self._hashes)

    def has(self, ids: Sequence[str]) -> list[bool]:
        """Return whether the table has rows of these ids."""
        found: list[bool] = self._find(ids)[1].tolist()
        return found

    def select(self, rows: Sequence[tuple[str, Row]]) -> list[tuple[str, Row]]:
        """Return those of some rows that are the newest of their ids.

        Args:
            rows: the id of each row, with the row.
        """
        places, known = self._find([row_id for row_id, _ in rows])
        return [
            entry
            for entry, place, is_known in zip(rows, places.tolist(), known.tolist(), strict=True)
            if is_known and _order_of(entry[1]) == (self._times[place], self._positions[place])
        ]

    def _find(self, ids: Sequence[str]) -> tuple[Any, Any]:
        """Return the place of each id, and whether it is known."""
        if not len(self._hashes):
            return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
        hashes = np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids))
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return places, self._hashes[places] == hashes


def _order_of(row: Row) -> tuple[int, int]:
    """Return a key that is greater for a newer row: its time in µs, and its partition and offset in one number."""
    ingested_at, partition, offset = (row.get(name) for name in ORDER_COLUMNS)
    time = (ingested_at - _EPOCH) // _MICROSECOND if isinstance(ingested_at, datetime) else -1
    partition, offset = (value if isinstance(value, int) else 0 for value in (partition, offset))
    return time, (partition << _OFFSET_BITS) + offset
