"""Which versions learned a row: those trained on a dataset that contains it, and those trained further from one."""

from collections.abc import Collection, Sequence
from pathlib import Path

from kogpt2_chat.corpora.dataset_rows import rows_of_turn
from kogpt2_chat.domain.learning.row_lineage import Learner
from kogpt2_chat.ports import ModelVersion


def learners(versions: Sequence[ModelVersion], datasets: Collection[str]) -> list[Learner]:
    """Return the versions that learned a row.

    Args:
        versions: all versions of a bot, oldest first.
        datasets: the datasets that contain the row in the split ``train``.

    Returns:
        Those trained on one of the datasets, and those whose training started from such a version.
    """
    found: dict[int, Learner] = {}
    for version in versions:
        dataset, parent = version.tags.get("dataset", ""), version.tags.get("parent", "")
        inherits = parent.isdecimal() and int(parent) in found
        if dataset in datasets or inherits:
            found[version.version] = Learner(
                bot=version.bot,
                version=version.version,
                aliases=version.aliases,
                dataset=dataset,
                how="dataset" if dataset in datasets else "parent",
                gate=version.tags.get("gate", ""),
            )
    return list(found.values())


def trained_on(folder: Path, turn_id: str) -> bool:
    """Check whether the split ``train`` of a dataset has a row that was made from a turn."""
    return any(row.split == "train" for row in rows_of_turn(folder, turn_id))
