"""`python -m benchmarks.peers`: the engine beside other engines for text on CPUs, on the same weights and load.

Each library has an environment of its own below the cache folder, made on the first run. Each subject runs alone in a
process. Rounds are interleaved, and every other round goes backwards, so that a slow period affects all subjects.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.__main__ import machine as machine_facts
from benchmarks.models import full_size_versions
from benchmarks.peers import report, subjects
from benchmarks.peers.environments import PeerMissing, clean_environment, python_of, short_end
from benchmarks.peers.peer_models import model_of, weights_key
from benchmarks.peers.runs import Run
from benchmarks.peers.subject_list import OURS, Subject, all_subjects
from kogpt2_chat.artifact.card import ENGINE_FILES
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.inference.form_choice import available_forms
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.machine.cores import usable_cores
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.progress_thread import ProgressThread
from kogpt2_chat.settings import CHECKOUT, load_settings

HOME: Final = CHECKOUT / "var" / "bench-peers"
PARTS: Final = {"closed": ("equal", "mixed"), "stream": ("stream",)}
STREAM_SHARE: Final = 0.7
_MOST_S: Final = 240
_ATTEMPTS: Final = 3
"""Of a process that crashes: OpenVINO 2026.4.1 does so now and then if oneDNN's kernels are limited."""
_CRASHED: Final = "crashed"
_STOPPED: Final = "stopped"
_STARTED: Final = time.monotonic()
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A subject that can be measured: its Python and its model's folder."""

    subject: Subject
    python: Path
    model: Path

    def command(self, *more: str) -> list[str]:
        """Return the command line of its process."""
        module = f"{subjects.__name__}.{self.subject.module}"
        return [str(self.python), "-m", module, "--model", str(self.model), *self.subject.arguments, *more]


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", flush=True)


def main() -> None:
    """Measure, and write ``results.jsonl``, ``report.md`` and ``report.png`` below ``var/bench-peers``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="repetitions; the report shows medians and the spread")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of one measurement")
    parser.add_argument("--minutes", type=float, default=40, help="time for this call; the same command continues")
    parser.add_argument("--cap", choices=["avx2"], help="limit the kernels of all engines to AVX2, where that is known")
    parser.add_argument("--only", help="only subjects whose name contains one of these texts, separated by commas")
    parser.add_argument("--check", action="store_true", help="only compare the subjects' tokens with each other")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the subject's process ends too
    with hold_lock(HOME.with_suffix(".lock"), say), ProgressThread(say, "preparing") as progress:
        measure(options, progress.say)


def measure(options: argparse.Namespace, tell: Say) -> None:
    """Prepare the subjects, measure them, and write the report."""
    deadline = time.monotonic() + 60 * options.minutes
    settings = load_settings()
    version = full_size_versions(CHECKOUT / "var" / "bench-models", tell)[BOT_IDS[0]]
    forms = available_forms(version / ENGINE_FILES[0], find_library())
    wanted = [subject for subject in all_subjects(forms, usable_cores())
              if not options.only or any(text in subject.name for text in options.only.split(","))]  # fmt: skip
    ready, missing = prepare(wanted, version, settings.cache_dir / "bench-peers", tell)
    if options.check:
        check(ready, options.cap, tell)
        return
    estimate_s = options.rounds * len(ready) * step_s(options.seconds)
    tell(f"measuring {len(ready)} subjects in {options.rounds} rounds: about {estimate_s / 60:.0f} minutes, at most "
         f"{options.minutes:g} in this call; nothing else should run on this machine")  # fmt: skip
    facts = {**machine_facts(), "weights": weights_key(version), "cap": options.cap, "rounds": options.rounds,
             "seconds": options.seconds, "subjects": [one.subject.name for one in ready]}  # fmt: skip
    del facts["load_before"]
    folder = HOME / (options.cap or "uncapped")
    run = Run(folder / "results.jsonl", facts)
    if run.continued:
        tell(f"continuing {folder / 'results.jsonl'}")
    for name, error in missing.items():
        run.add({"missing": name, "error": error})
    finished = _all_steps(run, ready, version, options, deadline, tell)
    if finished:
        run.complete()
    report.write(run.lines, wanted, folder)
    tell(f"written: {folder}/results.jsonl, report.md, report.png"
         + ("" if finished else "; the time is over: the same command continues"))  # fmt: skip
    print((folder / "report.md").read_text("utf-8"))


def prepare(wanted: list[Subject], version: Path, cache: Path, tell: Say) -> tuple[list[Ready], dict[str, str]]:
    """Make missing environments and models; return the subjects that are ready, and the errors of the others."""
    ready, missing = [], {}
    for subject in wanted:
        try:
            python = python_of(subject.peer, cache, tell) if subject.peer else Path(sys.executable)
            ready.append(Ready(subject=subject, python=python, model=model_of(subject, version.resolve(), cache, tell)))
        except PeerMissing as error:
            missing[subject.name] = str(error)
            tell(f"left out: {error}")
    return ready, missing


def _all_steps(
    run: Run, ready: list[Ready], version: Path, options: argparse.Namespace, deadline: float, tell: Say
) -> bool:
    """Do what is not done yet; return False if the time is over before that."""
    for number in range(1, options.rounds + 1):
        if not run.is_done(number, "limits"):
            tell("measuring the machine's limits")
            _limits(run, number, version, _environment(OURS, options.cap, ready))
        order = ready if number % 2 else ready[::-1]
        for phase, parts in PARTS.items():
            if phase == "stream" and run.value("rate") is None:
                run.add({"rate": stream_rate(run.lines)})
            for one in order:
                if run.is_done(number, phase, one.subject.name):
                    continue
                left_s = deadline - time.monotonic()
                if left_s < step_s(options.seconds):
                    return False
                if not _one_step(run, one, phase, parts, number, options, min(left_s, _MOST_S), tell):
                    return False
    return True


def _limits(run: Run, number: int, version: Path, environment: dict[str, str]) -> None:
    """Measure the machine's limits: in each round, because other work makes them look lower than they are."""
    command = [sys.executable, "-m", "benchmarks.peers.machine"]
    lines, errors = _tried(command, environment, _MOST_S)
    if not lines:
        raise SystemExit(f"the machine's limits could not be measured: {'; '.join(errors)}")
    chosen, errors = _tried([*command, str(version)], environment, _MOST_S)
    if not chosen:
        run.add({"failed": "choice of a form", "error": f"round {number}: {errors[-1]}"})
    run.add({"limits": lines[0] | (chosen[0] if chosen else {"chosen": None})})
    run.finish(number, "limits")


