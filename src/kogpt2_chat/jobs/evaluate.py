"""Measure a version against its opponent and let the gate decide."""

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kogpt2_chat.artifact.downloads import local_version
from kogpt2_chat.domain.gate.decision import Decision, decide
from kogpt2_chat.domain.gate.measurements import Measurements
from kogpt2_chat.domain.gate.page import decision_page
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.ports import Files, ModelVersion, Registry
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.domain.learning.pairs import Pair
    from kogpt2_chat.evaluation.evaluate import EvaluationSet
    from kogpt2_chat.network.load import LoadedBot


_FIRST_SAMPLE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opponent:
    """Whom the candidate must beat: the champion, or the base where there is none yet."""

    name: str
    model: "LoadedBot"
    dataset: str


def evaluate(
    *, bot: str, version: int, registry: Registry, files: Files, settings: Settings, progress: Callable[[str], None]
) -> Decision:
    """Decide on a version, and write the decision on it: artefacts, metrics and tags.

    Args:
        bot: the bot.
        version: the version to judge.
        registry: where versions live.
        files: the lake, for the datasets.
        settings: corpora, profile and bounds.
        progress: told what is measured.

    Returns:
        The decision; a refusal is an outcome, not an error.
    """
    from kogpt2_chat.artifact.profiles import profile_of
    from kogpt2_chat.evaluation.evaluate import measure
    from kogpt2_chat.inference.loading import load_served
    from kogpt2_chat.network.load import load_bot

    found = registry.get(bot, version)
    opponent = _opponent(found, registry, settings, progress)
    try:
        folder = local_version(bot, version, registry, settings)
        candidate = load_bot(folder, settings, str(version))
        served = load_served(folder, settings, str(version))
    except CheckpointCorrupt as error:
        figures = Measurements(bot=bot, version=version, opponent=opponent.name, load_error=str(error))
        decision = decide(figures, profile_of(settings, small=opponent.model.card.small))
        return _recorded(decision, found, registry)
    figures = measure(
        bot=bot,
        version=version,
        candidate=candidate,
        opponent=opponent.model,
        opponent_name=opponent.name,
        exam=_exam(bot, candidate, opponent, files, settings),
        served=served,
        settings=settings,
        progress=progress,
    )
    decision = decide(figures, profile_of(settings, small=candidate.card.small), settings.training.seed)
    registry.log_metrics(found.run_id, _metrics(decision, figures))
    progress(f"{bot} version {version} {'passed' if decision.passed else 'was refused by'} the gate")
    return _recorded(decision, found, registry)


def _opponent(
    found: ModelVersion, registry: Registry, settings: Settings, progress: Callable[[str], None]
) -> _Opponent:
    from kogpt2_chat.network.load import load_bot
    from kogpt2_chat.training.base import prepare

    for alias in ("champion", "previous"):
        other = registry.by_alias(found.bot, alias)
        if other is not None and other.version != found.version:
            progress(f"comparing with the {alias}, version {other.version}")
            model = load_bot(local_version(found.bot, other.version, registry, settings), settings, str(other.version))
            return _Opponent(name=f"{alias} {other.version}", model=model, dataset=model.card.dataset)
    progress("comparing with the base: no champion yet")
    return _Opponent(
        name="base", model=load_bot(prepare(settings, progress).folder, settings, "base", found.bot), dataset=""
    )


def _exam(bot: str, candidate: "LoadedBot", opponent: _Opponent, files: Files, settings: Settings) -> "EvaluationSet":
    """What both are asked; what counts as new or held out depends on what either learned.

    Against a champion, newly taught are the players' pairs that its dataset lacks. The base was never this bot,
    so to it the whole dataset is new: a first version must know its own corpus better than the base does.
    """
    from kogpt2_chat.corpora.datasets import load_dataset
    from kogpt2_chat.corpora.shipped import read_golden, read_pairs
    from kogpt2_chat.evaluation.evaluate import EvaluationSet

    folder = settings.learning.corpora / bot
    gold = read_pairs(folder / "gold.csv")
    ours = load_dataset(bot, candidate.card.dataset, files, settings)
    theirs = load_dataset(bot, opponent.dataset, files, settings) if opponent.dataset else {"train": []}
    known = {(pair.question, pair.answer) for pair in theirs["train"]}
    unknown = [pair for split in ours.values() for pair in split if (pair.question, pair.answer) not in known]
    # The small base has learned every seed pair, so only the gold set was never seen by anybody.
    held_out = gold if candidate.card.small else [pair for pair in (*ours["val"], *ours["test"]) if pair in unknown]
    return EvaluationSet(
        gold=gold,
        golden=read_golden(folder / "golden.json"),
        seen=ours["train"],
        taught=_taught(unknown) if opponent.dataset else _sample(ours["train"]),
        held_out=held_out,
    )


def _taught(pairs: "Sequence[Pair]") -> "list[Pair]":
    """Those that players taught."""
    from kogpt2_chat.corpora.datasets import TAUGHT_SOURCES

    return [pair for pair in pairs if pair.source in TAUGHT_SOURCES]


def _sample(pairs: "Sequence[Pair]") -> "list[Pair]":
    """Some pairs of a whole dataset, always the same ones: enough to tell that it was learned."""
    chosen = list(pairs)
    random.Random(0).shuffle(chosen)  # noqa: S311 - a sample, not secrets
    return chosen[:_FIRST_SAMPLE]


def _metrics(decision: Decision, figures: Measurements) -> dict[str, float]:
    """What MLflow's comparison of two versions shows."""
    metrics = {f"gate_{reason.rule}": reason.figure for reason in decision.reasons}
    for name, slice_ in (("gold", figures.gold), ("taught", figures.taught), ("held_out", figures.held_out)):
        if slice_ is not None:
            metrics[f"{name}_nll"] = sum(slice_.candidate) / len(slice_.candidate)
            metrics[f"{name}_nll_opponent"] = sum(slice_.opponent) / len(slice_.opponent)
    if figures.candidate is not None:
        metrics["answer_p50_ms"] = figures.candidate.p50_ms
        metrics["answer_p95_ms"] = figures.candidate.p95_ms
        metrics["chrf"] = figures.candidate.chrf
    if figures.engine is not None:
        metrics["engine_same_answers"] = figures.engine.share
        metrics["engine_same_tokens"] = figures.engine.same_tokens / max(figures.engine.tokens, 1)
        metrics["engine_nll_difference"] = figures.engine.nll_difference
    return metrics


def _recorded(decision: Decision, found: ModelVersion, registry: Registry) -> Decision:
    """Write the decision where people and rollouts look for it; the tag last, for it is what they trust."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        (folder / "decision.json").write_text(json.dumps(decision.as_json(), ensure_ascii=False, indent=1), "utf-8")
        (folder / "decision.html").write_text(decision_page(decision), "utf-8")
        registry.log_files(found.run_id, folder, "")
    reasons = "; ".join(decision.refusals()) or "every decisive rule holds"
    tags = {"gate_reasons": reasons[:5000], "profile": decision.profile.name, "gate": _gate_tag(decision)}
    registry.tag(found.bot, found.version, tags)
    return decision


def _gate_tag(decision: Decision) -> str:
    return "pass" if decision.passed else "refused"
