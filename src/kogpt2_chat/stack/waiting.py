"""Start programs in the order of their needs and wait until each is healthy."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.health import Health, check
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import GONE, Supervision

FOUNDATION: Final = frozenset({"kafka", "hdfs", "elasticsearch"})
"""Groups that have to be healthy before ``on_ready``."""
DEPENDENT: Final = frozenset({"airflow", "worker"})
"""Groups that start after ``on_ready``: they use the topics and the index that it makes."""
_PAUSE_S: Final = 0.5
_REMIND_S: Final = 10.0
_MAX_STARTS: Final = 4
"""A server that dies this often before it was healthy once will not get better by waiting."""


class _Waiting:
    """One wait: who is started, who is healthy, and what is due next."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        supervision: Supervision,
        programs: Sequence[Program],
        progress: Callable[[str], None],
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.settings, self.folders, self.supervision = settings, folders, supervision
        self.programs, self.progress, self.on_ready = programs, progress, on_ready
        self.healthy: set[str] = set()
        self.last: dict[str, Health] = {}
        self.asked: set[str] = set()
        self.starts: dict[str, set[int]] = {}
        self.began = time.monotonic()
        self.deadline = self.began + settings.stack.start_timeout_s
        self.remind_at = self.began + _REMIND_S

    def foundation_is_healthy(self) -> bool:
        return all(program.name in self.healthy for program in self.programs if program.group in FOUNDATION)

    def may_start(self, program: Program) -> bool:
        names = {one.name for one in self.programs}
        needs = all(need in self.healthy for need in program.needs if need in names)
        return needs and (program.once or program.group not in DEPENDENT or self.on_ready is None)

    def start_what_may(self) -> None:
        states = self.supervision.states()
        for program in self.programs:
            if program.name not in self.asked and self.may_start(program):
                self.asked.add(program.name)
                if program.once or states[program.name].state in GONE:
                    self.supervision.start(program.name)

    def probe(self, pool: ThreadPoolExecutor) -> None:
        states = self.supervision.states()
        due = [program for program in self.programs if program.name in self.asked - self.healthy]
        for program, health in zip(
            due, pool.map(lambda one: check(self.settings, one, states[one.name]), due), strict=True
        ):
            state = states[program.name]
            self.last[program.name] = health
            starts = self.starts.setdefault(program.name, set())
            starts.add(state.started)
            if health.healthy:
                self.healthy.add(program.name)
                if not program.once:
                    self.progress(
                        f"{program.name}: healthy after {time.monotonic() - self.began:.0f} s ({health.detail})"
                    )
            elif len(starts) >= _MAX_STARTS or state.state == "FATAL" or (program.once and state.state == "EXITED"):
                raise Unavailable(self.story(program, f"ended before it was healthy (exit code {state.exit_code})"))

    def remind(self) -> None:
        now = time.monotonic()
        open_ones = [program for program in self.programs if program.name not in self.healthy]
        if now > self.deadline:
            slow = next((one for one in open_ones if one.name in self.asked), open_ones[0])
            raise Unavailable(self.story(slow, f"was not healthy within {self.settings.stack.start_timeout_s:.0f} s"))
        if now > self.remind_at:
            self.remind_at = now + _REMIND_S
            self.progress(f"still waiting for {', '.join(program.name for program in open_ones)}")

    def story(self, program: Program, what: str) -> str:
        found = self.last.get(program.name)
        log = self.folders.log(program.name)
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        last = "".join(f"\n  | {line[:300]}" for line in tail)
        return f"{program.name} {what}: {found.detail if found else 'it was never started'}; the end of {log}:{last}"


def wait_until_healthy(
    settings: Settings,
    folders: Folders,
    supervision: Supervision,
    programs: Sequence[Program],
    progress: Callable[[str], None],
    on_ready: Callable[[], None] | None,
) -> None:
    """Start each program once what it needs is healthy; return when all are.

    Args:
        settings: addresses and the time there is.
        folders: where the logs are.
        supervision: who starts them.
        programs: what to start, or to find running.
        progress: told of each that became healthy and, every ten seconds, of those still to come.
        on_ready: called once when Kafka, HDFS and Elasticsearch are healthy, before Airflow and the workers start.

    Raises:
        Unavailable: a program gave up, or the time is over; with the end of its log.
    """
    waiting = _Waiting(settings, folders, supervision, programs, progress, on_ready)
    with ThreadPoolExecutor(max_workers=4) as pool:
        while len(waiting.healthy) < len(programs):
            waiting.start_what_may()
            waiting.probe(pool)
            if waiting.on_ready and waiting.foundation_is_healthy():
                waiting.on_ready()
                waiting.on_ready = None
                continue
            waiting.remind()
            if len(waiting.healthy) < len(programs):
                time.sleep(_PAUSE_S)
    progress(f"all healthy after {time.monotonic() - waiting.began:.0f} s")
