"""The commits of a Delta table, read from its log: the library has no call that lists what a commit changed."""

import json
from collections.abc import Iterator
from typing import Any, Final

from deltalake.fs import DeltaStorageHandler

from kogpt2_chat.domain.lake.layout import Table
from kogpt2_chat.ports import Partition

_CHANGES: Final = ("add", "remove")


def changed_partitions(address: str, after: int, up_to: int, layout: Table) -> frozenset[Partition] | None:
    """Return the partitions whose rows were changed by some commits.

    Args:
        address: address of the table's folder.
        after: the table version before the first commit.
        up_to: the table version of the last commit.
        layout: the table.

    Returns:
        Partitions, or None if the log no longer has one of the commits, or does not say which partitions it changed.

    Raises:
        OSError: the log could not be read.
    """
    log = DeltaStorageHandler(address)
    changed: set[Partition] = set()
    for version in range(after + 1, up_to + 1):
        try:
            content = log.open_input_file(f"_delta_log/{version:020d}.json").read()
        except FileNotFoundError:
            return None
        for action in _changes(bytes(content)):
            values = action.get("partitionValues")
            if values is None:
                return None
            changed.add(tuple(values[name] for name in layout.partition_by))
    return frozenset(changed)


def _changes(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield a commit's files that were added or removed with a change of rows, so not those of a compaction."""
    for line in content.splitlines():
        for kind, action in json.loads(line).items():
            if kind in _CHANGES and action["dataChange"]:
                yield action
