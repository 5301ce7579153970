"""Decide which bots have learned enough that is new to be trained again.

Counted from the dataset of the newest registered version, not from the last dataset built: a run that failed
after its dataset was published, and examples that come in drops, would be forgotten otherwise.
"""

from collections.abc import Mapping
from typing import Final

from kogpt2_chat.domain.dataset import Manifest
from kogpt2_chat.domain.lake_layout import dataset_path
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Files, Registry
from kogpt2_chat.settings import Settings

MAX_STEPS: Final = 1000
"""Datasets looked at on the way back; a bound, should a manifest ever name itself."""


def choose(
    *, datasets: Mapping[str, str], force: bool, files: Files, registry: Registry, settings: Settings
) -> dict[str, dict[str, object]]:
    """Say for each bot whether to train it, and why.

    Args:
        datasets: version of the dataset just built, by bot.
        force: train although there is little that is new.
        files: where the manifests lie.
        registry: where the versions trained so far are.
        settings: how much is enough.

    Returns:
        ``train``, ``dataset``, ``new_pairs`` and ``reason`` by bot.
    """
    least = settings.learning.min_new_examples
    choices: dict[str, dict[str, object]] = {}
    for bot, dataset in datasets.items():
        trained = {version.tags.get("dataset", "") for version in registry.versions(bot)}
        fresh = count_new_pairs(bot=bot, dataset=dataset, trained=trained, files=files, root=settings.hdfs.root)
        train = force or fresh >= least
        verdict = "forced" if force else "enough" if train else f"too few, KOGPT2_LEARNING__MIN_NEW_EXAMPLES is {least}"
        reason = f"{fresh} new pairs since the last training ({verdict})"
        choices[bot] = {"train": train, "dataset": dataset, "new_pairs": fresh, "reason": reason}
    return choices


def count_new_pairs(*, bot: str, dataset: str, trained: set[str], files: Files, root: str) -> int:
    """New pairs of a dataset and of its predecessors, back to the newest one that was trained on.

    Args:
        bot: the bot.
        dataset: the dataset to start from.
        trained: versions of the datasets that became a model version.
        files: where the manifests lie.
        root: the lake's root folder.

    Returns:
        The sum; a predecessor that is gone ends the walk.
    """
    fresh, step, version = 0, 0, dataset
    while version and version not in trained and step < MAX_STEPS:
        try:
            manifest = Manifest.from_json(files.read(f"{dataset_path(root, bot, version)}/manifest.json"))
        except NotFound:
            if version == dataset:
                raise
            break
        fresh += manifest.new_pairs
        version = manifest.previous or ""
        step += 1
    return fresh
