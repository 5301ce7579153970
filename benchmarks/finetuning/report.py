"""The table and the plot of the measured trainings."""

from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.finetuning.forms import FORMS, RECIPE

_COLUMNS: Final = (
    "form", "examples/s (each run)", "x the tutorial", "peak memory, MB", "CPU s an example", "x the tutorial in CPU s",
    "of the matmul peak", "validation NLL, last",
)  # fmt: skip
_LAYERS_WEIGHTS: Final = 12 * 12 * 768**2
_HEAD_WEIGHTS: Final = 51_200 * 768
_PROMPT_AND_ANSWER: Final = 16.6
_ANSWER: Final = 7.2
"""Mean tokens of a pair, and of its answer with its end, in ``ChatbotData.csv``."""


def speed(run: dict[str, Any]) -> float:
    """Return the median examples/s of the epochs after the first one."""
    return median(point["examples_per_s"] for point in run["points"][2:])


def cpu_s(run: dict[str, Any]) -> float:
    """Return the median CPU seconds of an example in the epochs after the first one; other work changes it less."""
    return median(point["cpu_s"] for point in run["points"][2:]) / run["examples"]


def useful_gflop(name: str) -> float:
    """Return the arithmetic that an example needs in a form without padding, in GFLOP.

    A weight costs two operations a token in the forward pass, two for the gradient of its input, and two for its own.
    """
    form = FORMS[name]
    recipe = {**RECIPE, **(form.recipe or {})}
    per_weight = 4 if recipe.get("lora_rank") else 6
    frozen = form.frozen / 12
    layers = _LAYERS_WEIGHTS * (frozen * 2 + (1 - frozen) * per_weight)
    head = _HEAD_WEIGHTS * (4 if form.frozen else per_weight)
    return (_PROMPT_AND_ANSWER * layers + _ANSWER * head) / 1e9


def write(results: dict[str, Any], folder: Path) -> None:
    """Write ``report.md`` and ``curves.png``."""
    by_kind: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in results["runs"]:
        by_kind[(run["capability"], run["form"])].append(run)
    lines = []
    for capability in sorted({kind[0] for kind in by_kind}, reverse=True):
        peak = results["peaks"].get("avx2" if capability == "AVX2" else "native", {})
        lines += [
            f"{capability}, largest matrix product: {peak} GFLOP/s", "",
            f"| {' | '.join(_COLUMNS)} |",
            "|---" * len(_COLUMNS) + "|",
        ]  # fmt: skip
        plain = [cpu_s(run) for run in by_kind.get((capability, "tutorial"), [])]
        base_cpu_s = median(plain or [float("nan")])
        base = median([speed(run) for run in by_kind.get((capability, "tutorial"), [])] or [float("nan")])
        for name in FORMS:
            if runs := by_kind.get((capability, name)):
                lines.append(_row(name, runs, base, base_cpu_s, peak))
        lines.append("")
    (folder / "report.md").write_text("\n".join(lines), "utf-8")
    _plot(results["runs"], folder / "curves.png")


def _row(name: str, runs: list[dict[str, Any]], base: float, base_cpu_s: float, peak: dict[str, float]) -> str:
    speeds = [speed(run) for run in runs]
    middle = median(speeds)
    bf16 = FORMS[name].native_bf16
    share = middle * useful_gflop(name) / peak.get("bf16" if bf16 else "fp32", float("nan"))
    nlls = [run["points"][-1]["nll"] for run in runs if run["points"][-1]["nll"] is not None]
    cpu = median([cpu_s(run) for run in runs] or [float("nan")])
    each = ", ".join(f"{one:.1f}" for one in speeds)
    memory = max(run["peak_mb"] for run in runs)
    return (
        f"| {FORMS[name].text} | {middle:.1f} ({each}) | {middle / base:.2f} | "
        f"{memory} | {cpu:.3f} | {base_cpu_s / cpu:.2f} | {share:.0%} | {f'{nlls[-1]:.3f}' if nlls else '–'} |"
    )


def _plot(runs: list[dict[str, Any]], file: Path) -> None:
    """Draw the validation NLL over the examples seen, and over the seconds of training."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (over_examples, over_seconds) = plt.subplots(1, 2, figsize=(13, 5), sharey=True)
    curves = [run for run in runs if run["points"][0]["nll"] is not None]
    for run in curves:
        nlls = [point["nll"] for point in run["points"]]
        label = f"{FORMS[run['form']].text} ({run['capability']})"
        over_examples.plot([number * run["examples"] for number in range(len(nlls))], nlls, marker="o", label=label)
        over_seconds.plot([point["seconds"] for point in run["points"]], nlls, marker="o", label=label)
    over_examples.set_xlabel("examples seen")
    over_seconds.set_xlabel("seconds of training")
    over_examples.set_ylabel("validation NLL, nat per token")
    over_seconds.legend(fontsize=7)
    over_seconds.set_xscale("symlog", linthresh=10)
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    plt.close(figure)
