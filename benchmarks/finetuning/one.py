"""``python -m benchmarks.finetuning.one JOB``: train with one form, in a process whose peak memory is measured."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from benchmarks.finetuning import tutorial
from benchmarks.finetuning.data import read_csv, split, start_network
from benchmarks.finetuning.forms import FORMS, RECIPE, Form
from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.training.early_stop import EpochReport
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training to measure.

    Attributes:
        form: key of :data:`FORMS`.
        examples: number of examples; each epoch sees all of them.
        epochs: passes; the first one warms up.
        validate: whether to measure the validation NLL before training and after each epoch.
        start: folder of the start network.
        pairs: CSV file with columns Q and A; None: the seeds.
        threads: of torch.
    """

    form: str
    examples: int
    epochs: int
    validate: bool
    start: str
    pairs: str | None
    threads: int


def measure(job: Job) -> dict[str, Any]:
    """Train, and return the peak memory and for each epoch steps, seconds, examples/s, CPU seconds, validation NLL."""
    torch.set_num_threads(job.threads)
    pairs = read_csv(Path(job.pairs) if job.pairs else None)
    network = start_network(Path(job.start), pairs, lambda line: print(line, file=sys.stderr, flush=True))
    learned, held_out = split(pairs, job.examples)
    validation = held_out if job.validate else []
    form = FORMS[job.form]
    points = [{"steps": 0, "seconds": 0.0, "nll": _nll(network, validation), "examples_per_s": None}]
    cpu_s = time.process_time()

    def add(steps: int, seconds: float) -> None:
        nonlocal cpu_s
        used = time.process_time() - cpu_s
        points.append({
            "steps": steps, "seconds": points[-1]["seconds"] + seconds, "nll": _nll(network, validation),
            "examples_per_s": len(learned) / seconds, "cpu_s": used,
        })  # fmt: skip
        cpu_s = time.process_time()

    if form.recipe is None:
        tutorial.train(network, learned, job.epochs, add)
    else:
        _train(network, form, learned, job, add)
    return {
        **asdict(job), "points": points, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }  # fmt: skip


def _train(
    network: GPT2LMHeadModel, form: Form, learned: list[Example], job: Job, add: Callable[[int, float], None]
) -> None:
    """Train with the project's trainer."""
    if form.frozen:
        network.transformer.wte.requires_grad_(False)
        network.transformer.wpe.requires_grad_(False)
        for block in network.transformer.h[: form.frozen]:
            block.requires_grad_(False)
    if form.compiled:
        for block in network.transformer.h:
            block.compile()
    tokens = sum(len(example.ids) - example.answer_start for example in learned)

    def finished(report: EpochReport) -> None:
        add(report.step, tokens / report.tokens_per_s)

    recipe = Recipe(**{**RECIPE, **(form.recipe or {}), "epochs": job.epochs})
    started = time.perf_counter()
    fit(network, learned, recipe, on_epoch=finished)
    print(f"{time.perf_counter() - started:.1f} s in all", file=sys.stderr)


def _nll(network: GPT2LMHeadModel, examples: list[Example]) -> float | None:
    """Return the mean NLL of the answers, in nats per token; None without examples."""
    nlls = nll_by_example(network, examples)
    return sum(nlls) / len(nlls) if nlls else None


if __name__ == "__main__":
    print(json.dumps(measure(Job(**json.loads(sys.argv[1])))))
