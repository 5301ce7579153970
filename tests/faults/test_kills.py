"""kill -9 at any moment: every question has exactly one visible answer or one dead letter."""

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
QUESTIONS_A_S = 50
BACKLOG = 90
QUESTIONS_A_STEP = 15
"""About as many go with one transaction, so that kills are spread over all questions."""
REPORT_EVERY_S = 15.0


@dataclass(kw_only=True)
class Storm:
    """Two workers that die again and again, each heir in its predecessor's slot, while questions keep coming.

    Attributes:
        kills: two of three at failpoints, every step in turn, the others at random moments after being ready.
    """

    crew: WorkerPool
    ledger: ReplyAudit
    seed: int
    questions: int
    kills: int
    slots: tuple[int, ...] = (1, 2)
    _chance: random.Random = field(init=False)
    _plan: deque[str] = field(init=False)
    _logged_before: dict[Path, int] = field(init=False)
    _kill_at: dict[int, float] = field(init=False, default_factory=dict)
    _most_after_s: float = field(init=False)
    _told_at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._most_after_s = max(3.0, self.questions / self.kills / QUESTIONS_A_S)
        steps = list(STEPS)
        self._chance.shuffle(steps)
        late = max(5, self.questions // self.kills // QUESTIONS_A_STEP)
        at_steps = (f"{step}:{self._chance.randint(1, late)}" for step in itertools.cycle(steps))
        hold_lock = (next(at_steps) if number % 3 < 2 else "any" for number in itertools.count())
        self._plan = deque(itertools.islice(hold_lock, self.kills))
        logs = [self.crew.kafka.home / f"worker-{slot}.log" for slot in self.slots]
        self._logged_before = {log: log.stat().st_size if log.exists() else 0 for log in logs}

    def rage(self) -> None:
        """Until all kills are done and all questions have a reply."""
        for slot in self.slots:
            self._start(slot)
        deadline = time.monotonic() + 120 + 60 * self.kills
        while self._is_killing() or self.ledger.asked < self.questions or self.ledger.open:
            assert time.monotonic() < deadline, f"{self._where()}; {[w.tail() for w in self.crew.workers.values()]}"
            self._feed()
            self._kill()
            for slot in self.crew.dead():
                assert set(self.crew.exit_codes) == {-signal.SIGKILL}, f"slot {slot} or one before ended by itself"
                self._start(slot)
            self.ledger.look()
            time.sleep(0.05)
            self._tell()

    def died_at(self) -> Counter[str]:
        """At which steps workers have killed themselves, by their own last words."""
        steps: Counter[str] = Counter()
        for log, before in self._logged_before.items():
            for line in log.read_bytes()[before:].splitlines():
                if f'"{FAILPOINT_EVENT}"'.encode() in line:
                    steps[json.loads(line)["step"]] += 1
        return steps

    def _is_killing(self) -> bool:
        return self.crew.killed < self.kills

    def _start(self, slot: int) -> None:
        self._kill_at.pop(slot, None)
        how = self._plan.popleft() if self._plan else ""
        print(f"faults: {self._where()}; slot {slot} starts, to die at {how or 'no'} step", flush=True)
        self.crew.start(slot, failpoint="" if how == "any" else how)
        if how == "any":
            self._kill_at[slot] = float("inf")

    def _kill(self) -> None:
        """Whoever is to die at a random moment gets one as soon as it answers."""
        for slot, moment in list(self._kill_at.items()):
            worker = self.crew.workers[slot]
            if moment == float("inf") and worker.is_ready():
                self._kill_at[slot] = time.monotonic() + self._chance.uniform(0, self._most_after_s)
            elif time.monotonic() >= moment:
                del self._kill_at[slot]
                worker.kill()

    def _feed(self) -> None:
        """So that questions last as long as the kills, and are never all answered before the last one."""
        done = (self.crew.killed + 1) / (self.kills + 1)
        allowed = self.questions if not self._is_killing() else int(self.questions * done)
        if self.ledger.open < BACKLOG and (
            self.ledger.asked < allowed or (self._is_killing() and not self.ledger.open)
        ):
            self.ledger.ask(min(BACKLOG, max(12, allowed - self.ledger.asked)))

    def _tell(self) -> None:
        if time.monotonic() - self._told_at > REPORT_EVERY_S:
            self._told_at = time.monotonic()
            print(f"faults: {self._where()}", flush=True)

    def _where(self) -> str:
        return (
            f"seed {self.seed}: {self.crew.killed} of {self.kills} kills, "
            f"{self.ledger.replied} of {self.ledger.asked} questions have a reply"
        )


def weather(crew: WorkerPool, ledger: ReplyAudit, report, *, seed: int, questions: int, kills: int) -> None:
    storm = Storm(crew=crew, ledger=ledger, seed=seed, questions=questions, kills=kills)
    storm.rage()
    crew.close()
    verdict = ledger.verdict()
    report.add(f"kill -9, seed {seed}", verdict, kills=crew.killed)
    assert verdict.holds, verdict
    assert verdict.questions >= questions
    assert set(storm.died_at()) == set(STEPS), "not every step had its kill, so not everything was proved"
    assert verdict.aborted > 0, "no kill landed inside a transaction"


def test_workers_killed_a_few_times_lose_nothing_and_double_nothing(crew, ledger, report):
    """Each step of the loop and of the transaction once, and random moments between."""
    weather(crew, ledger, report, seed=0, questions=250, kills=10)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_twenty_kills_in_ten_thousand_questions(crew, ledger, report, seed):
    """0 lost, 0 double, with every seed."""
    weather(crew, ledger, report, seed=seed, questions=10_000, kills=20)
