"""Two tables and a plot from a run's lines: medians, ratios, and how near each engine comes to the limits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.peers.loads import NEW_TOKENS, PROMPT_TOKENS
from benchmarks.peers.runs import is_complete
from benchmarks.peers.subject_list import ORIGINAL, OURS, Subject
from benchmarks.report import LAYERS_ONLY, WEIGHTS_READ

Line = dict[str, Any]
WAITING: Final = (1, 8, 32)
MIXED: Final = (8, 32)
_ANSWER_READS: Final = NEW_TOKENS
"""Passes of an answer, each of which reads all weights: the prompt's pass gives the first token."""
_ANSWER_OPS: Final = 2 * (NEW_TOKENS * WEIGHTS_READ + (PROMPT_TOKENS - 1) * LAYERS_ONLY)
_MIN_AGREEMENT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure's median and extremes over the rounds."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        """The median, with the extremes if they differ by more than a hundredth of it."""
        if self.most - self.least <= self.middle / 100:
            return f"{self.middle:.2f}"
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


class Rounds:
    """The figures of a run by subject, part and load."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._found: dict[tuple[str, str, int], list[Line]] = defaultdict(list)
        for line in lines:
            if "part" in line:
                self._found[line["subject"], line["part"], line.get("waiting", 0)].append(line)

    def figure(self, subject: str, part: str, waiting: int, name: str = "answers_per_s") -> Figure | None:
        """Return a figure, or None if it was not measured."""
        values = [line[name] for line in self._found.get((subject, part, waiting), []) if line[name] is not None]
        return Figure(median(values), min(values), max(values)) if values else None

    def best_peer(self, part: str, waiting: int, names: Sequence[str]) -> tuple[str, float] | None:
        """Return the fastest of these subjects that is neither ours nor the original way, and its rate."""
        rates = {name: found.middle for name in names if not name.startswith(OURS) and name != ORIGINAL
                 if (found := self.figure(name, part, waiting))}  # fmt: skip
        return max(rates.items(), key=lambda pair: pair[1]) if rates else None


def write(lines: Sequence[Line], subjects: Sequence[Subject], folder: Path) -> None:
    """Write ``report.md`` and ``report.png``."""
    rounds = Rounds(lines)
    text = [*_head(lines), "", *closed_table(rounds, subjects, highest_limits(lines)), "",
            *mixed_table(rounds, subjects, _value(lines, "rate")), "", *_notes(lines, subjects)]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text("\n".join(text) + "\n", "utf-8")
    _plot(rounds, subjects, folder / "report.png")


def closed_table(rounds: Rounds, subjects: Sequence[Subject], limits: Line | None) -> list[str]:
    """Return the table of the closed loop with equal lengths."""
    rows = [
        (
            "| engine | batching | 1 waiting | 8 | 32 | x the original way | of the best peer, % | "
            "of memory's bandwidth at 1, % | of the product peak at 32, % |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    unit = rounds.figure(ORIGINAL, "equal", 1)
    for subject in subjects:
        found = {waiting: rounds.figure(subject.name, "equal", waiting) for waiting in WAITING}
        if not any(found.values()):
            continue
        cells = [subject.name, subject.batching, *(str(figure or "–") for figure in found.values())]
        cells.append(_joined([_ratio(figure, unit and unit.middle, 1) for figure in found.values()]))
        cells.append(_shares_of_best(rounds, "equal", found, subjects))
        cells += nearness(found, subject.bytes_per_weight, limits)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def nearness(found: dict[int, Figure | None], bytes_per_weight: float, limits: Line | None) -> list[str]:
    """Return how near the rates at 1 and at 32 come to the machine's limits, in percent.

    Args:
        found: rates by number waiting, in answers per second.
        bytes_per_weight: that the engine reads.
        limits: measured bandwidth and product speeds.
    """
    one, many = found.get(1), found.get(32)
    if limits is None:
        return ["–", "–"]
    read = one and one.middle * _ANSWER_READS * WEIGHTS_READ * bytes_per_weight / 1e9 / limits["read_gb_per_s"]
    peak = max(limits["int8_gop_per_s"], limits["fp32_gop_per_s"])
    products = many and many.middle * _ANSWER_OPS / 1e9 / peak
    return ["–" if share is None else f"{100 * share:.0f}" for share in (read, products)]


def mixed_table(rounds: Rounds, subjects: Sequence[Subject], rate: float | None) -> list[str]:
    """Return the table of mixed lengths: the closed loop, and the stream of that many requests per second."""
    arriving = "stream" if rate is None else f"{rate:.1f}/s arriving"
    rows = [
        (
            f"| engine | batching | 8 waiting, answers/s | 32 | x the original way, tokens/s | of the best peer, % | "
            f"{arriving}: p50, ms | p95, ms | answered of them, % |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    unit = rounds.figure(ORIGINAL, "mixed", 1, "tokens_per_s")
    for subject in subjects:
        found = {waiting: rounds.figure(subject.name, "mixed", waiting) for waiting in MIXED}
        if not any(found.values()):
            continue
        tokens = [rounds.figure(subject.name, "mixed", waiting, "tokens_per_s") for waiting in MIXED]
        cells = [subject.name, subject.batching, *(str(figure or "–") for figure in found.values())]
        cells.append(_joined([_ratio(figure, unit and unit.middle, 1) for figure in tokens]))
        cells.append(_shares_of_best(rounds, "mixed", found, subjects))
        cells += _stream_cells(rounds, subject.name)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _stream_cells(rounds: Rounds, subject: str) -> list[str]:
    p50, p95 = (rounds.figure(subject, "stream", 0, name) for name in ("p50_ms", "p95_ms"))
    asked, left = (rounds.figure(subject, "stream", 0, name) for name in ("asked", "unanswered"))
    answered = "–" if asked is None or left is None else f"{100 * (1 - left.middle / asked.middle):.0f}"
    return [*("–" if figure is None else f"{figure.middle:.0f}" for figure in (p50, p95)), answered]


def _shares_of_best(
    rounds: Rounds, part: str, found: dict[int, Figure | None], subjects: Sequence[Subject]
) -> str:  # fmt: skip
    names = [subject.name for subject in subjects]
    best = {waiting: rounds.best_peer(part, waiting, names) for waiting in found}
    shares = [(figure, best[waiting]) for waiting, figure in found.items()]
    return _joined([_ratio(figure, peer and peer[1] / 100, 0) for figure, peer in shares])


def _ratio(figure: Figure | None, unit: float | None, digits: int) -> str:
    return f"{figure.middle / unit:.{digits}f}" if figure and unit else "–"


def _joined(cells: Sequence[str]) -> str:
    return " / ".join(cells)


def _head(lines: Sequence[Line]) -> list[str]:
    facts, limits = lines[0]["facts"], highest_limits(lines)
    loads = [line["load"] for line in lines if "load" in line]
    state = "" if is_complete(list(lines)) else ", not complete"
    cap = f"kernels limited to {facts['cap'].upper()} where that is known" if facts["cap"] else "no limit on kernels"
    head = [
        (
            f"{facts['processor']}, {facts['cores']} cores, commit {facts['commit']}; {cap}; "
            f"{facts['rounds']} rounds{state}, each measurement about {facts['seconds']:g} s; medians (lowest–highest)."
        )
    ]
    if loads:
        busy = max(loads) > facts["cores"] + 1
        head.append(
            f"Load average during the run: {min(loads):.1f} to {max(loads):.1f}"
            + ("; **other work ran at the same time: the ratios mean nothing**." if busy else ".")
        )
    if limits:
        head.append(
            f"Limits measured in this run: {limits['read_gb_per_s']:.1f} GB/s read from memory, "
            f"{limits['read_gb_per_s'] * 1e9 / (_ANSWER_READS * WEIGHTS_READ):.1f} answers/s for one row of int8 "
            f"weights; one large product {limits['int8_gop_per_s']:.0f} GOP/s in int8, {limits['fp32_gop_per_s']:.0f} "
            f"in fp32, {max(limits['int8_gop_per_s'], limits['fp32_gop_per_s']) * 1e9 / _ANSWER_OPS:.0f} answers/s."
        )
        chosen = limits["chosen"]["form"] if limits["chosen"] else "not known, because a form crashed"
        head.append(f"Form that the project chooses here: {chosen}.")
    return head


def _notes(lines: Sequence[Line], subjects: Sequence[Subject]) -> list[str]:
    notes = []
    rounds = Rounds(lines)
    names = [subject.name for subject in subjects]
    for part, loads in (("equal", WAITING), ("mixed", MIXED)):
        best = [(waiting, peer) for waiting in loads if (peer := rounds.best_peer(part, waiting, names))]
        if best:
            named = "; ".join(f"{waiting} waiting: {name}, {rate:.2f}/s" for waiting, (name, rate) in best)
            notes.append(f"Best peer, {part} lengths: {named}.")
    if lines[0]["facts"]["cap"]:
        notes += [f"Limit of {subject.name}: {subject.cap_note}." for subject in subjects]
    notes += [f"Left out, {line['missing']}: {line['error']}" for line in lines if "missing" in line]
    notes += [f"Failed, {line['failed']}: {line['error']}" for line in lines if "failed" in line]
    return notes


def agreement(tokens: dict[str, list[list[int]]]) -> list[str]:
    """Return for each subject the share of its tokens that are those of transformers, and whether it is enough.

    Rounding weights to int8 changes a close choice here and there, and all tokens after it. A wrong graph or a wrong
    table of weights gives hardly any common token.
    """
    reference = next((answers for name, answers in tokens.items() if name.startswith("transformers")), None)
    if reference is None:
        return ["transformers, which the others are compared with, gave no answer"]
    rows = ["| engine | tokens as transformers in fp32, % | first tokens, % | same network |", "|---|---|---|---|"]
    for name, answers in tokens.items():
        pairs = [(a, b) for answer, wanted in zip(answers, reference, strict=True)
                 for a, b in zip(answer, wanted, strict=True)]  # fmt: skip
        first = [(answer[0], wanted[0]) for answer, wanted in zip(answers, reference, strict=True)]
        share, first_share = (sum(a == b for a, b in found) / len(found) for found in (pairs, first))
        verdict = "yes" if share >= _MIN_AGREEMENT else "**no**"
        rows.append(f"| {name} | {100 * share:.0f} | {100 * first_share:.0f} | {verdict} |")
    return rows


def highest_limits(lines: Sequence[Line]) -> Line | None:
    """Return the highest of each limit in all rounds, and the form chosen in the first; None before the first."""
    found = [line["limits"] for line in lines if "limits" in line]
    if not found:
        return None
    return found[0] | {name: max(limits[name] for limits in found) for name in found[0] if name != "chosen"}


def _value(lines: Sequence[Line], name: str) -> Any:
    return next((line[name] for line in lines if name in line), None)


def _plot(rounds: Rounds, subjects: Sequence[Subject], path: Path) -> None:
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(12, 5))
    axes = picture.subplots(1, 2)
    for axis, part, loads, title in (
        (axes[0], "equal", WAITING, "24 tokens each"), (axes[1], "mixed", MIXED, "4 to 48 tokens, mixed"),
    ):  # fmt: skip
        for number, subject in enumerate(subjects):
            found = {waiting: figure for waiting in loads if (figure := rounds.figure(subject.name, part, waiting))}
            if not found:
                continue
            middle = [figure.middle for figure in found.values()]
            spread = [[figure.middle - figure.least for figure in found.values()],
                      [figure.most - figure.middle for figure in found.values()]]  # fmt: skip
            ours = subject.name.startswith(OURS)
            axis.errorbar(list(found), middle, yerr=spread, marker="o" if ours else "x", color=f"C{number}",
                          linestyle="-" if ours else "--", capsize=2, label=subject.name)  # fmt: skip
        axis.set(xlabel="requests waiting", ylabel="answers/s", xscale="log", yscale="log", title=title)
        axis.set_xticks(loads, [str(load) for load in loads])
        axis.xaxis.set_minor_formatter("")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
    axes[0].legend(fontsize=7)
    picture.savefig(path, dpi=110, bbox_inches="tight")
