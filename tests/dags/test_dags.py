"""The DAGs as Airflow parses them: imports, documentation, params, schedules and the order of tasks."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from kogpt2_airflow import tasks
from kogpt2_airflow.alerts import run_failed
from kogpt2_airflow.assets import CANDIDATE_BY_BOT, TEACHINGS
from kogpt2_airflow.operators import argv_of
from kogpt2_airflow.params import argument_if_selected, dataset_if_built, retrain_schedule
from kogpt2_airflow.tasks import announce_teachings, announced_bots, chosen, rollout_commands
from kogpt2_chat.demo.run import RUN_TIMEOUT_S
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.time_limits import ESTIMATE_FILE
from kogpt2_chat.settings import CHECKOUT, Learning

EXPECTED = {"ingest_conversations", "retrain_bots", "rollout_bots"}
HEAVY = ("torch", "transformers", "mlflow", "pyspark", "sklearn", "pandas", "matplotlib", "deltalake", "pyarrow")
STEPS = ("chosen", "finetune", "register", "evaluate", "nominate", "announce")


def upstream(dag: DAG, task: str) -> set[str]:
    return set(dag.get_task(task).upstream_task_ids)


def rendered(argument: object, **params: Any) -> str:
    return jinja2.Environment(autoescape=False).from_string(str(argument)).render(params=params)  # noqa: S701


def test_parsing_the_dags_imports_no_heavy_library() -> None:
    """Airflow parses each file repeatedly, so parsing must not import the libraries of models or Spark."""
    script = (
        "import json, sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"before = set(sys.modules); bag = DagBag({str(CHECKOUT / 'dags')!r})\n"
        f"print(json.dumps([sorted(bag.dags), bag.import_errors, [m for m in {HEAVY!r} if m in set(sys.modules) - before]]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == [sorted(EXPECTED), {}, []]


def test_every_dag_is_documented(dags: dict[str, DAG]) -> None:
    """The docstring is the DAG's page in the UI, with its inputs, its outputs and how to re-run it."""
    assert set(dags) == EXPECTED
    for dag in dags.values():
        assert dag.doc_md is not None
        assert dag.description
        for part in ("**Inputs**", "**Outputs**", "**Re-run**"):
            assert part in dag.doc_md, (dag.dag_id, part)


def test_every_task_has_retries_a_timeout_and_an_owner(dags: dict[str, DAG]) -> None:
    """No task waits forever, each is retried with growing pauses, and each run has a time limit."""
    for dag in dags.values():
        assert dag.dagrun_timeout is not None
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        for task in dag.tasks:
            name = f"{dag.dag_id}.{task.task_id}"
            assert task.retries >= 1, name
            assert task.retry_delay <= timedelta(minutes=1), name
            assert task.retry_exponential_backoff > 1, f"{name}: a restarting server needs longer pauses"
            assert task.execution_timeout is not None, name
            assert task.execution_timeout <= dag.dagrun_timeout, name
            assert task.owner == "kogpt2-chat", name


def test_a_large_base_on_a_slow_machine_gets_longer_time_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task parses its DAG again, and then finds the estimate that the demo wrote into the home."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("KOGPT2_HOME", str(tmp_path))
    (tmp_path / ESTIMATE_FILE).parent.mkdir()
    (tmp_path / ESTIMATE_FILE).write_text(json.dumps({"finetune_s": 9000, "evaluate_s": 300}))
    dag = DagBag(str(CHECKOUT / "dags" / "retrain_bots.py")).dags["retrain_bots"]
    assert dag.get_task("ChatbotA.finetune").execution_timeout == timedelta(hours=7.5)
    assert dag.get_task("ChatbotA.evaluate").execution_timeout == timedelta(hours=1)


def test_conversations_are_ingested_before_they_are_exported(dags: dict[str, DAG]) -> None:
    """CSV export and the announcement of feedback run in parallel, after the new rows are in the lake."""
    dag = dags["ingest_conversations"]

    assert {task.task_id: upstream(dag, task.task_id) for task in dag.tasks} == {
        "ingest": set(),
        "export_daily_csv": {"ingest"},
        "announce_teachings": {"ingest"},
    }
    assert dag.schedule == "*/10 * * * *"


