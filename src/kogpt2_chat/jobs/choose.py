"""Decide which bots have learned enough that is new to be trained again, or have something to unlearn.

New pairs are counted from the dataset of the newest registered version, not from the last dataset built: a run that
failed after its dataset was published, and examples that come in drops, would be forgotten otherwise. What was
withdrawn is counted from the champion's: a version that the gate refused has unlearned nothing that players hear.
"""

from collections.abc import Mapping, Sequence

from kogpt2_chat.lake.manifests import Changes, count_changes
from kogpt2_chat.ports import Files, ModelVersion, Registry
from kogpt2_chat.settings import Settings


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
        the champion would go on saying it. What a version after the champion has learned is not learned again.
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
        is_waiting = any(version.tags.get("dataset") == dataset for version in _after_champion(versions))
        train, verdict = _verdict(found, force=force, least=least, is_waiting=is_waiting)
        reason = f"{found.new} new pairs since the last training, {found.withdrawn} withdrawn ({verdict})"
        choices[bot] = {
            "train": train,
            "dataset": dataset,
            "new_pairs": found.new,
            "withdrawn_pairs": found.withdrawn,
            "reason": reason,
        }
    return choices


def _after_champion(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    champion = max((version.version for version in versions if "champion" in version.aliases), default=0)
    return [version for version in versions if version.version > champion]


def _verdict(found: Changes, *, force: bool, least: int, is_waiting: bool) -> tuple[bool, str]:
    if force:
        return True, "forced"
    if is_waiting and found.withdrawn:
        return False, (
            "the champion still says them, but a version that was trained without them is there: see its tags `gate` "
            "and `gate_reasons` in MLflow"
        )
    if found.withdrawn:
        return True, "what was withdrawn must not be said any longer"
    if found.new >= least:
        return True, "enough"
    return False, f"too few, KOGPT2_LEARNING__MIN_NEW_EXAMPLES is {least}"
