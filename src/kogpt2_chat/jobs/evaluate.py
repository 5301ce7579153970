"""Measure a version and its baseline, and let the gate decide."""

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
class _Baseline:
    """The model that the candidate is compared with.

    That is the champion; the previous version if the candidate itself is the champion; or the base if the bot has
    neither.

    Attributes:
        name: for reasons and pages, for example ``champion 3``.
        model: the loaded model.
        dataset: id of the dataset that it learned; empty for the base.
    """

    name: str
    model: "LoadedBot"
    dataset: str


def evaluate(
    *, bot: str, version: int, registry: Registry, files: Files, settings: Settings, progress: Callable[[str], None]
) -> Decision:
    """Decide on a version, and store the decision with it: artefacts, metrics and tags.

    Args:
        bot: the bot.
        version: the version to evaluate.
        registry: the model registry.
        files: the lake, for the datasets.
        settings: corpora, profile and limits.
        progress: called with a line on each step.

    Returns:
        The decision. A refusal is a result, not an error.
    """
    from kogpt2_chat.artifact.profiles import profile_of
    from kogpt2_chat.evaluation.evaluate import measure
    from kogpt2_chat.inference.loading import load_served
    from kogpt2_chat.network.load import load_bot

    found = registry.get(bot, version)
    baseline = _baseline(found, registry, settings, progress)
    try:
        folder = local_version(bot, version, registry, settings)
        candidate = load_bot(folder, settings, str(version))
        served = load_served(folder, settings, str(version))
    except CheckpointCorrupt as error:
        measurements = Measurements(bot=bot, version=version, opponent=baseline.name, load_error=str(error))
        decision = decide(measurements, profile_of(settings, small=baseline.model.card.small))
        return _recorded(decision, found, registry)
    measurements = measure(
        bot=bot,
        version=version,
        candidate=candidate,
        opponent=baseline.model,
        opponent_name=baseline.name,
        exam=_evaluation_set(bot, candidate, baseline, files, settings),
        served=served,
        settings=settings,
        progress=progress,
    )
    decision = decide(measurements, profile_of(settings, small=candidate.card.small), settings.training.seed)
    registry.log_metrics(found.run_id, _metrics(decision, measurements))
    progress(f"{bot} version {version} {'passed' if decision.passed else 'was refused by'} the gate")
    return _recorded(decision, found, registry)


def _baseline(
    found: ModelVersion, registry: Registry, settings: Settings, progress: Callable[[str], None]
) -> _Baseline:
    from kogpt2_chat.network.load import load_bot
    from kogpt2_chat.training.base import prepare

    for alias in ("champion", "previous"):
        other = registry.by_alias(found.bot, alias)
        if other is not None and other.version != found.version:
            progress(f"comparing with the {alias}, version {other.version}")
            model = load_bot(local_version(found.bot, other.version, registry, settings), settings, str(other.version))
            return _Baseline(name=f"{alias} {other.version}", model=model, dataset=model.card.dataset)
    progress("comparing with the base: no champion yet")
    return _Baseline(
        name="base", model=load_bot(prepare(settings, progress).folder, settings, "base", found.bot), dataset=""
    )


def _evaluation_set(
    bot: str, candidate: "LoadedBot", baseline: _Baseline, files: Files, settings: Settings
) -> "EvaluationSet":
    """Build the set of pairs that both models are evaluated on.

    What counts as newly taught or held out depends on what the two models learned. Compared with a champion, the taught
    pairs that its dataset lacks are new. The base is not a version of this bot and has no dataset, so a sample of the
    candidate's whole dataset counts as new: a first version must know its own corpus better than the base does.
    """
    from kogpt2_chat.corpora.datasets import load_dataset
    from kogpt2_chat.corpora.shipped import read_golden, read_pairs
    from kogpt2_chat.evaluation.evaluate import EvaluationSet

    folder = settings.learning.corpora / bot
    gold = read_pairs(folder / "gold.csv")
    ours = load_dataset(bot, candidate.card.dataset, files, settings)
    theirs = load_dataset(bot, baseline.dataset, files, settings) if baseline.dataset else {"train": []}
    known = {(pair.question, pair.answer) for pair in theirs["train"]}
    unknown = [pair for split in ours.values() for pair in split if (pair.question, pair.answer) not in known]
    # The small base has learned every seed pair, so only the gold set is unseen by both models.
    held_out = gold if candidate.card.small else [pair for pair in (*ours["val"], *ours["test"]) if pair in unknown]
    return EvaluationSet(
        gold=gold,
        golden=read_golden(folder / "golden.json"),
        seen=ours["train"],
        taught=_taught(unknown) if baseline.dataset else _sample(ours["train"]),
        held_out=held_out,
    )


def _taught(pairs: "Sequence[Pair]") -> "list[Pair]":
    """Return the pairs that players taught."""
    from kogpt2_chat.corpora.datasets import TAUGHT_SOURCES

    return [pair for pair in pairs if pair.source in TAUGHT_SOURCES]


def _sample(pairs: "Sequence[Pair]") -> "list[Pair]":
    """Return a fixed sample of a dataset, large enough to check that it was learned."""
    chosen = list(pairs)
    random.Random(0).shuffle(chosen)  # noqa: S311 - a sample, not secrets
    return chosen[:_FIRST_SAMPLE]


def _metrics(decision: Decision, measurements: Measurements) -> dict[str, float]:
    """Return the metrics for MLflow, which compares versions by them."""
    metrics = {f"gate_{reason.rule}": reason.figure for reason in decision.reasons}
    for name, paired in (
        ("gold", measurements.gold),
        ("taught", measurements.taught),
        ("held_out", measurements.held_out),
    ):
        if paired is not None:
            metrics[f"{name}_nll"] = sum(paired.candidate) / len(paired.candidate)
            metrics[f"{name}_nll_opponent"] = sum(paired.opponent) / len(paired.opponent)
    if measurements.candidate is not None:
        metrics["answer_p50_ms"] = measurements.candidate.p50_ms
        metrics["answer_p95_ms"] = measurements.candidate.p95_ms
        metrics["chrf"] = measurements.candidate.chrf
    if measurements.engine is not None:
        metrics["engine_same_answers"] = measurements.engine.share
        metrics["engine_same_tokens"] = measurements.engine.same_tokens / max(measurements.engine.tokens, 1)
        metrics["engine_nll_difference"] = measurements.engine.nll_difference
    return metrics


def _recorded(decision: Decision, found: ModelVersion, registry: Registry) -> Decision:
    """Store the decision as artefacts and tags of the version. The tag `gate` is written last: rollouts rely on it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "decision.json").write_text(json.dumps(decision.as_json(), ensure_ascii=False, indent=1), "utf-8")
        (folder / "decision.html").write_text(decision_page(decision), "utf-8")
        registry.log_files(found.run_id, folder, "")
    reasons = "; ".join(decision.refusals()) or "every blocking rule holds"
    tags = {"gate_reasons": reasons[:5000], "profile": decision.profile.name, "gate": _gate_tag(decision)}
    registry.tag(found.bot, found.version, tags)
    return decision


def _gate_tag(decision: Decision) -> str:
    return "pass" if decision.passed else "refused"
