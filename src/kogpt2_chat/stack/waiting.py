"""Start programs in the order of their needs, a few at a time, and wait until each is healthy."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Protocol

from kogpt2_chat.domain.servers.silence import TELL_EVERY_S
from kogpt2_chat.domain.servers.startup import Sample, Watch, judge
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.health import Health, check
from kogpt2_chat.stack.processes import cpu_seconds
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import GONE, Silent, State

FOUNDATION: Final = frozenset({"kafka", "hdfs", "elasticsearch"})
"""Groups that have to be healthy before ``on_ready``."""
DEPENDENT: Final = frozenset({"airflow", "worker"})
"""Groups that start after ``on_ready``: they use the topics and the index that it makes."""
_PAUSE_S: Final = 0.5
_ANSWER_S: Final = 1.0
_NO_ANSWER_YET: Final = Health(healthy=False, detail="no answer yet")
_MAX_STARTS: Final = 4
"""A server that dies this often before it was healthy once will not get better by waiting."""


class Runner(Protocol):
    """What is needed of a supervisor to start and stop programs."""

    def states(self) -> dict[str, State]:
        """State by program name."""

    def start(self, name: str) -> None:
        """Start a program without waiting for it."""

    def stop(self, name: str) -> None:
        """Ask a program to stop without waiting for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Senses:
    """The outside world of a wait; tests bring another.

    Attributes:
        clock: seconds that do not jump.
        pause: let time pass.
        check: ask a program how it is.
        cpu_s: CPU seconds of a process and its descendants so far.
        at_once: how many programs may be starting side by side.
    """

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    check: Callable[[Settings, Program, State], Health] = check
    cpu_s: Callable[[int], float] = cpu_seconds
    # Each start is one busy thread with some waiting in between. All twelve at once on two cores take turns for
    # minutes, and each of them then takes longer than its clients' timeouts.
    at_once: int = max(2, os.cpu_count() or 1) + 1


