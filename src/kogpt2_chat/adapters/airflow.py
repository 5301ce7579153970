"""Airflow over its REST API: start a DAG run, follow its tasks, return its result."""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import requests

from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.airflow_password import PASSWORDS, read_password
from kogpt2_chat.domain.servers.progress_reminder import REPORT_EVERY_S
from kogpt2_chat.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from kogpt2_chat.settings import Settings

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


REQUEST_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.5
FAST_POLLING_S: Final = 15.0
SLOW_POLL_S: Final = 2.0
"""Poll interval once a run has taken longer than ``FAST_POLLING_S``: two polls per second use a quarter of a core."""
PARSE_TIMEOUT_S: Final = 60.0
"""How long to wait for Airflow to parse a DAG, which takes some seconds after a start."""
TRIES: Final = 4


class AirflowRest:
    """A client of the Airflow API server; the settings name its address and its user."""

    def __init__(
        self, settings: Settings, password: str | None = None, *, remind_every_s: float = REPORT_EVERY_S
    ) -> None:
        self._remind_every_s = remind_every_s
        self._url = settings.airflow_url
        self._settings = settings
        self._password = password
        self._session = requests.Session()

    def run(
        self, dag_id: str, conf: Mapping[str, object], *, timeout_s: float, progress: Callable[[str], None]
    ) -> DagRun:
        """Start a run and wait until it has ended.

        Args:
            dag_id: the DAG.
            conf: params of the run.
            timeout_s: how long the run may take.
            progress: called with each progress line; see :meth:`wait`.

        Returns:
            The ended run, successful or failed.
        """
        run_id = self.trigger(dag_id, conf)
        progress(f"{dag_id}: started {run_id}")
        return self.wait(dag_id, run_id, timeout_s=timeout_s, progress=progress)

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run.

        Args:
            dag_id: the DAG; if Airflow has not parsed it yet, wait until it has.
            conf: params of the run.

        Returns:
            The run's id.

        Raises:
            InvalidInput: the DAG is paused, or Airflow rejects the params.
            NotFound: Airflow did not parse such a DAG in time.
        """
        if self._parsed_dag(dag_id)["is_paused"]:
            raise InvalidInput(f"{dag_id} is paused, so a run would never start: unpause it at {self._url}")
        # The id is chosen here, so that a retry after a lost reply cannot start a second run.
        run_id = f"by_client__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}__{uuid.uuid4().hex[:8]}"
        body = {"dag_run_id": run_id, "conf": dict(conf), "logical_date": None}
        with suppress(AlreadyExists):  # an earlier attempt has started the run
            self._call("POST", f"dags/{dag_id}/dagRuns", body=body)
        return run_id

    def wait(self, dag_id: str, run_id: str, *, timeout_s: float, progress: Callable[[str], None]) -> DagRun:
        """Follow a run until it has ended.

        Args:
            dag_id: the DAG.
            run_id: the run.
            timeout_s: how long the run may take from now.
            progress: called with a line for each change of a task's state, and, if nothing changes, with a reminder of
                the active tasks at regular intervals.

        Returns:
            The ended run, successful or failed.

        Raises:
            Unavailable: the run has not ended in time; it is not stopped.
        """
        started = time.monotonic()
        deadline = started + timeout_s
        run_progress = RunProgress(dag_id=dag_id, since_s=started, remind_every_s=self._remind_every_s)
        while True:
            run = self.get_run(dag_id, run_id)
            for line in run_progress.lines(run, time.monotonic()):
                progress(line)
            if run.state in ENDED:
                progress(f"{dag_id}: {run.state}")
                return run
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{dag_id} run {run_id} is {run.state} after {timeout_s:g} s, expected it to have ended; "
                    f"active tasks: {', '.join(run.active_tasks) or 'none'}. "
                    f"See {self._url}/dags/{dag_id}/runs/{run_id}"
                )
            time.sleep(POLL_S if time.monotonic() - started < FAST_POLLING_S else SLOW_POLL_S)

    def get_run(self, dag_id: str, run_id: str) -> DagRun:
        """Return the current state of a run, with its tasks in the order in which they started.

        Args:
            dag_id: the DAG.
            run_id: the run.

        Returns:
            The run.
        """
        # Read the run before its tasks: otherwise an ended run could be returned with tasks that still seem to run.
        state = str(self._call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])
        found = self._call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")["task_instances"]
        found.sort(key=lambda task: (task["start_date"] is None, task["start_date"] or "", task["task_id"]))
        return DagRun(dag_id=dag_id, run_id=run_id, state=state, tasks=tuple(map(_task, found)))

    def runs(self, dag_id: str, *, limit: int = 20) -> list[DagRun]:
        """Return the newest runs of a DAG, newest first, without their tasks.

        Args:
            dag_id: the DAG.
            limit: maximum number of runs.

        Returns:
            The runs.
        """
        found = self._call("GET", f"dags/{dag_id}/dagRuns?limit={limit}&order_by=-run_after")["dag_runs"]
        return [DagRun(dag_id=dag_id, run_id=run["dag_run_id"], state=run["state"]) for run in found]

    def _parsed_dag(self, dag_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + PARSE_TIMEOUT_S
        while True:
            try:
                return self._call("GET", f"dags/{dag_id}")
            except NotFound:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def _call(self, method: str, path: str, *, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Send a request to the API, with retries while the server does not answer."""
        return call_with_retries(
            lambda: self._call_once(method, path, body),
            is_transient=lambda error: isinstance(error, Unavailable),
            attempts=TRIES,
            first_delay_s=POLL_S,
            longest_delay_s=POLL_S,
        )

    def _call_once(self, method: str, path: str, body: Mapping[str, object] | None) -> dict[str, Any]:
        if "Authorization" not in self._session.headers:
            self._log_in()
        reply = self._send(method, f"/api/v2/{path}", body)
        if reply.status_code == requests.codes.unauthorized:  # the token has expired
            self._log_in()
            reply = self._send(method, f"/api/v2/{path}", body)
        return _content(reply, path)

    def _log_in(self) -> None:
        self._session.headers.pop("Authorization", None)
        login = {"username": self._settings.airflow.username, "password": self._find_password()}
        reply = self._send("POST", "/auth/token", login)
        if reply.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            raise InvalidInput(
                f"Airflow at {self._url} rejects the password of {login['username']!r}: "
                "`kogpt2-chat status` shows the right one"
            )
        token = _content(reply, "the login").get("access_token")
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _find_password(self) -> str:
        if self._password is not None:
            return self._password
        for password in (self._settings.airflow.password, self._settings.stack.airflow_password):
            if password:
                return password.get_secret_value()
        username = self._settings.airflow.username
        found = read_password(self._settings.home, username)
        if found is None:
            raise NotFound(
                f"found no password for Airflow's user {username!r} in {self._settings.home / PASSWORDS}: expected the "
                "file that `kogpt2-chat stack up` writes; start the stack, or set KOGPT2_STACK__AIRFLOW_PASSWORD"
            )
        return found

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> requests.Response:
        try:
            return self._session.request(method, f"{self._url}{path}", json=body, timeout=REQUEST_TIMEOUT_S)
        except requests.RequestException as error:
            raise Unavailable(f"Airflow at {self._url} does not answer; is the stack up? ({error})") from error


