"""Fine-tune one bot on one dataset; the result is a run with the version's files."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kogpt2_chat.jobs.register import VERSION_PATH
from kogpt2_chat.jobs.versions import local_version
from kogpt2_chat.ports import Files, Registry
from kogpt2_chat.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from kogpt2_chat.model.batches import Example, Pair
    from kogpt2_chat.model.card import ModelCard
    from kogpt2_chat.model.checkpoint import Checkpoint
    from kogpt2_chat.model.early_stop import EpochReport
    from kogpt2_chat.model.train import Recipe

Mode = Literal["from_base", "from_champion"]
SAMPLES: Final = 20
# Measured on the converged small base with ChatbotC's corpus: 8 epochs learn 8 of 8 lessons, keep 680 of 680 seed
# answers to the letter and lower the gold NLL by 0.24 nat, in 22 s on 2 cores. Label smoothing has to stay: without it
# the gold NLL rises by a nat, and the gate refuses. The other rate is the usual one for KoGPT2's size.
SMALL_LEARNING_RATE: Final = 5e-4
LEARNING_RATE: Final = 5e-5


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
        ``run_id``, ``bot``, ``dataset``, ``steps``, ``epochs``, ``parent``, ``loss``, ``validation_nll``, ``seconds``.
    """
    from kogpt2_chat.model.batches import make_examples
    from kogpt2_chat.model.datasets import load_dataset
    from kogpt2_chat.model.resume import clear_progress
    from kogpt2_chat.model.train import fit

    started = time.monotonic()
    start, card = _start(bot, dataset, mode, registry, settings, progress)
    pairs = load_dataset(bot, dataset, files, settings)
    bounds = (settings.model.max_prompt_tokens, settings.model.max_new_tokens)
    train = make_examples(pairs["train"], start.tokenizer, *bounds)
    validation = make_examples(pairs["val"], start.tokenizer, *bounds)
    recipe = _recipe(settings, epochs, small=card.small)
    params = _params(recipe, card, mode, train, validation)
    work = settings.home / "training" / bot / _key(params)
    run_id = registry.start_run(f"{bot} {dataset}", params, {"bot": bot, "dataset": dataset, "mode": mode})
    try:
        reports = fit(
            start.network, train, recipe, validation=validation, progress=progress, resume=work / "progress",
            on_epoch=lambda report: registry.log_metrics(run_id, _figures(report), report.epoch),
        )  # fmt: skip
        _log_results(run_id, start, card, reports, pairs["train"], train, work, registry, settings)
    except BaseException:
        registry.end_run(run_id, failed=True)
        raise
    registry.end_run(run_id)
    clear_progress(work)
    last = reports[-1]
    return {
        "run_id": run_id, "bot": bot, "dataset": dataset, "steps": last.step, "epochs": last.epoch,
        "parent": card.parent, "loss": last.loss, "validation_nll": last.validation_nll,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def _start(
    bot: str, dataset: str, mode: Mode, registry: Registry, settings: Settings, progress: Callable[[str], None]
) -> tuple["Checkpoint", "ModelCard"]:
    """The weights to start from, and the card of what will come of them."""
    from kogpt2_chat.model.base import prepare
    from kogpt2_chat.model.card import ModelCard
    from kogpt2_chat.model.checkpoint import load_checkpoint

    champion = registry.by_alias(bot, "champion") if mode == "from_champion" else None
    if mode == "from_champion" and champion is None:
        progress(f"{bot} has no champion yet: starting from the base")
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
    )
    return loaded, card


def _recipe(settings: Settings, epochs: int | None, *, small: bool) -> "Recipe":
    """The settings' recipe; how fast to learn depends on the base unless they say it."""
    from kogpt2_chat.model.load import use_threads
    from kogpt2_chat.model.train import Recipe

    use_threads(settings)
    training = settings.training
    return Recipe(
        epochs=epochs or training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate or (SMALL_LEARNING_RATE if small else LEARNING_RATE),
        warmup_fraction=training.warmup_fraction,
        weight_decay=training.weight_decay,
        clip_norm=training.clip_norm,
        label_smoothing=training.label_smoothing,
        precision=training.precision,
        seed=training.seed,
        answer_tokens=training.answer_tokens,
        checkpoint_every_steps=training.checkpoint_every_steps,
    )


def _params(
    recipe: "Recipe", card: "ModelCard", mode: Mode, train: Sequence["Example"], validation: Sequence["Example"]
) -> dict[str, object]:
    facts = {name: value for name, value in asdict(card).items() if name not in {"files", "v"}}
    return {**asdict(recipe), **facts, "mode": mode, "train_pairs": len(train), "validation_pairs": len(validation)}


def _key(params: dict[str, object]) -> str:
    """Names the working folder: the same work finds its checkpoints again, other work never does."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:16]


def _figures(report: "EpochReport") -> dict[str, float]:
    return {name: float(value) for name, value in asdict(report).items() if value is not None and name != "epoch"}


def _log_results(
    run_id: str,
    trained: "Checkpoint",
    card: "ModelCard",
    reports: Sequence["EpochReport"],
    pairs: Sequence["Pair"],
    examples: Sequence["Example"],
    work: Path,
    registry: Registry,
    settings: Settings,
) -> None:
    """Write the version's folder, the plot and the samples aside, and upload them."""
    from kogpt2_chat.model.checkpoint import write_checkpoint

    version = work / VERSION_PATH
    write_checkpoint(
        version, trained.network, trained.tokenizer, card,
        sequences=[example.ids for example in examples],
        prompts=[example.ids[: example.answer_start] for example in examples],
    )  # fmt: skip
    registry.log_files(run_id, version, VERSION_PATH)
    shown = work / "shown"
    shown.mkdir(parents=True, exist_ok=True)
    _plot(reports, f"{card.bot} {card.dataset}", shown / "loss.png")
    _samples(version, pairs, shown, settings)
    registry.log_files(run_id, shown, "training")


def _samples(version: Path, pairs: Sequence["Pair"], folder: Path, settings: Settings) -> None:
    """What the new version says to some questions it learned."""
    from kogpt2_chat.model.answers import ask_all
    from kogpt2_chat.model.load import load_bot

    seeds = [pair for pair in pairs if pair.source == "seed"]
    chosen = seeds[:: max(1, len(seeds) // SAMPLES)][:SAMPLES]
    answers = ask_all(load_bot(version, settings), [pair.question for pair in chosen], settings)
    rows = [
        {"question": pair.question, "expected": pair.answer, "answer": answer.text}
        for pair, answer in zip(chosen, answers, strict=True)
    ]
    (folder / "samples.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
    lines = ["| question | answer | in the corpus |", "|---|---|---|"]
    lines += [f"| {_cell(row['question'])} | {_cell(row['answer'])} | {_cell(row['expected'])} |" for row in rows]
    (folder / "samples.md").write_text("\n".join(lines) + "\n", "utf-8")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plot(reports: Sequence["EpochReport"], title: str, path: Path) -> None:
    """Loss and validation NLL by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    epochs = [report.epoch for report in reports]
    axes.plot(epochs, [report.loss for report in reports], label="training loss")
    validation = [(report.epoch, report.validation_nll) for report in reports if report.validation_nll is not None]
    if validation:
        axes.plot(*zip(*validation, strict=True), label="validation answer NLL")
    axes.set(xlabel="epoch", ylabel="nat per answer token", title=title)
    axes.legend()
    figure.savefig(path, dpi=100, bbox_inches="tight")


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
