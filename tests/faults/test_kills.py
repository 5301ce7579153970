"""Workers are killed with kill -9 at any time: each question has exactly one visible answer or dead letter."""

import itertools
import json
import random
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.watchdog import FAILPOINT_EVENT
from tests.faults.reply_audit import ReplyAudit
from tests.faults.worker_pool import WorkerPool

STEPS = ("polled", "decoding", "decoded", "begun", "sent", "offsets_sent", "committed")
QUESTIONS_PER_S = 50
BACKLOG = 90
QUESTIONS_PER_TRANSACTION = 15
"""An estimate, by which the kills are spread over all questions."""
REPORT_EVERY_S = 15.0


@dataclass(kw_only=True)
class KillScenario:
    """Kills two workers repeatedly while questions are asked, and starts a successor after each kill.

    Attributes:
        kills: number of kills. Two of three are at failpoints, each step in turn; the others are at random times after
            the worker is ready.
    """

    pool: WorkerPool
    audit: ReplyAudit
    seed: int
    questions: int
    kills: int
    ordinals: tuple[int, ...] = (1, 2)
    _rng: random.Random = field(init=False)
    _plan: deque[str] = field(init=False)
    _logged_before: dict[Path, int] = field(init=False)
    _kill_at: dict[int, float] = field(init=False, default_factory=dict)
    _max_delay_s: float = field(init=False)
    _reported_at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._max_delay_s = max(3.0, self.questions / self.kills / QUESTIONS_PER_S)
        steps = list(STEPS)
        self._rng.shuffle(steps)
        late = max(5, self.questions // self.kills // QUESTIONS_PER_TRANSACTION)
        at_steps = (f"{step}:{self._rng.randint(1, late)}" for step in itertools.cycle(steps))
        plan = (next(at_steps) if number % 3 < 2 else "any" for number in itertools.count())
        self._plan = deque(itertools.islice(plan, self.kills))
        logs = [self.pool.kafka.home / f"worker-{ordinal}.log" for ordinal in self.ordinals]
        self._logged_before = {log: log.stat().st_size if log.exists() else 0 for log in logs}

    def run(self) -> None:
        """Run until all kills are done and all questions have a reply."""
        for ordinal in self.ordinals:
            self._start(ordinal)
        deadline = time.monotonic() + 120 + 60 * self.kills
        while self._is_killing() or self.audit.asked < self.questions or self.audit.unanswered:
            assert time.monotonic() < deadline, f"{self._progress()}; {[w.tail() for w in self.pool.workers.values()]}"
            self._ask()
            self._kill()
            for ordinal in self.pool.dead():
                assert set(self.pool.exit_codes) == {-signal.SIGKILL}, (
                    f"worker-{ordinal} or an earlier worker ended without being killed"
                )
                self._start(ordinal)
            self.audit.read_new()
            time.sleep(0.05)
            self._report()

    def killed_steps(self) -> Counter[str]:
        """Count the steps at which failpoints killed workers, as the workers' logs say."""
        steps: Counter[str] = Counter()
        for log, before in self._logged_before.items():
            for line in log.read_bytes()[before:].splitlines():
                if f'"{FAILPOINT_EVENT}"'.encode() in line:
                    steps[json.loads(line)["step"]] += 1
        return steps

    def _is_killing(self) -> bool:
        return self.pool.killed < self.kills

    def _start(self, ordinal: int) -> None:
        self._kill_at.pop(ordinal, None)
        step = self._plan.popleft() if self._plan else ""
        print(
            f"faults: {self._progress()}; worker-{ordinal} starts, to be killed at step: {step or 'none'}", flush=True
        )
        self.pool.start(ordinal, failpoint="" if step == "any" else step)
        if step == "any":
            self._kill_at[ordinal] = float("inf")

    def _kill(self) -> None:
        """Choose a random time for a worker's kill once it is ready, and kill it at that time."""
        for ordinal, kill_at in list(self._kill_at.items()):
            worker = self.pool.workers[ordinal]
            if kill_at == float("inf") and worker.is_ready():
                self._kill_at[ordinal] = time.monotonic() + self._rng.uniform(0, self._max_delay_s)
            elif time.monotonic() >= kill_at:
                del self._kill_at[ordinal]
                worker.kill()

    def _ask(self) -> None:
        """Ask questions in proportion to the kills done, so that some are unanswered until the last kill."""
        done = (self.pool.killed + 1) / (self.kills + 1)
        allowed = self.questions if not self._is_killing() else int(self.questions * done)
        if self.audit.unanswered < BACKLOG and (
            self.audit.asked < allowed or (self._is_killing() and not self.audit.unanswered)
        ):
            self.audit.ask(min(BACKLOG, max(12, allowed - self.audit.asked)))

    def _report(self) -> None:
        if time.monotonic() - self._reported_at > REPORT_EVERY_S:
            self._reported_at = time.monotonic()
            print(f"faults: {self._progress()}", flush=True)

    def _progress(self) -> str:
        return (
            f"seed {self.seed}: {self.pool.killed} of {self.kills} kills, "
            f"{self.audit.replied} of {self.audit.asked} questions have a reply"
        )


def run_kill_scenario(pool: WorkerPool, audit: ReplyAudit, report, *, seed: int, questions: int, kills: int) -> None:
    scenario = KillScenario(pool=pool, audit=audit, seed=seed, questions=questions, kills=kills)
    scenario.run()
    pool.close()
    result = audit.result()
    report.add(f"kill -9, seed {seed}", result, kills=pool.killed)
    assert result.is_exactly_once, result
    assert result.questions >= questions
    assert set(scenario.killed_steps()) == set(STEPS), "some steps were not tested: no worker was killed at them"
    assert result.aborted > 0, "no worker was killed inside a transaction"


def test_a_few_kills_neither_lose_nor_double_an_answer(pool, audit, report):
    """Workers are killed at each step of the loop and of the transaction, and at random times."""
    run_kill_scenario(pool, audit, report, seed=0, questions=250, kills=10)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_twenty_kills_neither_lose_nor_double_an_answer(pool, audit, report, seed):
    """The same with 10,000 questions, for several seeds."""
    run_kill_scenario(pool, audit, report, seed=seed, questions=10_000, kills=20)
