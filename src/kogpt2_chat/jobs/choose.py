"""Decide which bots have learned enough that is new to be trained again, or have something to unlearn.

New pairs are counted from the dataset of the newest registered version, not from the last dataset built: a run that
failed after its dataset was published, and examples that come in drops, would be forgotten otherwise. What was
withdrawn is counted from the champion's: a version that the gate refused has unlearned nothing that players hear.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
        ``train``, ``dataset``, ``new_pairs``, ``withdrawn_pairs`` and ``reason`` by bot. One withdrawn pair is enough:
        the champion would go on saying it. A dataset that a version has learned already is not learned again.
    """
    choices: dict[str, dict[str, object]] = {}
    for bot, dataset in datasets.items():
        versions = registry.versions(bot)
        trained = {version.tags.get("dataset", "") for version in versions}
        spoken = {version.tags.get("dataset", "") for version in versions if "champion" in version.aliases} - {""}
        new, withdrawn = (
            count_changes(bot=bot, dataset=dataset, known=known, files=files, root=settings.hdfs.root)
            for known in (trained, spoken or trained)
        )
        found = Changes(new=new.new, withdrawn=withdrawn.withdrawn)
        least = settings.learning.min_new_examples
        train, verdict = _verdict(found, force=force, least=least, is_learned=dataset in trained)
        reason = f"{found.new} new pairs since the last training, {found.withdrawn} withdrawn ({verdict})"
        choices[bot] = {
            "train": train,
            "dataset": dataset,
            "new_pairs": found.new,
            "withdrawn_pairs": found.withdrawn,
            "reason": reason,
        }
    return choices


def _verdict(found: "Changes", *, force: bool, least: int, is_learned: bool) -> tuple[bool, str]:
    if force:
        return True, "forced"
    if is_learned and found.withdrawn:
        return False, (
            "the champion still says them, but a version that was trained without them is there: see its tags `gate` "
            "and `gate_reasons` in MLflow"
        )
    if found.withdrawn:
        return True, "what was withdrawn must not be said any longer"
    if found.new >= least:
        return True, "enough"
    return False, f"too few, KOGPT2_LEARNING__MIN_NEW_EXAMPLES is {least}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How far a dataset has moved on.

    Attributes:
        new: pairs that came.
        withdrawn: pairs that may no longer be learned.
    """

    new: int
    withdrawn: int


def count_changes(*, bot: str, dataset: str, known: Collection[str], files: Files, root: str) -> Changes:
    """What a dataset and its predecessors changed, back to the newest one that is known.

    Args:
        bot: the bot.
        dataset: the dataset to start from.
        known: versions of datasets to stop at: those that became a model version, or the champion's alone.
        files: where the manifests lie.
        root: the lake's root folder.

    Returns:
        The sums; a predecessor that is gone ends the walk.
    """
    new, withdrawn, step, version = 0, 0, 0, dataset
    while version and version not in known and step < MAX_STEPS:
        try:
            manifest = Manifest.from_json(files.read(f"{dataset_path(root, bot, version)}/manifest.json"))
        except NotFound:
            if version == dataset:
                raise
            break
        new, withdrawn = new + manifest.new_pairs, withdrawn + manifest.withdrawn_pairs
        version = manifest.previous or ""
        step += 1
    return Changes(new=new, withdrawn=withdrawn)