def test_each_bot_goes_through_the_same_steps(dags: dict[str, DAG]) -> None:
    """Base, dataset, choose, train, register, evaluate, nominate, announce; bots do not depend on each other."""
    dag = dags["retrain_bots"]

    assert upstream(dag, "prepare_base") == set()
    assert upstream(dag, "build_datasets") == {"prepare_base"}
    assert upstream(dag, "choose_bots") == {"build_datasets"}
    for bot in BOT_IDS:
        assert upstream(dag, f"{bot}.chosen") == {"build_datasets", "choose_bots"}
        for before, after in pairwise(STEPS):
            assert f"{bot}.{before}" in upstream(dag, f"{bot}.{after}")
        for step in STEPS:
            assert all(name.startswith(f"{bot}.") for name in dag.get_task(f"{bot}.{step}").downstream_task_ids)
    assert len(dag.tasks) == 3 + len(BOT_IDS) * len(STEPS)


def test_heavy_tasks_run_in_limited_pools(dags: dict[str, DAG]) -> None:
    """The pools `training` and `spark` limit how many trainings and Spark applications run at once."""
    pools = {task.task_id: task.pool for task in dags["retrain_bots"].tasks}

    assert pools["build_datasets"] == "spark"
    assert {name for name, pool in pools.items() if pool == "training"} == {
        "prepare_base",
        *(f"{bot}.{step}" for bot in BOT_IDS for step in ("finetune", "evaluate")),
    }


def test_the_trigger_form_is_typed(dags: dict[str, DAG]) -> None:
    """The UI draws the form from the types: multi-select, choice, optional number and switch."""
    params = dags["retrain_bots"].params

    bots = params.get_param("bots")
    assert (bots.value, bots.schema["type"], bots.schema["examples"]) == (list(BOT_IDS), "array", list(BOT_IDS))
    assert "마루" in bots.schema["values_display"]["ChatbotA"]
    assert params.get_param("mode").schema["enum"] == ["from_base", "from_champion"]
    assert params.get_param("epochs").schema["type"] == ["null", "integer"]
    assert params.get_param("force").schema["type"] == "boolean"
    assert all(params.get_param(name).description for name in params)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bots", ["ChatbotB"], True),
        ("bots", [], False),
        ("bots", ["ChatbotZ"], False),
        ("bots", ["ChatbotA", "ChatbotA"], False),
        ("bots", "ChatbotA", False),
        ("mode", "from_champion", True),
        ("mode", "from_scratch", False),
        ("epochs", None, True),
        ("epochs", 1, True),
        ("epochs", 200, True),
        ("epochs", 0, False),
        ("epochs", 201, False),
        ("epochs", 1.5, False),
        ("force", True, True),
        ("force", "yes", False),
    ],
)
def test_params_are_checked_before_anything_runs(
    dags: dict[str, DAG], name: str, value: object, expected: bool
) -> None:
    """A run with a value outside the form's limits does not start."""
    from airflow.sdk.exceptions import AirflowException

    param = dags["retrain_bots"].params.get_param(name)
    try:
        param.resolve(value)
        accepted = True
    except (AirflowException, ValueError):
        accepted = False

    assert accepted is expected


def test_params_become_arguments_of_the_commands(dags: dict[str, DAG]) -> None:
    """A bot that is not selected, or empty epochs, adds no argument."""
    dag = dags["retrain_bots"]
    build = [rendered(argument, bots=["ChatbotA", "ChatbotC"]) for argument in dag.get_task("build_datasets").command]
    finetune = dag.get_task("ChatbotB.finetune").command

    assert argv_of(build) == ["build-dataset", "ChatbotA", "ChatbotC"]
    assert argv_of([rendered(argument, mode="from_champion", epochs=7) for argument in finetune[3:]]) == [
        "--mode=from_champion",
        "--epochs=7",
    ]
    assert argv_of([rendered(argument, mode="from_base", epochs=None) for argument in finetune[3:]]) == [
        "--mode=from_base"
    ]
    assert rendered(argument_if_selected("ChatbotB"), bots=["ChatbotA"]) == ""


def test_the_demo_waits_longer_than_a_run_can_take(dags: dict[str, DAG]) -> None:
    """Airflow's time limit ends a run before the demo's own, so that the demo can report how the run ended."""
    for name in ("retrain_bots", "ingest_conversations"):
        assert dags[name].dagrun_timeout < timedelta(seconds=RUN_TIMEOUT_S)