class _Waiting:
    """One wait: who is started, who is healthy, and what is due next."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        supervision: Runner,
        programs: Sequence[Program],
        progress: Callable[[str], None],
        on_ready: Callable[[], None] | None,
        senses: Senses,
    ) -> None:
        self.settings, self.folders, self.supervision = settings, folders, supervision
        self.programs, self.progress, self.on_ready = programs, progress, on_ready
        self.senses = senses
        self.healthy: set[str] = set()
        self.last: dict[str, Health] = {}
        self.watches: dict[str, Watch] = {}
        self.starts: dict[str, set[int]] = {}
        self.started: set[str] = set()
        self.questions: dict[str, tuple[State, Future[Health]]] = {}
        self.later: list[str] = []
        self.silent_since: float | None = None
        self.began = senses.clock()
        self.remind_at = self.began + TELL_EVERY_S

    def foundation_is_healthy(self) -> bool:
        return all(program.name in self.healthy for program in self.programs if program.group in FOUNDATION)

    def may_start(self, program: Program) -> bool:
        names = {one.name for one in self.programs}
        needs = all(need in self.healthy for need in program.needs if need in names)
        return needs and (program.once or program.group not in DEPENDENT or self.on_ready is None)

    def start_what_may(self) -> None:
        """The next programs in their order, as many as the machine can bear.

        One that was found running takes no room: it may be unwell just because another has not been started yet.
        """
        states = self.supervision.states()
        room = self.senses.at_once - len(self.started - self.healthy)
        for program in self.programs:
            if program.name in self.watches or not self.may_start(program):
                continue
            runs = states[program.name].state not in GONE
            if room <= 0 and not runs:
                continue
            if program.once or not runs:
                self.started.add(program.name)  # a start whose answer is late may have been one all the same
                self.supervision.start(program.name)
                room -= 1
            self.watches[program.name] = Watch.begin(self.look(program, states[program.name], healthy=False))

    def look(self, program: Program, state: State, *, healthy: bool) -> Sample:
        log = self.folders.log(program.name)
        return Sample(
            at_s=self.senses.clock(),
            log_bytes=log.stat().st_size if log.exists() else 0,
            cpu_s=self.senses.cpu_s(state.pid) if state.pid else 0.0,
            healthy=healthy,
        )

    def probe(self, pool: ThreadPoolExecutor) -> None:
        """Ask all that are starting, side by side; fail for the first that is not worth waiting for.

        One that takes its time over the answer keeps nobody waiting: it is looked at again next time.
        """
        states = self.supervision.states()
        due = list(self.starting())
        for program in due:
            if program.name not in self.questions:
                state = states[program.name]
                self.questions[program.name] = state, pool.submit(self.senses.check, self.settings, program, state)
        wait([question for _, question in self.questions.values()], timeout=_ANSWER_S)
        for program in due:
            healthy = self.take_answer(program)
            sample = self.look(program, states[program.name], healthy=healthy)
            self.watches[program.name] = self.watches[program.name].after(sample)
            self.decide(program)

    def take_answer(self, program: Program) -> bool:
        """Whether it has answered by now that it is healthy."""
        asked_in, question = self.questions[program.name]
        if not question.done():
            self.last.setdefault(program.name, _NO_ANSWER_YET)
            return False
        del self.questions[program.name]
        health = self.last[program.name] = question.result()
        self.give_up_if_dead(program, asked_in, health)
        return health.healthy

    def starting(self) -> Iterator[Program]:
        return (one for one in self.programs if one.name in self.watches and one.name not in self.healthy)

    def decide(self, program: Program) -> None:
        watch, limits = self.watches[program.name], self.settings.stack
        verdict = judge(watch, stall_s=limits.stall_s, hard_end_s=limits.start_hard_end_s)
        if verdict == "ready":
            self.healthy.add(program.name)
            if not program.once:
                detail = self.last[program.name].detail
                self.progress(f"{program.name}: healthy after {watch.waited_s:.0f} s ({detail})")
        elif verdict == "stalled":
            still = f"{watch.still_s:.0f} s, neither its log nor its CPU time grew"
            raise Unavailable(self.story(program, f"is not healthy and made no progress: for {still}"))
        elif verdict == "over":
            raise Unavailable(self.story(program, f"was not healthy within {limits.start_hard_end_s:.0f} s"))

    def give_up_if_dead(self, program: Program, state: State, health: Health) -> None:
        starts = self.starts.setdefault(program.name, set())
        starts.add(state.started)
        ended = state.state == "EXITED" and (program.once or state.exit_code in program.final_exit_codes)
        if not health.healthy and (len(starts) >= _MAX_STARTS or state.state == "FATAL" or ended):
            raise Unavailable(self.story(program, f"ended before it was healthy (exit code {state.exit_code})"))

    def go_on(self, pool: ThreadPoolExecutor) -> None:
        """Start and ask what is due. A supervisor that is late is asked again next time, as long as a server would be.

        It forks and writes all logs in one thread; on a busy machine it is late now and then.
        """
        try:
            self.start_what_may()
            self.probe(pool)
        except Silent:
            now = self.senses.clock()
            self.silent_since = now if self.silent_since is None else self.silent_since
            if now - self.silent_since >= self.settings.stack.stall_s:
                raise
        else:
            self.silent_since = None

    def remind(self) -> None:
        """Every few seconds: who is slow, and how far it is."""
        now = self.senses.clock()
        if now < self.remind_at:
            return
        self.remind_at = now + TELL_EVERY_S
        if self.silent_since is not None:
            self.progress(f"waiting for the supervisor: it has not answered for {now - self.silent_since:.0f} s")
        for program in self.starting():
            detail = self.last[program.name].detail if program.name in self.last else "not asked yet"
            self.progress(f"waiting for {program.name}: {self.watches[program.name].sentence()} ({detail})")
        later = [program.name for program in self.programs if program.name not in self.watches]
        if later and later != self.later:
            self.progress(f"starting after that: {', '.join(later)}")
        self.later = later

    def story(self, program: Program, what: str) -> str:
        found = self.last.get(program.name)
        log = self.folders.log(program.name)
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        last = "".join(f"\n  | {line[:300]}" for line in tail)
        return f"{program.name} {what}: {found.detail if found else 'it was never asked'}; the end of {log}:{last}"


def wait_until_healthy(
    settings: Settings,
    folders: Folders,
    supervision: Runner,
    programs: Sequence[Program],
    progress: Callable[[str], None],
    on_ready: Callable[[], None] | None,
    senses: Senses | None = None,
) -> None:
    """Start each program once what it needs is healthy; return when all are.

    Each has a clock of its own. One that makes progress is waited for, to a hard end; one that does nothing is
    given up soon.

    Args:
        settings: addresses, and how long to wait.
        folders: where the logs are.
        supervision: who starts them.
        programs: what to start, or to find running; those that come first start first.
        progress: told of each that became healthy and, every ten seconds, of those still to come.
        on_ready: called once when Kafka, HDFS and Elasticsearch are healthy, before Airflow and the workers start.
        senses: clock and probes; the real ones when left out.

    Raises:
        Unavailable: a program gave up, stands still, or is past the hard end, with the end of its log; or the
            supervisor stays silent.
    """
    senses = senses or Senses()
    waiting = _Waiting(settings, folders, supervision, programs, progress, on_ready, senses)
    with ThreadPoolExecutor(max_workers=4) as pool:
        while len(waiting.healthy) < len(programs):
            waiting.go_on(pool)
            if waiting.on_ready and waiting.foundation_is_healthy():
                progress("preparing topics and the search index")
                waiting.on_ready()
                waiting.on_ready = None
                continue
            waiting.remind()
            if len(waiting.healthy) < len(programs):
                senses.pause(_PAUSE_S)
    progress(f"all healthy after {senses.clock() - waiting.began:.0f} s")
