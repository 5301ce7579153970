"""Airflow over its REST API: start a DAG run, follow its tasks, say how it ended."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import requests

from kogpt2_chat.adapters.airflow_runs import ENDED, DagRun, Story, TaskState
from kogpt2_chat.domain.servers.silence import TELL_EVERY_S
from kogpt2_chat.errors import Conflict, InvalidInput, NotFound, Unavailable
from kogpt2_chat.settings import Settings

PASSWORDS: Final = "airflow/passwords.json"
"""Below the stack's home: the file that Airflow's own login reads, one password a user."""
REQUEST_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.5
POLLED_OFTEN_S: Final = 15.0
SELDOM_POLL_S: Final = 2.0
"""Short runs are waited for closely. Asking a long one twice a second takes a quarter of a core from its tasks."""
PARSE_TIMEOUT_S: Final = 60.0
"""A stack that has just started knows its DAGs some seconds later."""
TRIES: Final = 4


class AirflowRest:
    """The API server of the settings, as the user of the settings."""

    def __init__(self, settings: Settings, password: str | None = None, *, tell_every_s: float = TELL_EVERY_S) -> None:
        self._tell_every_s = tell_every_s
        self._url = settings.airflow_url
        self._settings = settings
        self._password = password
        self._session = requests.Session()

    def run(
        self, dag_id: str, conf: Mapping[str, object], *, timeout_s: float, progress: Callable[[str], None]
    ) -> DagRun:
        """Start a run and wait for its end.

        Args:
            dag_id: the DAG.
            conf: params of the run.
            timeout_s: how long the run may take.
            progress: told each change of a task's state.

        Returns:
            The run, ended well or badly.
        """
        run_id = self.trigger(dag_id, conf)
        progress(f"{dag_id}: started {run_id}")
        return self.wait(dag_id, run_id, timeout_s=timeout_s, progress=progress)

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run.

        Args:
            dag_id: the DAG; one that Airflow has not read yet is waited for.
            conf: params of the run.

        Returns:
            The run's id.

        Raises:
            InvalidInput: the DAG is paused, or Airflow refuses the params.
        """
        if self._known_dag(dag_id)["is_paused"]:
            raise InvalidInput(f"{dag_id} is paused, so a run would wait for ever: unpause it at {self._url}")
        # Named by us, so that asking again after a lost reply cannot become a second run.
        run_id = f"by_client__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}__{uuid.uuid4().hex[:8]}"
        body = {"dag_run_id": run_id, "conf": dict(conf), "logical_date": None}
        with suppress(Conflict):  # an earlier try did come through
            self._ask("POST", f"dags/{dag_id}/dagRuns", body=body)
        return run_id

    def wait(self, dag_id: str, run_id: str, *, timeout_s: float, progress: Callable[[str], None]) -> DagRun:
        """Follow a run to its end.

        Args:
            dag_id: the DAG.
            run_id: the run.
            timeout_s: how long it may take from now.
            progress: told each change of a task's state, and at least every ten seconds what is at work and how long.

        Returns:
            The run, ended well or badly.

        Raises:
            Unavailable: it has not ended in time; it goes on.
        """
        started = time.monotonic()
        deadline = started + timeout_s
        story = Story(dag_id=dag_id, since_s=started, every_s=self._tell_every_s)
        while True:
            run = self.look(dag_id, run_id)
            for line in story.lines(run, time.monotonic()):
                progress(line)
            if run.state in ENDED:
                progress(f"{dag_id}: {run.state}")
                return run
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{dag_id} run {run_id} is {run.state} after {timeout_s:g} s, expected it to have ended; "
                    f"at work: {', '.join(run.tasks_at_work) or 'nothing'}. "
                    f"Look at {self._url}/dags/{dag_id}/runs/{run_id}"
                )
            time.sleep(POLL_S if time.monotonic() - started < POLLED_OFTEN_S else SELDOM_POLL_S)

    def look(self, dag_id: str, run_id: str) -> DagRun:
        """A run and its tasks, in the order in which they started.

        Args:
            dag_id: the DAG.
            run_id: the run.

        Returns:
            How it stands now.
        """
        # The run first: were it asked last, it could be over while the tasks are not yet shown as such.
        state = str(self._ask("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])
        found = self._ask("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")["task_instances"]
        found.sort(key=lambda task: (task["start_date"] is None, task["start_date"] or "", task["task_id"]))
        return DagRun(dag_id=dag_id, run_id=run_id, state=state, tasks=tuple(map(_task, found)))

    def runs(self, dag_id: str, *, limit: int = 20) -> list[DagRun]:
        """The newest runs of a DAG, newest first, without their tasks.

        Args:
            dag_id: the DAG.
            limit: at most so many.

        Returns:
            The runs.
        """
        found = self._ask("GET", f"dags/{dag_id}/dagRuns?limit={limit}&order_by=-run_after")["dag_runs"]
        return [DagRun(dag_id=dag_id, run_id=run["dag_run_id"], state=run["state"]) for run in found]

    def _known_dag(self, dag_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + PARSE_TIMEOUT_S
        while True:
            try:
                return self._ask("GET", f"dags/{dag_id}")
            except NotFound:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def _ask(
        self, method: str, path: str, *, body: Mapping[str, object] | None = None, tries: int = TRIES
    ) -> dict[str, Any]:
        """One question to the API; asked again while the server does not answer."""
        for left in reversed(range(tries)):
            try:
                if "Authorization" not in self._session.headers:
                    self._log_in()
                reply = self._send(method, f"/api/v2/{path}", body)
                if reply.status_code == requests.codes.unauthorized:  # the token has run out
                    self._log_in()
                    reply = self._send(method, f"/api/v2/{path}", body)
                return _content(reply, path)
            except Unavailable:
                if not left:
                    raise
                time.sleep(POLL_S)
        raise AssertionError("the last try returns or raises")

    def _log_in(self) -> None:
        self._session.headers.pop("Authorization", None)
        who = {"username": self._settings.airflow.username, "password": self._known_password()}
        reply = self._send("POST", "/auth/token", who)
        if reply.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            raise InvalidInput(
                f"Airflow at {self._url} does not take the password of {who['username']!r}: "
                "`kogpt2-chat status` shows the right one"
            )
        token = _content(reply, "the login").get("access_token")
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _known_password(self) -> str:
        if self._password is not None:
            return self._password
        for given in (self._settings.airflow.password, self._settings.stack.airflow_password):
            if given:
                return given.get_secret_value()
        return read_password(self._settings.home / PASSWORDS, self._settings.airflow.username)

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> requests.Response:
        try:
            return self._session.request(method, f"{self._url}{path}", json=body, timeout=REQUEST_TIMEOUT_S)
        except requests.RequestException as error:
            raise Unavailable(f"Airflow at {self._url} does not answer; is the stack up? ({error})") from error


def read_password(path: Path, username: str) -> str:
    """A user's password out of the file that Airflow's login reads.

    Args:
        path: the file, a JSON object of passwords by user.
        username: the user.

    Returns:
        The password.

    Raises:
        NotFound: no such file or user.
    """
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))[username])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(
            f"no password of Airflow's user {username!r} in {path}: expected the file that `kogpt2-chat stack up` "
            "writes; start the stack, or set KOGPT2_STACK__AIRFLOW_PASSWORD"
        ) from error


def _content(reply: requests.Response, what: str) -> dict[str, Any]:
    if reply.status_code >= requests.codes.internal_server_error:
        raise Unavailable(f"Airflow answered {what} with {reply.status_code}: {reply.text[:300]}")
    if reply.status_code == requests.codes.not_found:
        raise NotFound(f"Airflow does not know {what}: {reply.text[:300]}")
    if reply.status_code == requests.codes.conflict:
        raise Conflict(f"Airflow has {what} already: {reply.text[:300]}")
    if not reply.ok:
        raise InvalidInput(f"Airflow refused {what} with {reply.status_code}: {reply.text[:300]}")
    try:
        found: dict[str, Any] = reply.json()
    except ValueError as error:
        raise Unavailable(
            f"Airflow answered {what} with no JSON: {reply.text[:100]!r}; is something else at its address?"
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