def test_a_candidate_starts_the_rollout(dags: dict[str, DAG]) -> None:
    """Each bot's last task updates the bot's own asset, and any of them starts `rollout_bots`."""
    for bot in BOT_IDS:
        assert dags["retrain_bots"].get_task(f"{bot}.announce").outlets == [CANDIDATE_BY_BOT[bot]]
        assert CANDIDATE_BY_BOT[bot].name == bot
    scheduled = dags["rollout_bots"].timetable.asset_condition.objects
    assert {asset.name for asset in scheduled} == set(BOT_IDS)
    assert type(dags["rollout_bots"].timetable.asset_condition).__name__ == "AssetAny"


def test_rollouts_happen_one_at_a_time(dags: dict[str, DAG]) -> None:
    """One run is active at a time, and it rolls out one bot after the other."""
    dag = dags["rollout_bots"]

    assert upstream(dag, "rollout") == {"rollout_commands"}
    assert dag.get_task("rollout").max_active_tis_per_dagrun == 1


@pytest.mark.parametrize(
    ("cron", "on_teachings", "times", "assets"),
    [
        ("0 4 * * *", True, True, True),
        ("0 4 * * *", False, True, False),
        ("never", True, False, True),
        ("never", False, False, False),
    ],
)
def test_retraining_is_scheduled_by_cron_and_by_new_feedback(
    cron: str, on_teachings: bool, times: bool, assets: bool
) -> None:
    """Settings switch each of them on or off; the first start of Airflow does not start a run at once."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    schedule = retrain_schedule(Learning(retrain_cron=cron, retrain_on_teachings=on_teachings))
    dag = DAG("schedule_of_a_test", schedule=schedule, catchup=False)
    found = coerce_to_core_timetable(dag.timetable)

    assert bool(getattr(dag.timetable, "asset_condition", None)) is assets
    following = found.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    assert (following is not None) is times
    if following is not None:
        at = following.run_after.in_timezone("Asia/Seoul")
        assert (at.hour, at.minute) == (4, 0)
        assert at > pendulum.now("Asia/Seoul")


def test_retraining_is_automatic_by_default(dags: dict[str, DAG]) -> None:
    """The default schedule is daily and on the asset `teachings`, which ingest updates."""
    timetable = retrain_schedule(Learning())  # the settings of the test session's servers switch both off
    assert list(timetable.asset_condition.objects) == [TEACHINGS]
    assert timetable.timetable.expression == "0 4 * * *"
    assert dags["ingest_conversations"].get_task("announce_teachings").outlets == [TEACHINGS]


def test_ingest_announces_only_new_feedback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without new feedback the task is skipped, and a skipped task does not update its asset."""
    events: dict[object, Any] = defaultdict(SimpleNamespace)
    monkeypatch.setattr(tasks, "get_current_context", lambda: {"outlet_events": events})

    with pytest.raises(AirflowSkipException):
        announce_teachings.function({"rows": 0})
    assert not events
    announce_teachings.function({"rows": 3})
    assert events[TEACHINGS].extra == {"rows": 3}


def test_failures_and_missed_deadlines_raise_alerts(dags: dict[str, DAG]) -> None:
    """Every DAG has a callback for failed runs and a deadline shorter than its time limit."""
    for dag in dags.values():
        assert dag.on_failure_callback is run_failed
        (alert,) = dag.deadline
        assert alert.callback.path == "kogpt2_airflow.alerts.deadline_missed"
        assert dag.dagrun_timeout is not None
        assert alert.interval < dag.dagrun_timeout


