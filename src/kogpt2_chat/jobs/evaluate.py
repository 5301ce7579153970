"""Measure a version and its baseline, and let the gate decide."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kogpt2_chat.artifact.downloads import local_version
from kogpt2_chat.domain.gate.block import Case
from kogpt2_chat.domain.gate.decision import Decision, decide
from kogpt2_chat.domain.gate.evaluation_set import EvaluationSet, evaluation_set
from kogpt2_chat.domain.gate.loading import Loading
from kogpt2_chat.domain.gate.model_card import Judged
from kogpt2_chat.domain.gate.page import decision_page
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.lake.describe_version import describe_version
from kogpt2_chat.ports import Files, ModelVersion, Registry
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.evaluation.trial import Baseline, EvaluatedVersion


def evaluate(
    *, bot: str, version: int, registry: Registry, files: Files, settings: Settings, progress: Callable[[str], None]
) -> Decision:
    """Decide on a version, and store the decision with it: artifacts, metrics, description and tags.

    1. Load the candidate and its baseline. A candidate that does not load is refused, and nothing is measured.
    2. Select the pairs and questions that both are evaluated on.
    3. Measure every block of the gate.
    4. Decide.
    5. Record the decision, its page and the model card.

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
    from kogpt2_chat.evaluation.blocks import measure
    from kogpt2_chat.evaluation.card_samples import missed_questions, sample_answers
    from kogpt2_chat.evaluation.trial import Trial, load_version

    found = registry.get(bot, version)
    baseline = _load_baseline(found, registry, settings, progress)
    try:
        candidate = load_version(local_version(bot, version, registry, settings), settings, str(version))
    except CheckpointCorrupt as error:
        case = _case(found, baseline, settings, small=baseline.reference.small)
        judged = Judged(decision=decide(case, [Loading(str(error))]))
        return _record(judged, found, registry, files, settings)
    card = candidate.reference.card
    trial = Trial(
        bot=bot,
        candidate=candidate,
        baseline=baseline,
        evaluation_set=_select(bot, candidate, baseline, files, settings),
        settings=settings,
        progress=progress,
    )
    blocks = [Loading(), *measure(trial)]
    decision = decide(_case(found, baseline, settings, small=card.small), blocks)
    metrics = {name: value for block in blocks for name, value in block.metrics().items()}
    registry.log_metrics(found.run_id, {**decision.metrics(), **metrics})
    progress(f"{bot} version {version} {'passed' if decision.passed else 'was refused by'} the gate")
    judged = Judged(
        decision=decision,
        comparisons=[one for block in blocks for one in block.comparisons()],
        samples=sample_answers(trial),
        missed=missed_questions(trial),
    )
    return _record(judged, found, registry, files, settings)


def _load_baseline(
    found: ModelVersion, registry: Registry, settings: Settings, progress: Callable[[str], None]
) -> "Baseline":
    """Load the champion; the previous version if the candidate itself is the champion; the base if there is neither."""
    from kogpt2_chat.evaluation.trial import Baseline, load_version
    from kogpt2_chat.network.load import load_bot
    from kogpt2_chat.training.base import prepare

    for alias in ("champion", "previous"):
        other = registry.by_alias(found.bot, alias)
        if other is not None and other.version != found.version:
            progress(f"comparing with the {alias}, version {other.version}")
            folder = local_version(found.bot, other.version, registry, settings)
            loaded = load_version(folder, settings, str(other.version))
            return Baseline(name=f"{alias} {other.version}", reference=loaded.reference, served=loaded.served)
    progress("comparing with the base: no champion yet")
    return Baseline(name="base", reference=load_bot(prepare(settings, progress).folder, settings, "base", found.bot))


def _case(found: ModelVersion, baseline: "Baseline", settings: Settings, *, small: bool) -> Case:
    from kogpt2_chat.artifact.profiles import profile_of

    return Case(
        bot=found.bot,
        version=found.version,
        baseline=baseline.name,
        thresholds=profile_of(settings, small=small),
        seed=settings.training.seed,
    )


def _select(
    bot: str, candidate: "EvaluatedVersion", baseline: "Baseline", files: Files, settings: Settings
) -> EvaluationSet:
    """Read the bot's corpora and the datasets that both models learned, and select from them.

    Pairs whose answers the vocabulary cannot spell are left out, as in training: the serving engine never says
    ``<unk>``, so its likelihood of such an answer is 0.
    """
    from kogpt2_chat.corpora.datasets import leave_out_unlearnable, load_dataset
    from kogpt2_chat.corpora.shipped import read_golden, read_pairs

    card, tokenizer = candidate.reference.card, candidate.reference.tokenizer
    folder, theirs = settings.learning.corpora / bot, baseline.reference.card.dataset
    limit = settings.model.max_new_tokens
    learned, _ = leave_out_unlearnable(load_dataset(bot, card.dataset, files, settings), tokenizer, limit)
    gold = [
        pair
        for pair in read_pairs(folder / "gold.csv")
        if tokenizer.answer_fault(pair.answer, limit) != "answer_unknown_character"
    ]
    return evaluation_set(
        learned=learned,
        known_to_baseline=load_dataset(bot, theirs, files, settings)["train"] if theirs else None,
        gold=gold,
        golden=read_golden(folder / "golden.json"),
        small=card.small,
    )


def _record(judged: Judged, found: ModelVersion, registry: Registry, files: Files, settings: Settings) -> Decision:
    """Store the decision as artifacts, description and tags. The tag `gate` is written last: rollouts rely on it."""
    decision = judged.decision
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "decision.json").write_text(json.dumps(decision.as_json(), ensure_ascii=False, indent=1), "utf-8")
        (folder / "decision.html").write_text(decision_page(decision), "utf-8")
        registry.log_files(found.run_id, folder, "")
    describe_version(found, registry, files, settings.hdfs.root, judged)
    reasons = "; ".join(decision.refusals()) or "every blocking rule holds"
    gate = "pass" if decision.passed else "refused"
    registry.tag(
        found.bot, found.version, {"gate_reasons": reasons[:5000], "profile": decision.profile.name, "gate": gate}
    )
    return decision
