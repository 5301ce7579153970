"""Write a plot of a training's epochs and sample answers of the new version, for people to read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.artifact.card import ModelCard
    from kogpt2_chat.domain.learning.pairs import Pair
    from kogpt2_chat.training.early_stop import EpochReport

SAMPLES: Final = 20


def write_report(
    work: Path,
    version: Path,
    card: "ModelCard",
    reports: Sequence["EpochReport"],
    pairs: Sequence["Pair"],
    settings: Settings,
) -> Path:
    """Write a plot and sample answers.

    Args:
        work: the training's working folder.
        version: the new version's folder.
        card: names the bot and the dataset.
        reports: one per epoch.
        pairs: the learned pairs; the samples answer questions of some of its seed pairs.
        settings: limits of the engine.

    Returns:
        The folder that contains them.
    """
    shown = work / "shown"
    shown.mkdir(parents=True, exist_ok=True)
    _plot(reports, f"{card.bot} {card.dataset}", shown / "loss.png")
    _samples(version, pairs, shown, settings)
    return shown


def _samples(version: Path, pairs: Sequence["Pair"], folder: Path, settings: Settings) -> None:
    """Write the new version's answers to some questions that it learned."""
    from kogpt2_chat.evaluation.answers import generate_reference_answers
    from kogpt2_chat.network.load import load_bot

    seeds = [pair for pair in pairs if pair.source == "seed"]
    chosen = seeds[:: max(1, len(seeds) // SAMPLES)][:SAMPLES]
    answers = generate_reference_answers(load_bot(version, settings), [pair.question for pair in chosen], settings)
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
    """Plot the training loss and the validation NLL by epoch."""
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
