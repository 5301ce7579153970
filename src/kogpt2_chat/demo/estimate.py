"""Estimate a demo's time, memory and disk space from a few steps on this machine, before the demo starts.

:mod:`kogpt2_chat.training.step_times` times the steps and counts them. What does not depend on the base is a constant
from docs/measurements.md.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from kogpt2_chat.demo.players import TROLLED, Script
from kogpt2_chat.domain.learning.time_limits import ESTIMATE_FILE
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.disk_space import free_space_at
from kogpt2_chat.stack.program import environment_with_settings
from kogpt2_chat.training.measured_steps import Asked, Counted, StepTimes, command, parse

TIMEOUT_S: Final = 600.0
SERVERS_MB: Final = 4700
"""Memory of all servers at rest."""
_SERVERS_S: Final = 60.0
_DATASET_S: Final = 40.0
"""Start of a run, and its Spark application."""
_TASK_STARTS: Final = 3
"""Each version starts about this many Python processes with torch."""
_CONVERT_S: Final = 10.0
_CONVERT_S_PER_M_WEIGHTS: Final = 0.2
_SERVED_TOKEN_SHARE: Final = 0.5
"""Time of a token on the serving engine, as a share of the reference engine's."""
_TALK_S: Final = 35.0
_INGEST_S: Final = 6.0
_VERSIONS, _COPIES = 2, 2
"""A demo makes two versions of a bot. Each is in the registry, and once where tasks and workers load it from."""
_VERSION_SHARE: Final = 1.35
"""Size of a version as a share of its weights in fp32: it also has the serving engine's in int8."""
_CHECKPOINT_SHARE: Final = 5
"""A running training keeps weights, two moments, the best weights and the finished version."""
_BYTES_PER_WEIGHT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEstimate:
    """What a demo will need on this machine.

    Attributes:
        bots: number of bots.
        seconds_by_step: estimated seconds by step; the names are the report's.
        finetune_s: the longest training of one bot.
        evaluate_s: the longest evaluation of one version.
        training_mb: memory of one training, in MiB.
        disk_mb: what the demo writes into its home, in MiB.
        train_step_s: measured: one training step from the base.
        answer_token_s: measured: one token of an answer on the reference engine.
    """

    bots: int
    seconds_by_step: Mapping[str, float]
    finetune_s: float
    evaluate_s: float
    training_mb: int
    disk_mb: int
    train_step_s: float
    answer_token_s: float

    @property
    def total_s(self) -> float:
        """Estimated duration of all steps."""
        return sum(self.seconds_by_step.values())

    def lines(self) -> list[str]:
        """Return the estimate for a person, Korean first."""
        steps = ", ".join(
            f"{name.partition(' (')[0].partition(':')[0]} {_minutes(seconds)}"
            for name, seconds in self.seconds_by_step.items()
        )
        bots, total = f"{self.bots} bot{'s'[: self.bots != 1]}", _minutes(self.total_s)
        room = f"{self.training_mb} MB of memory for a training beside the servers, {self.disk_mb} MB of disk"
        speed = f"{self.train_step_s:.2f} s for a training step, {1 / self.answer_token_s:.0f} answer tokens/s in fp32"
        korean_room = f"서버 외에 학습용 메모리 {self.training_mb} MB, 디스크 {self.disk_mb} MB"
        return [
            f"예상 시간: 봇 {self.bots}개에 약 {total}분, {korean_room}",
            f"estimated: about {total} min for {bots}, {room}",
            f"  minutes by step: {steps}; measured here: {speed}",
        ]

    def comparison(self, seconds_by_step: Mapping[str, float]) -> str:
        """Return one line that compares the estimate with what the same steps took."""
        took = sum(seconds_by_step.get(name, 0.0) for name in self.seconds_by_step)
        return (
            f"estimated before the start: {self.total_s:.0f} s, took {took:.0f} s "
            f"({took / self.total_s - 1:+.0%} of the estimate)"
        )


