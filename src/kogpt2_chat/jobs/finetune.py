"""Fine-tune one bot on one dataset; the result is a run with the version's files."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kogpt2_chat.cleanup import clean_up_after
from kogpt2_chat.domain.prompt import PROMPT_FORMAT, bot_ids
from kogpt2_chat.jobs.manifests import count_changes
from kogpt2_chat.jobs.register import VERSION_PATH
from kogpt2_chat.jobs.training_shown import write_shown
from kogpt2_chat.jobs.versions import local_version
from kogpt2_chat.ports import Files, ModelVersion, Registry
from kogpt2_chat.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from kogpt2_chat.model.batches import Example
    from kogpt2_chat.model.card import ModelCard
    from kogpt2_chat.model.checkpoint import Checkpoint
    from kogpt2_chat.model.curriculum import Curriculum
    from kogpt2_chat.model.datasets import Split
    from kogpt2_chat.model.early_stop import EpochReport
    from kogpt2_chat.model.pairs import Pair
    from kogpt2_chat.model.recipe import Recipe

Mode = Literal["from_base", "from_champion"]
_ASKED_BY_HEART: Final = 400
"""Pairs seen most often, among which those are looked for that a version says to the letter."""


def finetune(
    *,
    bot: str,
    dataset: str,
    mode: Mode,
    epochs: int | None,
    files: Files,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
) -> dict[str, object]:
    """Train, and log parameters, figures of every epoch, a plot, sample answers and the version's files.

    A killed training is taken up again at its last checkpoint by the next call with the same arguments.

    Args:
        bot: the bot.
        dataset: version of its dataset.
        mode: which weights to start from; without a champion both mean the base.
        epochs: passes over the dataset; None takes the setting.
        files: the lake.
        registry: where the run goes.
        settings: the recipe.
        progress: told about every epoch.

    Returns:
        ``run_id``, ``bot``, ``dataset``, ``steps``, ``epochs``, ``left_out`` (pairs by reason), ``parent``, ``loss``,
        ``validation_nll``, ``seconds``.

    Raises:
        Conflict: another process is at this very training.
    """
    from kogpt2_chat.model.compute import choose_precision
    from kogpt2_chat.model.datasets import leave_out_unlearnable, load_dataset
    from kogpt2_chat.model.load import use_threads
    from kogpt2_chat.model.one_training import only_training_in
    from kogpt2_chat.model.resume import clear_progress
    from kogpt2_chat.model.train import fit

    started = time.monotonic()
    use_threads(settings)
    pairs = load_dataset(bot, dataset, files, settings)
    start, card, learned_dataset = _start(bot, dataset, mode, files, registry, settings, progress)
    pairs, left_out = leave_out_unlearnable(pairs, start.tokenizer, settings.model.max_new_tokens)
    if left_out:
        progress(f"left out, since this model could not say them whole: {dict(left_out)}")
    before = load_dataset(bot, learned_dataset, files, settings)["train"] if learned_dataset else ()
    plan = _plan(card, pairs["train"], before, epochs, settings)
    progress(f"{len(plan.learned)} pairs to learn, {len(plan.kept)} to keep")
    train, kept, validation = _examples(start, card, (plan.learned, plan.kept, pairs["val"]), settings)
    recipe = replace(plan.recipe, precision=choose_precision(plan.recipe.precision, progress))
    params = _params(recipe, card, mode, train, kept, validation)
    work = settings.home / "training" / bot / _key(params)
    with only_training_in(work):
        with _run(registry, f"{bot} {dataset}", params, {"bot": bot, "dataset": dataset, "mode": mode}) as run_id:
            reports = fit(
                start.network, train, recipe, kept=kept, validation=validation, progress=progress,
                resume=work / "progress",
                on_epoch=lambda report: registry.log_metrics(run_id, _figures(report), report.epoch),
            )  # fmt: skip
            progress("fitting thresholds and converting for the serving engine")
            version = _write_version(work, start, card, pairs, [*train, *kept], settings)
            registry.log_files(run_id, version, VERSION_PATH)
            registry.log_files(run_id, write_shown(work, version, card, reports, pairs["train"], settings), "training")
        clear_progress(work)
    last = reports[-1]
    return {
        "run_id": run_id, "bot": bot, "dataset": dataset, "steps": last.step, "epochs": last.epoch,
        "left_out": dict(left_out), "parent": card.parent, "loss": last.loss, "validation_nll": last.validation_nll,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


@contextmanager
def _run(registry: Registry, name: str, params: dict[str, object], tags: dict[str, str]) -> Iterator[str]:
    """A run of the registry, marked as failed if what is done in it fails or is interrupted."""
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
    mode: Mode,
    files: Files,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
) -> tuple["Checkpoint", "ModelCard", str]:
    """The weights to start from, the card of what will come of them, and the dataset that they have learned."""
    from kogpt2_chat.model.base import prepare
    from kogpt2_chat.model.card import ModelCard
    from kogpt2_chat.model.checkpoint import load_checkpoint

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
    """Pairs taken back since a champion learned its dataset: nothing in the new one would make it unlearn them."""
    known = {champion.tags.get("dataset", "")}
    return count_changes(bot=champion.bot, dataset=dataset, known=known, files=files, root=settings.hdfs.root).withdrawn


def _plan(
    card: "ModelCard",
    pairs: Sequence["Pair"],
    before: Sequence["Pair"],
    epochs: int | None,
    settings: Settings,
) -> "Curriculum":
    """What is learned, and how: by what the weights know already and what the gate will ask for."""
    from kogpt2_chat.model.corpora import read_golden
    from kogpt2_chat.model.curriculum import plan_training

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
    """Each set of pairs as the network sees it."""
    from kogpt2_chat.model.batches import make_examples

    bounds = (settings.model.max_prompt_tokens, settings.model.max_new_tokens, bot_ids(card.bot, card.prompt_format))
    return (make_examples(pairs, start.tokenizer, *bounds) for pairs in sets)


def _params(
    recipe: "Recipe",
    card: "ModelCard",
    mode: Mode,
    train: Sequence["Example"],
    kept: Sequence["Example"],
    validation: Sequence["Example"],
) -> dict[str, object]:
    facts = {name: value for name, value in asdict(card).items() if name not in {"files", "figures", "v"}}
    counts = {"train_pairs": len(train), "kept_pairs": len(kept), "validation_pairs": len(validation)}
    return {**asdict(recipe), **facts, "mode": mode, **counts}


def _key(params: dict[str, object]) -> str:
    """Names the working folder: the same work finds its checkpoints again, other work never does.

    The precision is what this machine computes fast, and no other work.
    """
    same = {name: value for name, value in params.items() if name != "precision"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def _figures(report: "EpochReport") -> dict[str, float]:
    return {name: float(value) for name, value in asdict(report).items() if value is not None and name != "epoch"}


def _write_version(
    work: Path,
    trained: "Checkpoint",
    card: "ModelCard",
    pairs: Mapping["Split", Sequence["Pair"]],
    examples: Sequence["Example"],
    settings: Settings,
) -> Path:
    """The version's folder: weights, engine, and what is said where it is unsure."""
    from kogpt2_chat.model.checkpoint import write_checkpoint
    from kogpt2_chat.model.corpora import read_pairs
    from kogpt2_chat.model.fit_uncertain import fit_uncertainty
    from kogpt2_chat.model.load import in_memory
    from kogpt2_chat.model.network import knows
    from kogpt2_chat.model.uncertain import FILE

    beside, dev = {}, settings.learning.corpora / card.bot / "dev.csv"
    if dev.is_file() and (unlearned := read_pairs(dev)):
        everything = [pair for split in pairs.values() for pair in split]
        beside[FILE] = fit_uncertainty(in_memory(trained, card, settings), everything, unlearned, settings)
    often = sorted(examples, key=lambda example: -example.weight)[:_ASKED_BY_HEART]
    by_heart = [example for example, known in zip(often, knows(trained.network, often), strict=True) if known]
    version = work / VERSION_PATH
    write_checkpoint(
        version, trained.network, trained.tokenizer, card,
        sequences=[example.ids for example in examples],
        prompts=[example.ids[: example.answer_start] for example in by_heart or often],
        beside=beside,
    )  # fmt: skip
    return version


def _git_commit() -> str:
    """The commit of this code; empty outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - git from the path, as everywhere
            cwd=CHECKOUT, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
