"""DAG runs as values, and what is told of one while it goes on. Knows nothing of how Airflow is asked."""

from dataclasses import asdict, dataclass, field
from typing import Final

from kogpt2_chat.domain.servers.silence import TELL_EVERY_S

ENDED: Final = frozenset({"success", "failed"})
AT_WORK: Final = frozenset({"scheduled", "queued", "running", "up_for_retry", "deferred", "restarting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One task instance as it stands.

    Attributes:
        task: its id, with the group, and the map index in brackets where it is mapped.
        state: Airflow's word; empty while it waits for its upstream tasks.
        duration_s: of the last try; 0 while it has not started.
    """

    task: str
    state: str
    duration_s: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    """A run as it stands."""

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskState, ...] = ()

    @property
    def failed_tasks(self) -> tuple[str, ...]:
        """Tasks that failed by themselves; those that only waited for one are left out."""
        return tuple(task.task for task in self.tasks if task.state == "failed")

    @property
    def skipped_tasks(self) -> tuple[str, ...]:
        """Tasks that were skipped."""
        return tuple(task.task for task in self.tasks if task.state == "skipped")

    @property
    def tasks_at_work(self) -> tuple[str, ...]:
        """Tasks that have not ended but could be expected to."""
        return tuple(task.task for task in self.tasks if task.state in AT_WORK)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Story:
    """What is told of a run: each change, and after a while without one what is at work.

    Attributes:
        dag_id: the DAG.
        since_s: when it was begun to be followed.
        every_s: the longest silence.
    """

    dag_id: str
    since_s: float
    every_s: float = TELL_EVERY_S
    _states: dict[str, tuple[str, float]] = field(default_factory=dict)
    _spoke_s: float | None = None

    def lines(self, run: DagRun, at_s: float) -> list[str]:
        """What to say after a look at the run."""
        changed = [task for task in run.tasks if task.state and self._states.get(task.task, ("",))[0] != task.state]
        self._states |= {task.task: (task.state, at_s) for task in changed}
        lines = [f"{self.dag_id}: {_sentence(task)}" for task in changed]
        silent_s = at_s - (self.since_s if self._spoke_s is None else self._spoke_s)
        if not lines and run.state not in ENDED and silent_s >= self.every_s:
            lines = [f"{self.dag_id}: {self._at_work(run, at_s)}"]
        if lines:
            self._spoke_s = at_s
        return lines

    def _at_work(self, run: DagRun, at_s: float) -> str:
        """E.g. ``still train_chatbota running for 40 s``."""
        at_work = [
            f"{task} {self._states[task][0]} for {at_s - self._states[task][1]:.0f} s" for task in run.tasks_at_work
        ]
        return f"still {', '.join(at_work) or f'{run.state}, no task at work, for {at_s - self.since_s:.0f} s'}"


def _sentence(task: TaskState) -> str:
    took = f" in {task.duration_s:g} s" if task.state in {"success", "failed"} else ""
    return f"{task.task} {task.state}{took}"
