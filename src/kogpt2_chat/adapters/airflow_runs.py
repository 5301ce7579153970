"""The states of DAG runs, and the progress lines to print while one runs. Does not call Airflow."""

from dataclasses import asdict, dataclass, field
from typing import Final

from kogpt2_chat.domain.servers.progress_reminder import REPORT_EVERY_S

ENDED: Final = frozenset({"success", "failed"})
ACTIVE: Final = frozenset({"scheduled", "queued", "running", "up_for_retry", "deferred", "restarting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """The current state of one task instance.

    Attributes:
        task: the task id, including its group; a mapped task has its label or map index in brackets.
        state: Airflow's state name; empty while the task waits for its upstream tasks.
        duration_s: duration of the last try; 0 before the task has started.
        tries: the number of tries so far.
    """

    task: str
    state: str
    duration_s: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    """The current state of a run."""

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskState, ...] = ()

    @property
    def failed_tasks(self) -> tuple[str, ...]:
        """The tasks that failed, without those that did not run because an upstream task failed."""
        return tuple(task.task for task in self.tasks if task.state == "failed")

    @property
    def active_tasks(self) -> tuple[str, ...]:
        """The tasks that are scheduled, running or waiting for a retry."""
        return tuple(task.task for task in self.tasks if task.state in ACTIVE)

    def as_json(self) -> dict[str, object]:
        """Return the run as plain JSON values."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class RunProgress:
    """The progress lines of a run: each state change, and a reminder of the active tasks if nothing changes.

    Attributes:
        dag_id: the DAG.
        since_s: when the caller began to follow the run, by its clock.
        remind_every_s: maximum time without a line.
    """

    dag_id: str
    since_s: float
    remind_every_s: float = REPORT_EVERY_S
    _states: dict[str, tuple[str, float]] = field(default_factory=dict)
    _last_line_s: float | None = None

    def lines(self, run: DagRun, at_s: float) -> list[str]:
        """Return the lines to print for the run's state at ``at_s``, by the same clock as ``since_s``."""
        changed = [task for task in run.tasks if task.state and self._states.get(task.task, ("",))[0] != task.state]
        self._states |= {task.task: (task.state, at_s) for task in changed}
        lines = [f"{self.dag_id}: {_change_line(task)}" for task in changed]
        silent_s = at_s - (self.since_s if self._last_line_s is None else self._last_line_s)
        if not lines and run.state not in ENDED and silent_s >= self.remind_every_s:
            lines = [f"{self.dag_id}: {self._reminder(run, at_s)}"]
        if lines:
            self._last_line_s = at_s
        return lines

    def _reminder(self, run: DagRun, at_s: float) -> str:
        """Return the reminder, e.g. ``still train_chatbota running for 40 s``."""
        active = [
            f"{task} {self._states[task][0]} for {at_s - self._states[task][1]:.0f} s" for task in run.active_tasks
        ]
        return f"still {', '.join(active) or f'{run.state} for {at_s - self.since_s:.0f} s, no active task'}"


def _change_line(task: TaskState) -> str:
    took = f" in {task.duration_s:g} s" if task.state in {"success", "failed"} else ""
    return f"{task.task} {task.state}{took}"
