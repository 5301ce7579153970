"""Show what a version has learned from players."""

from dataclasses import dataclass

from kogpt2_chat.domain.learning.pairs import TAUGHT_SOURCES, Pair
from kogpt2_chat.errors import NotFound
from kogpt2_chat.lake.manifests import read_manifest
from kogpt2_chat.ports import Files, Registry
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPair:
    """A pair that players taught, with personal data masked.

    Attributes:
        question: the question.
        answer: the answer to it.
        new: whether the version before had not learned it.
    """

    question: str
    answer: str
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowLearnedResult:
    """What a version has learned from players.

    Attributes:
        bot: the bot.
        version: the version; 0 if there is none.
        dataset: id of the dataset that it was trained on; empty if unknown.
        total: number of pairs that players taught.
        pairs: the first ones of them, those that are new first.
    """

    bot: str
    version: int
    dataset: str
    total: int
    pairs: tuple[LearnedPair, ...]


def show_learned(
    *,
    bot: str,
    limit: int,
    files: Files,
    registry: Registry,
    settings: Settings,
    version: int | None = None,
) -> ShowLearnedResult:
    """Return the taught pairs of a version's dataset. Datasets contain only pairs that may be learned.

    Args:
        bot: the bot's id.
        limit: the most pairs to return.
        files: the lake.
        registry: the model registry.
        settings: name the lake's root and the home folder.
        version: the version's number; None means the champion.

    Returns:
        The pairs.

    Raises:
        NotFound: the registry does not have the version.
        InvalidInput: the dataset does not exist or cannot be read.
        Unavailable: a server does not answer.
    """
    found = registry.by_alias(bot, "champion") if version is None else registry.get(bot, version)
    dataset = "" if found is None else found.tags.get("dataset", "")
    if found is None or not dataset:
        return ShowLearnedResult(bot=bot, version=0, dataset="", total=0, pairs=())
    taught = _taught(bot, dataset, files, settings)
    try:
        previous = read_manifest(files, settings.hdfs.root, bot, dataset).previous
    except NotFound:
        previous = None
    before = set(_taught(bot, previous, files, settings)) if previous else set()
    ordered = sorted(taught, key=lambda pair: pair in before)
    pairs = [
        LearnedPair(question=question, answer=answer, new=(question, answer) not in before)
        for question, answer in ordered[:limit]
    ]
    return ShowLearnedResult(bot=bot, version=found.version, dataset=dataset, total=len(taught), pairs=tuple(pairs))


def _taught(bot: str, dataset: str, files: Files, settings: Settings) -> list[tuple[str, str]]:
    """Return the question and the answer of each taught pair that was trained on, once; some are held out as tests."""
    from kogpt2_chat.corpora.datasets import load_dataset

    pairs: list[Pair] = load_dataset(bot, dataset, files, settings)["train"]
    found = ((pair.question, pair.answer) for pair in pairs if pair.source in TAUGHT_SOURCES)
    return list(dict.fromkeys(found))