def estimate_demo(
    *,
    base: Path,
    script: Script,
    trained: Sequence[str],
    step_names: Sequence[str],
    settings: Settings,
    progress: Callable[[str], None],
    timeout_s: float = TIMEOUT_S,
) -> DemoEstimate | None:
    """Measure a few steps with the base and estimate the demo.

    Args:
        base: folder of the prepared base.
        script: the demo's questions and lessons; it has a question for each bot.
        trained: bots that have a version already.
        step_names: the report's names of: start, version 1, talk, ingest, version 2, talk again.
        settings: corpora, recipes and home.
        progress: called with a line on each step.
        timeout_s: time limit of the measurement.

    Returns:
        The estimate, which is also written to the home, where Airflow's time limits use it. None if the measurement
        failed; a line says why.
    """
    bots = list(dict.fromkeys(bot for bot, _ in script.seeds))
    lessons = {bot: sum(lesson.bot == bot for lesson in script.lessons) for bot in bots}
    contradicting = [bot for bot in bots if bot == TROLLED and script.baited]
    lessons |= {bot: lessons[bot] + len(script.baited) for bot in contradicting}
    progress("measuring a few training steps and answers with this base, to estimate the demo")
    started = time.monotonic()
    try:
        done = subprocess.run(
            command(Asked(base=str(base), lessons=lessons, contradicting=contradicting)),
            cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=True,
            env=environment_with_settings(settings),
        )  # fmt: skip
        times = parse(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError, TypeError) as error:
        progress(f"no estimate: the measurement failed: {error}")
        return None
    start_s = time.monotonic() - started - times.measured_s
    found = combine(times, start_s, trained, step_names)
    path = settings.home / ESTIMATE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), ensure_ascii=False, indent=1), "utf-8")
    return found


def combine(times: StepTimes, start_s: float, trained: Sequence[str], step_names: Sequence[str]) -> DemoEstimate:
    """Add up the measured times.

    Args:
        times: the measurements and counts.
        start_s: how long a process with torch takes to start and load the base.
        trained: bots that have a version already.
        step_names: as in :func:`estimate_demo`.

    Returns:
        The estimate.
    """
    fixed_s = _TASK_STARTS * start_s + _CONVERT_S + _CONVERT_S_PER_M_WEIGHTS * times.weights / 1e6
    first = [counted for bot, counted in times.first.items() if bot not in trained]
    trainings_s = [_training_s(times, one, times.first_step_s) for one in first]
    later_s = [_training_s(times, one, times.later_step_s) for one in times.later.values()]
    evaluations_s = [_evaluation_s(times, one) for one in (*first, *times.later.values())]
    first_s = _DATASET_S + sum(trainings_s) + sum(evaluations_s[: len(first)]) + fixed_s * len(first)
    second_s = _DATASET_S + sum(later_s) + sum(evaluations_s[len(first) :]) + fixed_s * len(later_s)
    seconds = (_SERVERS_S, first_s if first else 0.0, _TALK_S, _INGEST_S, second_s, _TALK_S)
    weights_mb = times.weights * _BYTES_PER_WEIGHT >> 20
    return DemoEstimate(
        bots=len(times.later),
        seconds_by_step={name: round(s, 1) for name, s in zip(step_names, seconds, strict=True) if s},
        finetune_s=round(max(trainings_s + later_s) + fixed_s, 1),
        evaluate_s=round(max(evaluations_s) + fixed_s, 1),
        training_mb=times.peak_mb,
        disk_mb=round(weights_mb * (_VERSION_SHARE * _VERSIONS * _COPIES * len(times.later) + _CHECKPOINT_SHARE)),
        train_step_s=times.first_step_s,
        answer_token_s=times.token_s,
    )


def require_room(found: DemoEstimate, settings: Settings, *, servers_run: bool) -> None:
    """Check that memory and disk suffice for the servers and one training.

    Args:
        found: the estimate.
        settings: the home, and the disk space that the servers need.
        servers_run: whether the servers run already, so that their memory is no longer free.

    Raises:
        Unavailable: one of them does not suffice.
    """
    wanted_mb = found.training_mb + (0 if servers_run else SERVERS_MB)
    free_mb = psutil.virtual_memory().available >> 20
    shortage = free_space_at(settings.home).shortage(found.disk_mb + settings.stack.min_disk_mb)
    faults = [f"disk: {shortage}: free disk space, move KOGPT2_HOME or name fewer bots with --bots"] if shortage else []
    if free_mb < wanted_mb:
        faults.append(
            f"memory: {wanted_mb} MB are needed for the servers and one training, {free_mb} MB are free: close "
            "programs, or use the small base"
        )
    if faults:
        raise Unavailable("the demo cannot run with this base here:\n" + "\n".join(f"  {fault}" for fault in faults))


def _training_s(times: StepTimes, counted: Counted, step_s: float) -> float:
    generated_s = counted.trained_answers * counted.answer_tokens * times.token_s
    return counted.steps * step_s + counted.trained_rows * times.row_s + generated_s


def _evaluation_s(times: StepTimes, counted: Counted) -> float:
    answers = counted.evaluated_answers + counted.served_answers * _SERVED_TOKEN_SHARE
    return counted.evaluated_rows * times.row_s + answers * counted.answer_tokens * times.token_s


def _minutes(seconds: float) -> str:
    return f"{max(1.0, seconds / 60):.0f}"
