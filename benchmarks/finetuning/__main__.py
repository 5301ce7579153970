"""``python -m benchmarks.finetuning``: fine-tuning at KoGPT2's size, every form in turn, in interleaved rounds.

The results are appended to ``var/bench-finetuning/results.json``, so that several calls (other forms, a processor
capped to AVX2) come into one table and one plot; ``--rounds 0`` only writes these again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.finetuning import report
from benchmarks.finetuning.forms import FORMS
from benchmarks.finetuning.one import Job
from benchmarks.finetuning.peaks import peaks
from kogpt2_chat.machine.cores import usable_cores
from kogpt2_chat.settings import CHECKOUT

HOME: Final = CHECKOUT / "var" / "bench-finetuning"
CAPS: Final = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
STARTED: Final = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", flush=True)


def main() -> None:
    """Measure, and write the table and the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, help="CSV file with columns Q and A; without it, the bots' seeds")
    parser.add_argument("--forms", default=",".join(FORMS), help="which forms, by name")
    parser.add_argument("--rounds", type=int, default=2, help="how often each form is measured")
    parser.add_argument("--examples", type=int, default=320, help="examples of an epoch")
    parser.add_argument("--epochs", type=int, default=4, help="epochs; the first one warms up")
    parser.add_argument("--curves", action="store_true", help="measure the validation NLL after each epoch")
    parser.add_argument("--avx2", action="store_true", help="cap the kernels to AVX2")
    arguments = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    file = HOME / "results.json"
    results: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {"runs": [], "peaks": {}}
    has_bf16 = not arguments.avx2 and _has_bf16()
    names = [name for name in arguments.forms.split(",") if has_bf16 or not FORMS[name].native_bf16]
    precisions = ("fp32", "bf16") if has_bf16 else ("fp32",)
    environment = os.environ | (CAPS if arguments.avx2 else {})
    for number in range(arguments.rounds):
        results["peaks"]["avx2" if arguments.avx2 else "native"] = peaks(environment, precisions)
        for name in names:
            job = Job(
                form=name, examples=arguments.examples, epochs=arguments.epochs, validate=arguments.curves,
                start=str(HOME / "start"), pairs=str(arguments.pairs) if arguments.pairs else None,
                threads=usable_cores(),
            )  # fmt: skip
            run = _run(job, environment)
            results["runs"].append(run)
            file.write_text(json.dumps(results, indent=1), "utf-8")
            say(f"round {number + 1}, {name} ({run['capability']}): {report.speed(run):.2f} examples/s, "
                f"{run['peak_mb']} MB, NLL {run['points'][-1]['nll']}")  # fmt: skip
    report.write(results, HOME)
    say(f"written: {HOME}/report.md, curves.png")


def _has_bf16() -> bool:
    """Whether this processor has instructions for products in bf16."""
    flags = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _run(job: Job, environment: dict[str, str]) -> dict[str, Any]:
    """Run a job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.finetuning.one", json.dumps(asdict(job))]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