def test_a_candidate_without_an_event_is_rolled_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event may be lost, or may have come while the DAG was paused. A candidate that is champion is skipped."""
    from kogpt2_chat import bootstrap

    aliases = {
        "candidate": {"ChatbotA": 2, "ChatbotB": 3, "ChatbotC": None},
        "champion": {"ChatbotA": 1, "ChatbotB": 3, "ChatbotC": None},
    }
    monkeypatch.setattr(bootstrap, "aliases", lambda _settings, alias, _bots: aliases[alias])

    def commands(events: list[dict[str, Any]], bots: list[str]) -> list[list[str]]:
        found = {"asset": [SimpleNamespace(extra=extra) for extra in events]}
        context = {"triggering_asset_events": found, "params": {"bots": bots}}
        monkeypatch.setattr(tasks, "get_current_context", lambda: context)
        return rollout_commands.function()

    assert commands([{"bot": "ChatbotC", "version": 1}], list(BOT_IDS)) == [
        ["rollout", "ChatbotC"],
        ["rollout", "ChatbotA"],
    ]
    assert commands([{"bot": "RemovedBot"}], list(BOT_IDS)) == [["rollout", "ChatbotA"]]
    assert commands([], ["ChatbotB"]) == [["rollout", "ChatbotB"], ["rollout", "ChatbotA"]]


def test_events_name_the_bots_to_roll_out() -> None:
    """Each bot is returned once, in order; a bot that does not exist any more is not rolled out."""
    events = [
        {"bot": "ChatbotC", "version": 2},
        {"bot": "ChatbotA"},
        {"bot": "ChatbotC", "version": 3},
        {"bot": "X"},
        {},
    ]

    assert announced_bots(events) == ["ChatbotC", "ChatbotA"]
    assert announced_bots([]) == []


BUILT = {
    "ChatbotA": {"version": "0123456789ab", "faults": [], "path": "/a"},
    "ChatbotB": {"version": "ba9876543210", "faults": [], "path": "/b"},
}


def test_a_bot_is_skipped_with_its_reason() -> None:
    """A bot is skipped if it is not named or has too few new pairs, and fails if its dataset is faulty."""
    choices = {
        "ChatbotA": {"train": True, "dataset": "0123456789ab", "reason": "700 new pairs"},
        "ChatbotB": {"train": False, "dataset": "ba9876543210", "reason": "2 new pairs"},
    }
    faulty = {"ChatbotA": {"version": None, "faults": ["too few rows"], "path": "/q"}}

    assert chosen.function("ChatbotA", choices, BUILT) == "0123456789ab"
    with pytest.raises(AirflowFailException, match=r"too few rows.*kept in /q"):
        chosen.function("ChatbotA", {}, faulty)
    with pytest.raises(AirflowSkipException, match="2 new pairs"):
        chosen.function("ChatbotB", choices, BUILT)
    with pytest.raises(AirflowSkipException, match="not among the bots"):
        chosen.function("ChatbotC", choices, BUILT)


class BuiltDatasets:
    """A task instance that pulls the result of ``build_datasets``."""

    def __init__(self, datasets: object) -> None:
        self.datasets = datasets

    def xcom_pull(self, *, task_ids: str, key: str) -> object:
        assert (task_ids, key) == ("build_datasets", "datasets")
        return self.datasets


@pytest.mark.parametrize("force", [False, True])
def test_bots_with_a_published_dataset_are_arguments_of_choose(dags: dict[str, DAG], force: bool) -> None:
    """A bot with a quarantined dataset, or that the run does not name, is left out; the switch adds `--force`."""
    faulty = {"ChatbotB": {"version": None, "faults": ["too few rows"], "path": "/q"}}
    context = {"ti": BuiltDatasets(BUILT | faulty), "params": {"force": force}}
    environment = jinja2.Environment(autoescape=False)  # noqa: S701
    command = [
        environment.from_string(each).render(context) for each in dags["retrain_bots"].get_task("choose_bots").command
    ]

    assert argv_of(command) == ["choose", "ChatbotA=0123456789ab", *(["--force"] if force else [])]
    assert environment.from_string(dataset_if_built("ChatbotC")).render(context) == ""


WITHOUT_CLIENTS = """
import json, sys
from contextlib import suppress
from airflow.dag_processing.dagbag import DagBag
from kogpt2_airflow import tasks
from kogpt2_airflow.operators import JobOperator
from kogpt2_chat.errors import Unavailable

class Instance:
    def xcom_pull(self, *, task_ids, key):
        return {"ChatbotA": {"version": "a1"}}

choices = {"ChatbotA": {"train": True, "dataset": "a1", "reason": ""}}
JobOperator.program = (sys.executable, "-c", f"print({json.dumps(choices)!r})")
task = DagBag(sys.argv[1]).dags["retrain_bots"].get_task("choose_bots")
context = {"ti": Instance(), "params": {"force": True}}
task.render_template_fields(context)
found = task.execute(context)
tasks.get_current_context = lambda: {"triggering_asset_events": {}, "params": {"bots": []}}
with suppress(Unavailable):
    tasks.rollout_commands.function()
print(json.dumps([task.command, found, [name for name in ("hdfs", "mlflow") if name in sys.modules]]))
"""


def test_choosing_bots_loads_no_client_in_airflows_process() -> None:
    """The task `choose_bots` runs a command, and the rollout reads aliases without MLflow's library."""
    environment = os.environ | {"KOGPT2_MLFLOW__TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CLIENTS, str(CHECKOUT / "dags")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    command, found, loaded = json.loads(done.stdout.splitlines()[-1])

    assert argv_of(command) == ["choose", "ChatbotA=a1", "--force"]
    assert found["ChatbotA"]["dataset"] == "a1"
    assert loaded == []
