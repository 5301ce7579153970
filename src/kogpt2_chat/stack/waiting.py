"""Start programs in dependency order, a few at a time, and wait until each is healthy."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Protocol

from kogpt2_chat.domain.servers.progress_reminder import REPORT_EVERY_S
from kogpt2_chat.domain.servers.startup import Sample, Watch, judge
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.health import Health, check
from kogpt2_chat.stack.processes import cpu_seconds
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import GONE, State, SupervisorTimeout

FOUNDATION: Final = frozenset({"kafka", "hdfs", "elasticsearch"})
"""Groups that must be healthy before ``on_ready`` is called."""
DEPENDENT: Final = frozenset({"airflow", "worker", "gateway", "indexer"})
"""Groups that start after ``on_ready``: they use the topics and the indices that it creates."""
_PAUSE_S: Final = 0.5
_ANSWER_S: Final = 1.0
_NO_ANSWER_YET: Final = Health(healthy=False, detail="no answer yet")
_MAX_STARTS: Final = 4
"""The wait fails if a program is started this often without becoming healthy."""


class Runner(Protocol):
    """The part of a supervisor that starts and stops programs."""

    def states(self) -> dict[str, State]:
        """Return the state of each program by name."""

    def start(self, name: str) -> None:
        """Start a program, without waiting until it runs."""

    def stop(self, name: str) -> None:
        """Ask a program to stop, without waiting until it has stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDependencies:
    """What a wait needs from the machine; tests replace it.

    Attributes:
        clock: monotonic time in seconds.
        pause: sleep for some seconds.
        check: check the health of a program.
        cpu_s: CPU seconds that a process and its descendants have used.
        max_starting: how many programs may be starting at the same time.
    """

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    check: Callable[[Settings, Program, State], Health] = check
    cpu_s: Callable[[int], float] = cpu_seconds
    # Each start keeps about one core busy. If all twelve programs start at once on two cores, each takes minutes,
    # longer than the timeouts of its clients.
    max_starting: int = max(2, os.cpu_count() or 1) + 1


