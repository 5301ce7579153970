"""The manifests of a bot's datasets, and what changed from one dataset to the next.

A dataset id is the hash of the content. A build with the content of an older dataset (for example, after a pair was
added and withdrawn) has the id of that dataset. A second file next to the manifest then records this latest build.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.lake.layout import dataset_path, datasets_path
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Files

MANIFEST: Final = "manifest.json"
_REBUILT: Final = "rebuilt.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed between datasets.

    Attributes:
        new: the number of pairs that were added.
        withdrawn: the number of pairs that must not be trained on any more.
    """

    new: int
    withdrawn: int


def read_manifest(files: Files, root: str, bot: str, dataset_id: str) -> Manifest:
    """Read the manifest of a dataset's latest build.

    Args:
        files: the lake's file system.
        root: the lake's root folder.
        bot: the bot's id.
        dataset_id: the id of the dataset.

    Returns:
        The manifest.

    Raises:
        NotFound: the dataset does not exist.
    """
    folder = dataset_path(root, bot, dataset_id)
    try:
        return Manifest.from_json(files.read(f"{folder}/{_REBUILT}"))
    except NotFound:
        return Manifest.from_json(files.read(f"{folder}/{MANIFEST}"))


def record_rebuild(files: Files, root: str, manifest: Manifest) -> None:
    """Record a new build of an existing dataset: when it was made and what it changed."""
    files.write(f"{dataset_path(root, manifest.bot, manifest.dataset_id)}/{_REBUILT}", manifest.to_json().encode())


def newest_manifest(files: Files, root: str, bot: str) -> Manifest | None:
    """Return the manifest of a bot's latest dataset build; None if it has no dataset."""
    manifests = []
    for dataset_id in files.list(datasets_path(root, bot)):
        try:
            manifests.append(read_manifest(files, root, bot, dataset_id))
        except (NotFound, ValueError, TypeError, AttributeError):  # not a dataset folder of this project
            continue
    return max(manifests, key=lambda manifest: manifest.created_at, default=None)


def count_changes(*, bot: str, dataset: str, known: Collection[str], files: Files, root: str) -> Changes:
    """Sum the changes of a dataset and its predecessors, back to the first known one.

    Args:
        bot: the bot's id.
        dataset: the id of the dataset to start from.
        known: the dataset ids to stop at: those that became a model version, or only the champion's.
        files: the lake's file system.
        root: the lake's root folder.

    Returns:
        The sums. The walk also ends at a predecessor that does not exist or was already visited.

    Raises:
        NotFound: the dataset itself does not exist.
    """
    new, withdrawn, dataset_id = 0, 0, dataset
    visited: set[str] = set()
    while dataset_id and dataset_id not in known and dataset_id not in visited:
        visited.add(dataset_id)
        try:
            manifest = read_manifest(files, root, bot, dataset_id)
        except NotFound:
            if dataset_id == dataset:
                raise
            break
        new, withdrawn = new + manifest.new_pairs, withdrawn + manifest.withdrawn_pairs
        dataset_id = manifest.previous or ""
    return Changes(new=new, withdrawn=withdrawn)
