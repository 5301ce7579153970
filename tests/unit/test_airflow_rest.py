"""Starting and following DAG runs over REST, against a small server that imitates Airflow's API."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.adapters.airflow import AirflowRest, DagRun, RunProgress, TaskState
from kogpt2_chat.airflow_password import PASSWORDS
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.settings import Airflow, Settings

PASSWORD = "비밀-1"


@dataclass
class FakeAirflow:
    """A fake of Airflow's API that records its requests."""

    dags: dict[str, bool] = field(default_factory=lambda: {"retrain_bots": False})
    runs: list[dict[str, Any]] = field(default_factory=list)
    polls: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    tokens: int = 0
    valid_token: str = ""
    faults: list[tuple[int, str]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    appear_after: int = 0
    page: str = ""

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        self.requests.append(f"{method} {path}")
        if self.page:
            return 200, self.page
        if path == "/auth/token":
            if body["password"] != PASSWORD:
                return 401, {"detail": "Invalid credentials"}
            self.tokens += 1
            self.valid_token = f"Bearer token-{self.tokens}"
            return 201, {"access_token": f"token-{self.tokens}"}
        if token != self.valid_token:
            return 401, {"detail": "Not authenticated"}
        if self.faults:
            code, text = self.faults.pop(0)
            return code, {"detail": text}
        return self.api(method, path.removeprefix("/api/v2/"), body)

    def api(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = path.partition("?")[0].split("/")
        if parts[1] not in self.dags or self.appear_after > 0:
            self.appear_after -= 1
            return 404, {"detail": "The Dag was not found"}
        if len(parts) == 2:
            return 200, {"is_paused": self.dags[parts[1]]}
        if method == "POST":
            if any(run["dag_run_id"] == body["dag_run_id"] for run in self.runs):
                return 409, {"detail": "a run of this id exists"}
            self.runs.append(body)
            return 200, {"dag_run_id": body["dag_run_id"]}
        if len(parts) == 3:
            return 200, {"dag_runs": [{"dag_run_id": "b", "state": "running"}, {"dag_run_id": "a", "state": "success"}]}
        if parts[-1] == "taskInstances":
            return 200, {"task_instances": self.polls.pop(0)[1] if len(self.polls) > 1 else self.polls[0][1]}
        return 200, {"state": self.polls[0][0]}


def task(
    name: str, state: str | None, *, started: str | None = "1", label: str = "", index: int = -1
) -> dict[str, Any]:
    return {
        "task_id": name,
        "state": state,
        "duration": 1.26 if started else None,
        "try_number": 1,
        "map_index": index,
        "rendered_map_index": label or None,
        "start_date": started,
    }


@pytest.fixture
def api() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture
def url(api: FakeAirflow) -> Iterator[str]:
    class AirflowHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply("GET")

        def do_POST(self) -> None:
            self.reply("POST")

        def reply(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, content = api.answer(method, self.path, self.headers.get("Authorization", ""), body)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), AirflowHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rest(url: str, monkeypatch: pytest.MonkeyPatch) -> AirflowRest:
    monkeypatch.setattr("kogpt2_chat.adapters.airflow.POLL_S", 0.001)
    return AirflowRest(Settings(airflow=Airflow(url=url)), PASSWORD)


def test_a_run_is_followed_to_its_end(api: FakeAirflow, rest: AirflowRest) -> None:
    """Each change of a task's state is reported once; the result lists the failed and the skipped tasks."""
    api.polls = [
        ("running", [task("ChatbotA.finetune", "running"), task("prepare_base", None, started=None)]),
        ("running", [task("ChatbotA.finetune", "running"), task("ChatbotB.evaluate", "skipped")]),
        (
            "failed",
            [
                task("ChatbotA.finetune", "failed"),
                task("ChatbotB.evaluate", "skipped"),
                task("ChatbotA.register", "upstream_failed"),
            ],
        ),
    ]
    lines: list[str] = []

    run = rest.run("retrain_bots", {"bots": ["ChatbotA"], "force": True}, timeout_s=20, progress=lines.append)

    conf = {"bots": ["ChatbotA"], "force": True}
    assert api.runs == [{"dag_run_id": run.run_id, "conf": conf, "logical_date": None}]
    assert (run.state, run.failed_tasks) == ("failed", ("ChatbotA.finetune",))
    assert lines == [
        f"retrain_bots: started {run.run_id}",
        "retrain_bots: ChatbotA.finetune running",
        "retrain_bots: ChatbotB.evaluate skipped",
        "retrain_bots: ChatbotA.finetune failed in 1.3 s",
        "retrain_bots: ChatbotA.register upstream_failed",
        "retrain_bots: failed",
    ]
    assert json.loads(json.dumps(run.as_json()))["tasks"][0]["duration_s"] == 1.3


def run_of(state: str, **tasks: str) -> DagRun:
    found = tuple(TaskState(task=name, state=state, duration_s=0, tries=1) for name, state in tasks.items())
    return DagRun(dag_id="retrain_bots", run_id="r", state=state, tasks=found)


def test_a_long_task_is_reported_again_with_its_duration() -> None:
    """Running tasks are repeated at an interval, each with the time since its last change."""
    progress = RunProgress(dag_id="retrain_bots", since_s=0.0, remind_every_s=8)
    lines = [
        line
        for at in range(0, 26, 2)
        for line in progress.lines(run_of("running", a="success", finetune="running" if at >= 4 else "queued"), at)
    ]
    assert lines == [
        "retrain_bots: a success in 0 s",
        "retrain_bots: finetune queued",
        "retrain_bots: finetune running",
        "retrain_bots: still finetune running for 8 s",
        "retrain_bots: still finetune running for 16 s",
    ]


def test_a_run_without_an_active_task_is_reported_too() -> None:
    """A queued run is repeated at the same interval; a finished one is not."""
    progress = RunProgress(dag_id="retrain_bots", since_s=0.0, remind_every_s=8)
    assert progress.lines(run_of("queued"), 8) == ["retrain_bots: still queued for 8 s, no active task"]
    assert progress.lines(run_of("success"), 20) == []


def test_mapped_tasks_have_distinct_names(api: FakeAirflow, rest: AirflowRest) -> None:
    """The label is the one Airflow rendered, else the index; tasks that have not started come last."""
    api.polls = [
        (
            "success",
            [
                task("rollout", None, started=None, index=1),
                task("rollout", "success", label="ChatbotC", index=0),
            ],
        )
    ]

    assert [state.task for state in rest.get_run("retrain_bots", "r").tasks] == ["rollout[ChatbotC]", "rollout[1]"]


def test_a_run_that_does_not_end_in_time_is_an_error(api: FakeAirflow, rest: AirflowRest) -> None:
    """The message lists the active tasks."""
    api.polls = [("running", [task("prepare_base", "running"), task("index", "success")])]

    with pytest.raises(Unavailable, match=r"is running after 0 s.*active tasks: prepare_base\."):
        rest.wait("retrain_bots", "r", timeout_s=0, progress=lambda _line: None)


def test_an_expired_token_is_renewed(api: FakeAirflow, rest: AirflowRest) -> None:
    """The caller gets its result without an error."""
    assert [run.run_id for run in rest.runs("retrain_bots")] == ["b", "a"]
    api.valid_token = "something else"

    assert len(rest.runs("retrain_bots")) == 2
    assert api.tokens == 2


def test_a_wrong_password_is_reported_at_once(api: FakeAirflow, url: str) -> None:
    """The request is not retried."""
    with pytest.raises(InvalidInput, match="rejects the password of 'admin'"):
        AirflowRest(Settings(airflow=Airflow(url=url)), "wrong").runs("retrain_bots")
    assert api.requests == ["POST /auth/token"]


def test_reads_are_retried(api: FakeAirflow, rest: AirflowRest) -> None:
    """Two server errors are retried; if they continue, the server is Unavailable."""
    api.faults = [(500, "database is locked"), (503, "starting")]
    assert len(rest.runs("retrain_bots")) == 2

    api.faults = [(500, "database is locked")] * 9
    with pytest.raises(Unavailable, match="database is locked"):
        rest.runs("retrain_bots")


def test_a_run_is_never_started_twice(api: FakeAirflow, rest: AirflowRest) -> None:
    """If the response to a start is lost, the request is repeated with the same run id."""
    rest.runs("retrain_bots")
    answer = api.api

    losses = [502]

    def lose_first_response(method: str, path: str, body: Any) -> tuple[int, Any]:
        response = answer(method, path, body)
        return (losses.pop(), {"detail": "lost"}) if method == "POST" and losses else response

    api.api = lose_first_response  # type: ignore[method-assign]

    run_id = rest.trigger("retrain_bots", {})
    assert [run["dag_run_id"] for run in api.runs] == [run_id]


def test_a_start_waits_until_airflow_has_parsed_the_dag(api: FakeAirflow, rest: AirflowRest) -> None:
    """Airflow parses its DAGs a little after it has started."""
    api.appear_after = 3

    assert rest.trigger("retrain_bots", {}) == api.runs[0]["dag_run_id"]


def test_a_paused_dag_is_not_started(api: FakeAirflow, rest: AirflowRest) -> None:
    """Its run would wait forever."""
    api.dags["retrain_bots"] = True

    with pytest.raises(InvalidInput, match="paused"):
        rest.trigger("retrain_bots", {})
    assert api.runs == []


def test_the_reason_for_refused_params_is_shown(api: FakeAirflow, rest: AirflowRest) -> None:
    """The error quotes Airflow's message."""
    rest.runs("retrain_bots")
    answer = api.api
    api.api = lambda method, path, body: (  # type: ignore[method-assign]
        (400, {"detail": "0 is less than the minimum of 1"}) if method == "POST" else answer(method, path, body)
    )

    with pytest.raises(InvalidInput, match="less than the minimum"):
        rest.trigger("retrain_bots", {"epochs": 0})


def test_an_unreachable_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the address."""
    monkeypatch.setattr("kogpt2_chat.adapters.airflow.POLL_S", 0.001)
    address = "http://127.0.0.1:1"

    with pytest.raises(Unavailable, match=address):
        AirflowRest(Settings(airflow=Airflow(url=address)), "x").runs("retrain_bots")


def test_the_password_comes_from_the_stacks_file(api: FakeAirflow, url: str, tmp_path: Path) -> None:
    """It is read from the file of Airflow's login; without it or without the user, the message says what to do."""
    settings = Settings(home=tmp_path, airflow=Airflow(url=url))
    path = tmp_path / PASSWORDS
    path.parent.mkdir()
    for content in (None, "", "[]", '{"stranger": "x"}', '{"admin": null}'):
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(NotFound, match=r"'admin' in .*passwords\.json: .*stack up"):
            AirflowRest(settings).runs("retrain_bots")
    assert not api.requests

    path.write_text(json.dumps({"admin": PASSWORD}, ensure_ascii=False), encoding="utf-8")
    assert len(AirflowRest(settings).runs("retrain_bots")) == 2


def test_another_server_at_airflows_address_is_reported(api: FakeAirflow, rest: AirflowRest) -> None:
    """A proxy or another server can respond with 200 and an HTML page."""
    api.page = "<html>로그인하세요</html>"
    with pytest.raises(Unavailable, match="not JSON: '<html>.*another server use"):
        rest.trigger("retrain_bots", {})
