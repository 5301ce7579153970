"""Fine-tune one bot on one dataset. The result is a run that contains the version's files."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.artifact.downloads import local_version
from kogpt2_chat.cleanup import clean_up_after
from kogpt2_chat.domain.chat.prompt import PROMPT_FORMAT, bot_token_ids
from kogpt2_chat.domain.learning.start_weights import StartWeights
from kogpt2_chat.lake.manifests import count_changes
from kogpt2_chat.ports import Files, ModelVersion, Registry, SparkJobs
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.training.training_report import write_report

if TYPE_CHECKING:
    from kogpt2_chat.artifact.card import ModelCard
    from kogpt2_chat.domain.learning.dataset import Split
    from kogpt2_chat.domain.learning.pairs import Pair
    from kogpt2_chat.network.batches import Example
    from kogpt2_chat.network.checkpoint import Checkpoint
    from kogpt2_chat.training.curriculum import Curriculum
    from kogpt2_chat.training.early_stop import EpochReport
    from kogpt2_chat.training.recipe import Recipe

_MEMORISED_CHECKED: Final = 400
"""How many of the most frequent examples to check for word-for-word reproduction by the new version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneResult:
    """The result of a training.

    Attributes:
        run_id: the run in MLflow.
        bot: the bot.
        dataset: id of its dataset.
        steps: optimizer steps.
        epochs: passes over the dataset.
        left_out: number of pairs that the model cannot produce completely, by reason.
        parent: version that the training started from; empty for the base.
        loss: mean training loss of the last epoch.
        validation_nll: mean NLL of the validation examples after the last epoch; None without such examples.
        seconds: duration of the call.
    """

    run_id: str
    bot: str
    dataset: str
    steps: int
    epochs: int
    left_out: Mapping[str, int]
    parent: str
    loss: float
    validation_nll: float | None
    seconds: float


def finetune(
    *,
    bot: str,
    dataset: str,
    mode: StartWeights,
    epochs: int | None,
    files: Files,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
    spark: SparkJobs | None = None,
) -> FinetuneResult:
    """Train a version, and log parameters, metrics of every epoch, a plot, sample answers and the version's files.

    After a crash, the next call with the same arguments resumes from the last checkpoint.

    Args:
        bot: the bot.
        dataset: id of its dataset.
        mode: which weights to start from; without a champion both modes start from the base.
        epochs: passes over the dataset; None uses the setting.
        files: the lake.
        registry: the model registry, which stores the run.
        settings: the training recipe.
        progress: called with a line on each step and epoch.
        spark: runs the ranks of a training on several; None trains in this process.

    Returns:
        The run, and the metrics of its last epoch.

    Raises:
        AlreadyRunning: another process runs the same training.
    """
    from kogpt2_chat.corpora.datasets import leave_out_unlearnable, load_dataset
    from kogpt2_chat.network.load import use_threads
    from kogpt2_chat.training.on_ranks import train_network
    from kogpt2_chat.training.one_training import only_training_in
    from kogpt2_chat.training.resume import clear_progress
    from kogpt2_chat.training.training_folder import TrainingJob

    started = time.monotonic()
    use_threads(settings)
    pairs = load_dataset(bot, dataset, files, settings)
    start, card, learned_dataset = _start(bot, dataset, mode, files, registry, settings, progress)
    pairs, left_out = leave_out_unlearnable(pairs, start.tokenizer, settings.model.max_new_tokens)
    if left_out:
        progress(f"left out, since this model cannot produce them completely: {dict(left_out)}")
    before = load_dataset(bot, learned_dataset, files, settings)["train"] if learned_dataset else ()
    plan = _plan(card, pairs["train"], before, epochs, settings)
    progress(f"{len(plan.learned)} pairs to learn, {len(plan.kept)} pairs to retain")
    train, kept, validation = _examples(start, card, (plan.learned, plan.kept, pairs["val"]), settings)
    recipe = plan.recipe if spark else _with_precision(plan.recipe, start, progress)  # ranks measure it themselves
    params = _params(recipe, card, mode, train, kept, validation)
    work = settings.home / "training" / bot / _key(params)
    shared = f"{settings.hdfs.root}/training/{bot}/{_key(params)}"
    with only_training_in(work):
        with _run(registry, f"{bot} {dataset}", params, {"bot": bot, "dataset": dataset, "mode": mode}) as run_id:
            reports = train_network(
                start.network, TrainingJob(recipe=recipe, examples=train, kept=kept, validation=validation),
                resume=work / "progress", shared=shared, files=files, spark=spark, settings=settings, progress=progress,
                on_epoch=lambda report: registry.log_metrics(run_id, _epoch_metrics(report), report.epoch),
            )  # fmt: skip
            progress("fitting thresholds and converting for the serving engine")
            version = _write_version(work, start, card, pairs, [*train, *kept], settings)
            registry.log_files(run_id, version, VERSION_PATH)
            registry.log_files(run_id, write_report(work, version, card, reports, pairs["train"], settings), "training")
        clear_progress(work)
        if spark:
            files.delete(shared)
    return _result(run_id, card, reports, left_out, started)