def _one_step(
    run: Run, one: Ready, phase: str, parts: tuple[str, ...], number: int, options: argparse.Namespace,
    most_s: float, tell: Say,
) -> bool:  # fmt: skip
    """Measure one subject in one phase of one round, and write its lines; return False if this call's time was over."""
    name = one.subject.name
    if phase == "stream" and one.subject.batching == "single":
        run.finish(number, phase, name)
        return True
    load = psutil.getloadavg()[0]
    tell(f"round {number}, {phase}: {name} (load average {load:.1f})")
    waiting = ",".join(map(str, one.subject.waiting))
    command = one.command("--round", str(number), "--seconds", str(options.seconds), "--waiting", waiting,
                          *(f"--part={part}" for part in parts), "--rate", str(run.value("rate") or 1))  # fmt: skip
    lines, errors = _tried(command, _environment(name, options.cap, [one]), most_s)
    if errors and errors[-1].startswith(_STOPPED) and most_s < _MOST_S:
        tell(f"  {name}: not done when this call's time was over; the next call measures it again")
        return False
    for error in errors:
        run.add({"failed": name, "error": f"round {number}, {phase}: {error}"})
        tell(f"  {name}: {error}")
    for line in lines:
        run.add({"subject": name, "cap": options.cap, **line})
        tell("  " + _in_short(line))
    run.finish(number, phase, name)
    return True


def _in_short(line: dict[str, Any]) -> str:
    where = f"stream of {line['rate']:.1f}/s" if line["part"] == "stream" else f"{line['waiting']} waiting"
    p50 = "-" if line["p50_ms"] is None else f"{line['p50_ms']:.0f}"
    return f"{line['part']}, {where}: {line['answers_per_s']:.2f} answers/s, p50 {p50} ms"


def _environment(name: str, cap: str | None, ready: list[Ready]) -> dict[str, str]:
    """Return the environment of a subject's process, with the variables of the cap."""
    caps = next((one.subject.caps for one in ready if one.subject.name.startswith(name)), ()) if cap else ()
    return clean_environment(**dict(caps))


def _tried(command: list[str], environment: dict[str, str], most_s: float) -> tuple[list[dict[str, Any]], list[str]]:
    """Run a subject's process, again if it crashes; return the lines of the last attempt, and the errors of all."""
    errors: list[str] = []
    for _ in range(_ATTEMPTS):
        lines, error = _lines_of(command, environment, most_s)
        if error:
            errors.append(error)
        if not error.startswith(_CRASHED):
            break
    return lines, errors


def _lines_of(command: list[str], environment: dict[str, str], most_s: float) -> tuple[list[dict[str, Any]], str]:
    """Run a subject's process; return its lines, and an error or an empty text."""
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)  # fmt: skip
    error = ""
    try:
        out, err = process.communicate(timeout=most_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        error = f"{_STOPPED} after {most_s:.0f} s"
    except BaseException:
        process.kill()
        raise
    if process.returncode < 0 and not error:
        error = f"{_CRASHED} with signal {-process.returncode}: {short_end(err)}"
    elif process.returncode and not error:
        error = f"exit code {process.returncode}: {short_end(err)}"
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")], error


def step_s(seconds: float) -> float:
    """Return about how long a subject takes in a round: starts, warm-up, and loads of up to three measurements each."""
    return 12 + 20 * seconds


def stream_rate(lines: list[dict[str, Any]]) -> float:
    """Return the arrivals per second of the stream: 70 % of what the best peer answers with 8 waiting.

    So the stream does not depend on ours, and every engine that is near the best one keeps up with it.
    """
    mixed = [line for line in lines if line.get("part") == "mixed" and line["waiting"] == 8]
    rates = [line["answers_per_s"] for line in mixed if not line["subject"].startswith(OURS)]
    return STREAM_SHARE * max(rates, default=10.0)


def check(ready: list[Ready], cap: str | None, tell: Say) -> None:
    """Print for each subject how many of its tokens are those of transformers in fp32."""
    tokens: dict[str, list[list[int]]] = {}
    for one in ready:
        tell(f"answers of {one.subject.name}")
        lines, errors = _tried(one.command("--part", "check"), _environment(one.subject.name, cap, [one]), _MOST_S)
        for error in errors:
            tell(f"  {error}")
        if lines:
            tokens[one.subject.name] = lines[0]["tokens"]
    print("\n".join(report.agreement(tokens)))


if __name__ == "__main__":
    os.chdir(CHECKOUT)
    main()
