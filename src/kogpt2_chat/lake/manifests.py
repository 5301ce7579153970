"""The manifests of a bot's datasets, and what changed from one dataset to the next.

A dataset's name is the hash of its content. Content that comes back (a lesson was learned and taken back) is the
dataset that it was before; when it was built last, and after which one, stands beside its manifest.
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
    """How far a dataset has moved on.

    Attributes:
        new: pairs that came.
        withdrawn: pairs that may no longer be learned.
    """

    new: int
    withdrawn: int


def read_manifest(files: Files, root: str, bot: str, version: str) -> Manifest:
    """The manifest of a dataset as it was built last.

    Args:
        files: the lake's file system.
        root: the lake's root folder.
        bot: whose dataset.
        version: of the dataset.

    Returns:
        The manifest.

    Raises:
        NotFound: there is no such dataset.
    """
    folder = dataset_path(root, bot, version)
    try:
        return Manifest.from_json(files.read(f"{folder}/{_REBUILT}"))
    except NotFound:
        return Manifest.from_json(files.read(f"{folder}/{MANIFEST}"))


def note_rebuilt(files: Files, root: str, manifest: Manifest) -> None:
    """Keep when content that was there before has come back, and what that changed."""
    files.write(f"{dataset_path(root, manifest.bot, manifest.version)}/{_REBUILT}", manifest.to_json().encode())


def newest_manifest(files: Files, root: str, bot: str) -> Manifest | None:
    """The manifest of the dataset that was built last for a bot; None when it has none."""
    manifests = []
    for version in files.list(datasets_path(root, bot)):
        try:
            manifests.append(read_manifest(files, root, bot, version))
        except (NotFound, ValueError, TypeError, AttributeError):  # a folder that somebody else put there
            continue
    return max(manifests, key=lambda manifest: manifest.created_at, default=None)


def count_changes(*, bot: str, dataset: str, known: Collection[str], files: Files, root: str) -> Changes:
    """What a dataset and its predecessors changed, back to the newest one that is known.

    Args:
        bot: the bot.
        dataset: the dataset to start from.
        known: versions of datasets to stop at: those that became a model version, or the champion's alone.
        files: where the manifests lie.
        root: the lake's root folder.

    Returns:
        The sums; a predecessor that is gone, or was passed already, ends the walk.

    Raises:
        NotFound: the dataset itself is not there.
    """
    new, withdrawn, version = 0, 0, dataset
    passed: set[str] = set()
    while version and version not in known and version not in passed:
        passed.add(version)
        try:
            manifest = read_manifest(files, root, bot, version)
        except NotFound:
            if version == dataset:
                raise
            break
        new, withdrawn = new + manifest.new_pairs, withdrawn + manifest.withdrawn_pairs
        version = manifest.previous or ""
    return Changes(new=new, withdrawn=withdrawn)