class _Waiting:
    """The state of one wait: which programs are started, which are healthy, and what is next."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        supervision: Runner,
        programs: Sequence[Program],
        progress: Callable[[str], None],
        on_ready: Callable[[], None] | None,
        dependencies: WaitDependencies,
    ) -> None:
        self.settings, self.folders, self.supervision = settings, folders, supervision
        self.programs, self.progress, self.on_ready = programs, progress, on_ready
        self.dependencies = dependencies
        self.healthy: set[str] = set()
        self.last_health: dict[str, Health] = {}
        self.watches: dict[str, Watch] = {}
        self.starts: dict[str, set[int]] = {}
        self.started: set[str] = set()
        self.checks: dict[str, tuple[State, Future[Health]]] = {}
        self.reported_later: list[str] = []
        self.unanswered_since: float | None = None
        self.began = dependencies.clock()
        self.remind_at = self.began + REPORT_EVERY_S

    def foundation_is_healthy(self) -> bool:
        return all(program.name in self.healthy for program in self.programs if program.group in FOUNDATION)

    def may_start(self, program: Program) -> bool:
        names = {one.name for one in self.programs}
        needs = all(need in self.healthy for need in program.needs if need in names)
        return needs and (program.once or program.group not in DEPENDENT or self.on_ready is None)

    def start_next(self) -> None:
        """Start the next programs in order, up to the limit.

        A program that already runs does not count: it may be unhealthy because another one has not been started yet.
        """
        states = self.supervision.states()
        free = self.dependencies.max_starting - len(self.started - self.healthy)
        for program in self.programs:
            if program.name in self.watches or not self.may_start(program):
                continue
            runs = states[program.name].state not in GONE
            if free <= 0 and not runs:
                continue
            if program.once or not runs:
                self.started.add(program.name)  # it may start even if the supervisor's answer is late
                self.supervision.start(program.name)
                free -= 1
            self.watches[program.name] = Watch.begin(self.sample(program, states[program.name], healthy=False))

    def sample(self, program: Program, state: State, *, healthy: bool) -> Sample:
        log = self.folders.log(program.name)
        return Sample(
            at_s=self.dependencies.clock(),
            log_bytes=log.stat().st_size if log.exists() else 0,
            cpu_s=self.dependencies.cpu_s(state.pid) if state.pid else 0.0,
            healthy=healthy,
        )

    def probe(self, pool: ThreadPoolExecutor) -> None:
        """Check in parallel all programs that are starting; raise for the first one that has failed.

        A slow check does not delay the others: its result is read in a later round.
        """
        states = self.supervision.states()
        due = list(self.starting())
        for program in due:
            if program.name not in self.checks:
                state = states[program.name]
                self.checks[program.name] = state, pool.submit(self.dependencies.check, self.settings, program, state)
        wait([future for _, future in self.checks.values()], timeout=_ANSWER_S)
        for program in due:
            healthy = self.collect_check(program)
            sample = self.sample(program, states[program.name], healthy=healthy)
            self.watches[program.name] = self.watches[program.name].after(sample)
            self.apply_verdict(program)

    def collect_check(self, program: Program) -> bool:
        """Return whether a check has finished and found the program healthy."""
        state, future = self.checks[program.name]
        if not future.done():
            self.last_health.setdefault(program.name, _NO_ANSWER_YET)
            return False
        del self.checks[program.name]
        health = self.last_health[program.name] = future.result()
        self.give_up_if_dead(program, state, health)
        return health.healthy

    def starting(self) -> Iterator[Program]:
        return (one for one in self.programs if one.name in self.watches and one.name not in self.healthy)

    def apply_verdict(self, program: Program) -> None:
        watch, limits = self.watches[program.name], self.settings.stack
        verdict = judge(watch, stall_s=limits.stall_s, hard_end_s=limits.start_hard_end_s)
        if verdict == "ready":
            self.healthy.add(program.name)
            if not program.once:
                detail = self.last_health[program.name].detail
                self.progress(f"{program.name}: healthy after {watch.waited_s:.0f} s ({detail})")
        elif verdict == "stalled":
            stalled = f"neither its log nor its CPU time changed for {watch.still_s:.0f} s"
            raise Unavailable(self.failure(program, f"is not healthy and made no progress: {stalled}"))
        elif verdict == "over":
            raise Unavailable(self.failure(program, f"was not healthy within {limits.start_hard_end_s:.0f} s"))

    def give_up_if_dead(self, program: Program, state: State, health: Health) -> None:
        starts = self.starts.setdefault(program.name, set())
        starts.add(state.started)
        ended = state.state == "EXITED" and (program.once or state.exit_code in program.final_exit_codes)
        if not health.healthy and (len(starts) >= _MAX_STARTS or state.state == "FATAL" or ended):
            raise Unavailable(self.failure(program, f"ended before it was healthy (exit code {state.exit_code})"))

    def run_once(self, pool: ThreadPoolExecutor) -> None:
        """Start and check what is due. If the supervisor does not answer, later calls try again, for up to ``stall_s``.

        The supervisor forks and writes all logs in one thread, so on a busy machine it sometimes answers late.
        """
        try:
            self.start_next()
            self.probe(pool)
        except SupervisorTimeout:
            now = self.dependencies.clock()
            self.unanswered_since = now if self.unanswered_since is None else self.unanswered_since
            if now - self.unanswered_since >= self.settings.stack.stall_s:
                raise
        else:
            self.unanswered_since = None

    def remind(self) -> None:
        """Report which programs are still starting, at most every few seconds."""
        now = self.dependencies.clock()
        if now < self.remind_at:
            return
        self.remind_at = now + REPORT_EVERY_S
        if self.unanswered_since is not None:
            self.progress(f"waiting for the supervisor: it has not answered for {now - self.unanswered_since:.0f} s")
        for program in self.starting():
            found = self.last_health.get(program.name)
            detail = found.detail if found else "not checked yet"
            self.progress(f"waiting for {program.name}: {self.watches[program.name].sentence()} ({detail})")
        later = [program.name for program in self.programs if program.name not in self.watches]
        if later and later != self.reported_later:
            self.progress(f"to be started later: {', '.join(later)}")
        self.reported_later = later

    def failure(self, program: Program, what: str) -> str:
        found = self.last_health.get(program.name)
        log = self.folders.log(program.name)
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        last = "".join(f"\n  | {line[:300]}" for line in tail)
        return f"{program.name} {what}: {found.detail if found else 'it was never checked'}; the end of {log}:{last}"


def wait_until_healthy(
    settings: Settings,
    folders: Folders,
    supervision: Runner,
    programs: Sequence[Program],
    progress: Callable[[str], None],
    on_ready: Callable[[], None] | None,
    dependencies: WaitDependencies | None = None,
) -> None:
    """Start each program once the programs it needs are healthy; return when all are healthy.

    Time is measured per program from its own start. A program may take up to ``start_hard_end_s`` if it makes progress,
    and ``stall_s`` if it does not.

    Args:
        settings: addresses and time limits.
        folders: the folders of the stack, for the logs.
        supervision: the supervisor that starts the programs.
        programs: the programs to start, or to find running, in start order.
        progress: called with a line per program that becomes healthy and, every few seconds, per program that is
            not healthy yet.
        on_ready: called once Kafka, HDFS and Elasticsearch are healthy, before Airflow and the workers start.
        dependencies: clock and checks; None for the real ones.

    Raises:
        Unavailable: a program ended, made no progress, or took too long (the message has the end of its log); or the
            supervisor did not answer.
    """
    dependencies = dependencies or WaitDependencies()
    waiting = _Waiting(settings, folders, supervision, programs, progress, on_ready, dependencies)
    with ThreadPoolExecutor(max_workers=4) as pool:
        while len(waiting.healthy) < len(programs):
            waiting.run_once(pool)
            if waiting.on_ready and waiting.foundation_is_healthy():
                progress("preparing topics and the search index")
                waiting.on_ready()
                waiting.on_ready = None
                continue
            waiting.remind()
            if len(waiting.healthy) < len(programs):
                dependencies.pause(_PAUSE_S)
    progress(f"all healthy after {dependencies.clock() - waiting.began:.0f} s")
