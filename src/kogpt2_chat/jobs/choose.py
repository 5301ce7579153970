"""Decide which bots to train again: those with enough new pairs, and those with withdrawn pairs.

New pairs are counted since the newest dataset that became a registered version, not since the last dataset built.
Otherwise two kinds of pairs would never count: those of a run that failed after publishing its dataset, and those that
arrive a few at a time. Withdrawn pairs are counted since the champion's dataset, because the champion answers players.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from kogpt2_chat.lake.manifests import Changes, count_changes
from kogpt2_chat.ports import Files, ModelVersion, Registry
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingChoice:
    """Whether to train one bot.

    Attributes:
        train: whether to train it.
        dataset: id of the dataset to train it on.
        new_pairs: pairs that no trained version has learned.
        withdrawn_pairs: pairs that the champion has learned and that may not be learned any more.
        reason: why, for a person.
    """

    train: bool
    dataset: str
    new_pairs: int
    withdrawn_pairs: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseResult:
    """Which bots to train.

    Attributes:
        choices: the choice for each bot.
    """

    choices: Mapping[str, TrainingChoice]

    def as_json(self) -> dict[str, object]:
        """Return the choices by bot, without a name above them, as plain JSON values."""
        return {bot: asdict(choice) for bot, choice in self.choices.items()}


def choose(
    *, datasets: Mapping[str, str], force: bool, files: Files, registry: Registry, settings: Settings
) -> ChooseResult:
    """Decide for each bot whether to train it, and why.

    One withdrawn pair is enough to train, since the champion could still produce it. A dataset that a version newer
    than the champion has already learned is not trained on again unless forced.

    Args:
        datasets: id of the dataset just built, by bot.
        force: whether to train even if too few pairs are new.
        files: the lake's file system, for the manifests.
        registry: the model registry, for the versions trained so far.
        settings: the minimum number of new pairs.

    Returns:
        The choice for each bot.
    """
    choices = {}
    for bot, dataset in datasets.items():
        versions = registry.versions(bot)
        trained = {version.tags.get("dataset", "") for version in versions}
        served = {version.tags.get("dataset", "") for version in versions if "champion" in version.aliases} - {""}
        new, withdrawn = (
            count_changes(bot=bot, dataset=dataset, known=known, files=files, root=settings.hdfs.root)
            for known in (trained, served or trained)
        )
        found = Changes(new=new.new, withdrawn=withdrawn.withdrawn)
        least = settings.learning.min_new_examples
        is_waiting = any(version.tags.get("dataset") == dataset for version in _after_champion(versions))
        train, verdict = _verdict(found, force=force, least=least, is_waiting=is_waiting)
        reason = f"{found.new} new pairs since the last training, {found.withdrawn} withdrawn ({verdict})"
        choices[bot] = TrainingChoice(
            train=train, dataset=dataset, new_pairs=found.new, withdrawn_pairs=found.withdrawn, reason=reason
        )
    return ChooseResult(choices=choices)


def _after_champion(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    champion = max((version.version for version in versions if "champion" in version.aliases), default=0)
    return [version for version in versions if version.version > champion]


def _verdict(found: Changes, *, force: bool, least: int, is_waiting: bool) -> tuple[bool, str]:
    if force:
        return True, "forced"
    if is_waiting and found.withdrawn:
        return False, (
            "the champion has learned them, but a newer version was already trained without them: see its tags `gate` "
            "and `gate_reasons` in MLflow"
        )
    if found.withdrawn:
        return True, "withdrawn pairs must be unlearned"
    if found.new >= least:
        return True, "enough"
    return False, f"too few, KOGPT2_LEARNING__MIN_NEW_EXAMPLES is {least}"