def _with_precision(recipe: "Recipe", start: "Checkpoint", progress: Callable[[str], None]) -> "Recipe":
    from kogpt2_chat.training.compute import choose_precision

    return replace(recipe, precision=choose_precision(recipe.precision, start.network, progress))


def _result(
    run_id: str, card: "ModelCard", reports: Sequence["EpochReport"], left_out: Mapping[str, int], started: float
) -> FinetuneResult:
    last = reports[-1]
    return FinetuneResult(
        run_id=run_id, bot=card.bot, dataset=card.dataset, steps=last.step, epochs=last.epoch, left_out=left_out,
        parent=card.parent, loss=last.loss, validation_nll=last.validation_nll,
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip


@contextmanager
def _run(registry: Registry, name: str, params: dict[str, object], tags: dict[str, str]) -> Iterator[str]:
    """Start a run, and end it when the context exits; mark it as failed if the context fails or is interrupted."""
    run_id = registry.start_run(name, params, tags)
    try:
        yield run_id
    except BaseException as error:
        clean_up_after(
            error, lambda: registry.end_run(run_id, failed=True), f"MLflow still shows run {run_id} as running"
        )
        raise
    registry.end_run(run_id)


def _start(
    bot: str,
    dataset: str,
    mode: StartWeights,
    files: Files,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
) -> tuple["Checkpoint", "ModelCard", str]:
    """Return the weights to start from, the card of the new version, and the id of the dataset that they have learned.

    The id is empty for the base.
    """
    from kogpt2_chat.artifact.card import ModelCard
    from kogpt2_chat.network.checkpoint import load_checkpoint
    from kogpt2_chat.training.base import prepare

    champion = registry.by_alias(bot, "champion") if mode == "from_champion" else None
    if mode == "from_champion" and champion is None:
        progress(f"{bot} has no champion yet: starting from the base")
    if champion is not None and (gone := _withdrawn(champion, dataset, files, settings)):
        progress(f"{gone} pairs that version {champion.version} has learned were withdrawn: starting from the base")
        champion = None
    base = prepare(settings, progress)
    folder = base.folder if champion is None else local_version(bot, champion.version, registry, settings)
    loaded = load_checkpoint(folder)
    card = ModelCard(
        base=loaded.card.base,
        base_sha=base.sha if champion is None else loaded.card.base_sha,
        licence=loaded.card.licence,
        small=loaded.card.small,
        bot=bot,
        dataset=dataset,
        parent="" if champion is None else str(champion.version),
        git_commit=_git_commit(),
        prompt_format=PROMPT_FORMAT if champion is None else loaded.card.prompt_format,
    )
    return loaded, card, "" if champion is None else loaded.card.dataset


def _withdrawn(champion: ModelVersion, dataset: str, files: Files, settings: Settings) -> int:
    """Count the pairs withdrawn since the champion's dataset; further training would not make it forget them."""
    known = {champion.tags.get("dataset", "")}
    return count_changes(bot=champion.bot, dataset=dataset, known=known, files=files, root=settings.hdfs.root).withdrawn


def _plan(
    card: "ModelCard",
    pairs: Sequence["Pair"],
    before: Sequence["Pair"],
    epochs: int | None,
    settings: Settings,
) -> "Curriculum":
    """Plan the training, given the pairs that the weights have learned and the gate's must-pass questions."""
    from kogpt2_chat.corpora.shipped import read_golden
    from kogpt2_chat.training.curriculum import plan_training

    golden = read_golden(settings.learning.corpora / card.bot / "golden.json")
    return plan_training(
        pairs,
        {(pair.question, pair.answer) for pair in before},
        {entry.question for entry in golden if entry.must_pass},
        settings,
        epochs=epochs,
        small=card.small,
    )


def _examples(
    start: "Checkpoint", card: "ModelCard", sets: Sequence[Sequence["Pair"]], settings: Settings
) -> Iterator[list["Example"]]:
    """Convert each set of pairs into examples for the network."""
    from kogpt2_chat.network.batches import make_examples

    bounds = (
        settings.model.max_prompt_tokens,
        settings.model.max_new_tokens,
        bot_token_ids(card.bot, card.prompt_format),
    )
    return (make_examples(pairs, start.tokenizer, *bounds) for pairs in sets)


def _params(
    recipe: "Recipe",
    card: "ModelCard",
    mode: StartWeights,
    train: Sequence["Example"],
    kept: Sequence["Example"],
    validation: Sequence["Example"],
) -> dict[str, object]:
    card_params = {name: value for name, value in asdict(card).items() if name not in {"files", "figures", "v"}}
    counts = {"train_pairs": len(train), "kept_pairs": len(kept), "validation_pairs": len(validation)}
    return {**asdict(recipe), **card_params, "mode": mode, **counts}


def _key(params: dict[str, object]) -> str:
    """Return the name of the working folder, made from the parameters: only the same training finds its checkpoints.

    The precision is left out: it only depends on which one this machine computes faster.
    """
    same = {name: value for name, value in params.items() if name != "precision"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def _epoch_metrics(report: "EpochReport") -> dict[str, float]:
    return {name: float(value) for name, value in asdict(report).items() if value is not None and name != "epoch"}


def _write_version(
    work: Path,
    trained: "Checkpoint",
    card: "ModelCard",
    pairs: Mapping["Split", Sequence["Pair"]],
    examples: Sequence["Example"],
    settings: Settings,
) -> Path:
    """Write the version's folder: weights, files for the serving engine, and what replaces unsure answers."""
    from kogpt2_chat.corpora.shipped import read_pairs
    from kogpt2_chat.evaluation.export import write_version
    from kogpt2_chat.evaluation.fit_uncertain import fit_uncertainty
    from kogpt2_chat.inference.uncertain import FILE
    from kogpt2_chat.network.load import in_memory
    from kogpt2_chat.network.network import reproduces_answers

    texts, dev = {}, settings.learning.corpora / card.bot / "dev.csv"
    if dev.is_file() and (unlearned := read_pairs(dev)):
        everything = [pair for split in pairs.values() for pair in split]
        texts[FILE] = fit_uncertainty(in_memory(trained, card, settings), everything, unlearned, settings)
    frequent = sorted(examples, key=lambda example: -example.weight)[:_MEMORISED_CHECKED]
    memorised = [
        example for example, known in zip(frequent, reproduces_answers(trained.network, frequent), strict=True) if known
    ]
    version = work / VERSION_PATH
    write_version(
        version, trained.network, trained.tokenizer, card,
        sequences=[example.ids for example in examples],
        prompts=[example.ids[: example.answer_start] for example in memorised or frequent],
        texts=texts,
    )  # fmt: skip
    return version


def _git_commit() -> str:
    """Return the Git commit of this code; empty outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - git from the PATH
            cwd=CHECKOUT, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