def _content(reply: requests.Response, what: str) -> dict[str, Any]:
    if reply.status_code >= requests.codes.internal_server_error:
        raise Unavailable(f"Airflow returned {reply.status_code} for {what}: {reply.text[:300]}")
    if reply.status_code == requests.codes.not_found:
        raise NotFound(f"Airflow did not find {what}: {reply.text[:300]}")
    if reply.status_code == requests.codes.conflict:
        raise AlreadyExists(f"Airflow reports that {what} already exists: {reply.text[:300]}")
    if not reply.ok:
        raise InvalidInput(f"Airflow rejected {what} with {reply.status_code}: {reply.text[:300]}")
    try:
        found: dict[str, Any] = reply.json()
    except ValueError as error:
        raise Unavailable(
            f"Airflow's reply for {what} is not JSON: {reply.text[:100]!r}; does another server use its address?"
        ) from error
    return found


def _task(found: Mapping[str, Any]) -> TaskState:
    label = found.get("rendered_map_index") or found["map_index"]
    mapped = found["map_index"] >= 0
    return TaskState(
        task=f"{found['task_id']}[{label}]" if mapped else found["task_id"],
        state=found["state"] or "",
        duration_s=round(found["duration"] or 0.0, 1),
        tries=found["try_number"],
    )
