"""Turn measurements into medians, ratios to the original loop, a comparison with targets, a table and a plot."""

from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.workload import NEW_TOKENS

WEIGHTS_READ: Final = 124_000_000
"""Weights that are read per new token, one byte each: twelve layers and the vocabulary projection."""
LAYERS_ONLY: Final = 85_000_000
"""Weights that are read per prompt token, except for the last one, which also needs the vocabulary projection."""
FIGURES: Final = ("answers_per_s", "tokens_per_s", "p50_ms", "p95_ms", "p99_ms", "cpu_cores")
Key = tuple[str, int, str]


def medians(rows: list[dict[str, Any]]) -> dict[Key, dict[str, float]]:
    """Return the medians by subject, number of bots and load."""
    grouped: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["subject"], row["bots"], row["load"]].append(row)
    return {key: {name: median(row[name] for row in found) for name in FIGURES} for key, found in grouped.items()}


def targets(found: dict[Key, dict[str, float]], memory: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Return for each target: its name, the measured value, the target value, and whether it is met."""
    first = found["a original", 1, "1"]
    d, c, plain = "d worker", "c bare loop", "d without exactly-once"

    def rate(subject: str, bots: int, load: str) -> float:
        return found[subject, bots, load]["answers_per_s"]

    def at_least(what: str, measured: float, target: float) -> tuple[str, float, float, bool]:
        return what, measured, target, measured >= target

    def at_most(what: str, measured: float, target: float) -> tuple[str, float, float, bool]:
        return what, measured, target, measured <= target

    lines = [
        at_least(
            "one answer: latency of (a) / latency of the worker", first["p50_ms"] / found[d, 1, "1"]["p50_ms"], 15
        ),
        at_least("one bot, 8 in flight: answers/s of the worker / (a)", rate(d, 1, "8") / first["answers_per_s"], 80),
        at_least(
            "one bot, 32 in flight: answers/s of the worker / (a)", rate(d, 1, "32") / first["answers_per_s"], 120
        ),
        at_least(
            "three bots, 32 in flight: answers/s of the worker / (a)", rate(d, 3, "32") / first["answers_per_s"], 60
        ),
        at_least("stretch: one bot, 32 in flight", rate(d, 1, "32") / first["answers_per_s"], 200),
    ]
    for bots in (1, 3):
        lines.append(
            at_least(f"{bots} bots, 32 in flight: worker / bare loop", rate(d, bots, "32") / rate(c, bots, "32"), 0.95)
        )
        for name, target in (("p50_ms", 60.0), ("p99_ms", 200.0)):
            added = found[d, bots, "poisson"][name] - found[c, bots, "poisson"][name]
            lines.append(at_most(f"{bots} bots, Poisson at 70 %: added {name.removesuffix('_ms')}, ms", added, target))
        cost = 1 - rate(d, bots, "32") / rate(plain, bots, "32")
        lines.append(at_most(f"{bots} bots, 32 in flight: cost of exactly-once, share", cost, 0.05))
    lines.append(at_most("three bots at rest, RSS in MB", memory["three bots at rest"]["rss_mb"], 1500))
    return lines


def shares(found: dict[Key, dict[str, float]], facts: dict[str, Any]) -> list[str]:
    """Return sentences that compare decoding with the limits of the machine."""
    limit = facts["limits"]
    new, asked = NEW_TOKENS, facts["prompt_tokens"]
    one, many = found["c bare loop", 1, "1"]["answers_per_s"], found["c bare loop", 1, "32"]["answers_per_s"]
    read = one * new * WEIGHTS_READ / 1e9
    products = many * 2 * (new * WEIGHTS_READ + (asked - 1) * LAYERS_ONLY) / 1e9
    return [
        (
            f"One in flight: weights are read at {read:.1f} GB/s, {read / limit['read_gb_per_s']:.0%} of this "
            f"machine's memory bandwidth of {limit['read_gb_per_s']:.1f} GB/s."
        ),
        (
            f"32 in flight: {products:.0f} GOP/s of products, {products / limit['product_gop_per_s']:.0%} of the "
            f"{limit['product_gop_per_s']:.0f} GOP/s that one large product reaches (form {facts['form']['form']})."
        ),
    ]


def write(facts: dict[str, Any], folder: Path) -> None:
    """Write the table and the plot."""
    found = medians(facts["rows"])
    base = found["a original", 1, "1"]["answers_per_s"]
    lines = [
        (
            f"{facts['machine']['processor']}, {facts['machine']['cores']} cores, commit {facts['machine']['commit']}; "
            f"{facts['prompt_tokens']} prompt tokens, 24 new ones; medians."
        ),
        "",
        "| subject | bots | load | answers/s | x (a) | tokens/s | p50 ms | p95 ms | p99 ms | cores used |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (subject, bots, load), row in found.items():
        lines.append(
            f"| {subject} | {bots} | {load} | {row['answers_per_s']:.2f} | {row['answers_per_s'] / base:.1f} | "
            f"{row['tokens_per_s']:.0f} | {row['p50_ms']:.0f} | {row['p95_ms']:.0f} | {row['p99_ms']:.0f} | "
            f"{row['cpu_cores']:.2f} |"
        )
    lines += ["", "| figure | measured | target | met |", "|---|---|---|---|"]
    lines += [f"| {what} | {measured:.2f} | {target:g} | {'yes' if met else '**no**'} |"
              for what, measured, target, met in targets(found, facts["memory_mb"])]  # fmt: skip
    lines += ["", *shares(found, facts), "", f"Memory of the worker, MB: {facts['memory_mb']}"]
    if "swaps" in facts:
        lines += ["", "Swaps: " + ", ".join(f"{name} {value:.4g}" for name, value in facts["swaps"].items())]
    if "growth" in facts:
        names = (
            "what grows",
            "questions",
            "partitions",
            "workers",
            "answers/s",
            "RSS MB after a tenth",
            "RSS MB at the end",
        )
        lines += ["", f"| {' | '.join(names)} |", "|---|---|---|---|---|---|---|"]
        lines += [f"| {row['what']} | {row['questions']} | {row['partitions']} | {row['workers']} | "
                  f"{row['answers_per_s']:.0f} | {row['rss_mb_after_a_tenth']:.0f} | {row['rss_mb_at_the_end']:.0f} |"
                  for row in facts["growth"]]  # fmt: skip
    (folder / "report.md").write_text("\n".join(lines) + "\n", "utf-8")
    _plot(found, folder / "report.png")


def _plot(found: dict[Key, dict[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5))
    left, right = figure.subplots(1, 2)
    loads = ["1", "8", "32"]
    for subject, bots in sorted({(subject, bots) for subject, bots, _ in found}):
        known = [load for load in loads if (subject, bots, load) in found]
        label = f"{subject}, {bots} bot{'s' if bots > 1 else ''}"
        left.plot([int(load) for load in known],
                  [found[subject, bots, load]["answers_per_s"] for load in known], marker="o", label=label)  # fmt: skip
        right.plot([int(load) for load in known],
                   [found[subject, bots, load]["p99_ms"] for load in known], marker="o", label=label)  # fmt: skip
    left.set(xlabel="questions in flight", ylabel="answers/s", xscale="log", yscale="log", title="throughput")
    right.set(xlabel="questions in flight", ylabel="p99 latency, ms", xscale="log", yscale="log", title="latency")
    left.legend(fontsize=7)
    figure.savefig(path, dpi=110, bbox_inches="tight")
