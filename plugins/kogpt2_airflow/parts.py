"""Parts of the DAGs: params and assets per bot, default arguments, and the few tasks that are not CLI commands."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    Param,
    get_current_context,
    task,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from kogpt2_airflow.alerts import deadline_missed
from kogpt2_chat.domain.chat.bots import BOT_BY_ID, BOT_IDS
from kogpt2_chat.section_types import NEVER
from kogpt2_chat.settings import Learning

TRAINING_POOL: Final = "training"
"""Pool of trainings and evaluations. It has ``KOGPT2_STACK__TRAININGS_AT_ONCE`` slots."""
SPARK_POOL: Final = "spark"

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "kogpt2-chat",
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 3.0,  # the factor; `True` means 1, which would keep all pauses equal
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(minutes=10),
    # Tasks at the end of a chain run first: one bot is evaluated and rolled out while the next one is still trained.
    "weight_rule": "upstream",
}

CANDIDATE_BY_BOT: Final = {
    bot: Asset(name=bot, uri=f"kogpt2://registry/{bot}/candidate", group="candidates") for bot in BOT_IDS
}
"""Asset of each bot, updated when a version has passed the gate. Its event contains bot and version."""


TEACHINGS: Final = Asset(name="teachings", uri="kogpt2://lake/teachings", group="lake")
"""Asset that ingest updates when it stores new feedback. Its event contains the number of rows."""


def retrain_schedule(learning: Learning) -> AssetOrTimeSchedule | CronTriggerTimetable | list[Asset] | None:
    """Build the schedule of `retrain_bots`: by cron, on new feedback, both or neither.

    Args:
        learning: the settings that decide.

    Returns:
        The value of a DAG's ``schedule``.
    """
    clock = None
    if learning.retrain_cron != NEVER:
        # With False, a first start within two hours after the scheduled time would start a run at once, contrary to
        # Airflow's documentation.
        clock = CronTriggerTimetable(learning.retrain_cron, timezone="Asia/Seoul", run_immediately=timedelta(seconds=1))
    if not learning.retrain_on_teachings:
        return clock
    return AssetOrTimeSchedule(timetable=clock, assets=[TEACHINGS]) if clock else [TEACHINGS]


def deadline(hours: float) -> DeadlineAlert:
    """Alert an operator if a run has not finished this many hours after it was queued."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=AsyncCallback(deadline_missed),
    )


def bots_param(description: str) -> Param:
    """Build the trigger form's multi-select of bots; all bots are selected by default."""
    return Param(
        list(BOT_IDS),
        description=description,
        title="Bots",
        type="array",
        items={"type": "string", "enum": list(BOT_IDS)},
        examples=list(BOT_IDS),
        values_display={bot: f"{bot} · {BOT_BY_ID[bot].name}, {BOT_BY_ID[bot].persona}" for bot in BOT_IDS},
        minItems=1,
        uniqueItems=True,
    )


def argument_if_selected(bot: str) -> str:
    """Return a template that renders to the bot's id if the run's params include it, else to an empty string."""
    return f"{{{{ '{bot}' if '{bot}' in params.bots else '' }}}}"


def dataset_if_built(bot: str) -> str:
    """Return a template that renders to ``BOT=ID`` if the bot's dataset was published, else to an empty string."""
    built = f"(ti.xcom_pull(task_ids='build_datasets', key='datasets').get('{bot}') or {{}}).get('version')"
    return f"{{% set version = {built} %}}{{{{ '{bot}=%s' % version if version else '' }}}}"


@task
def chosen(bot: str, choices: Mapping[str, Mapping[str, Any]], datasets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the dataset to train a bot on, or skip the bot with a reason.

    Args:
        bot: the bot.
        choices: result of `choose`, by bot.
        datasets: result of `build-dataset`, by bot.

    Returns:
        The dataset id.

    Raises:
        AirflowSkipException: the run does not name the bot, or the bot has too few new pairs.
        AirflowFailException: the bot's dataset is faulty; a retry would not change that.
    """
    built = datasets.get(bot)
    if built is None:
        raise AirflowSkipException(f"{bot} is not among the bots of this run")
    if built["faults"]:
        raise AirflowFailException(
            f"{bot}: the dataset is faulty: {built['faults']}; its rows are kept in {built['path']}"
        )
    choice = choices[bot]
    if not choice["train"]:
        raise AirflowSkipException(f"{bot} is not trained: {choice['reason']}")
    return str(choice["dataset"])


@task
def announce(bot: str, version: int) -> None:
    """Trigger `rollout_bots` through the bot's asset, after a version has become candidate."""
    asset = CANDIDATE_BY_BOT[bot]
    get_current_context()["outlet_events"][asset].extra = {"bot": bot, "version": version}


@task(outlets=[TEACHINGS])
def announce_teachings(feedback: Mapping[str, Any]) -> None:
    """Trigger `retrain_bots` through the asset `teachings`, if there is new feedback.

    Args:
        feedback: the part of `ingest`'s result about the table `feedback`.

    Raises:
        AirflowSkipException: there is no new feedback, so the asset is not updated.
    """
    rows = int(feedback.get("rows") or 0)
    if not rows:
        raise AirflowSkipException("no new feedback")
    get_current_context()["outlet_events"][TEACHINGS].extra = {"rows": rows}


@task
def rollout_commands() -> list[list[str]]:
    """Build one `rollout` command for each bot that an event or the run's params name, or that has a new candidate.

    Bots with a candidate that is not champion are included because an event can be lost, or arrive while the DAG is
    paused; otherwise such a candidate would never be rolled out. The commands contain no version number and use the
    alias `candidate`: so a replayed old event has no effect, whereas its version number would bring back an old model.

    Returns:
        The arguments of each command.
    """
    from kogpt2_chat import bootstrap
    from kogpt2_chat.settings import load_settings

    context = get_current_context()
    events = [event for found in context["triggering_asset_events"].values() for event in found]
    named = announced_bots([event.extra for event in events]) if events else context["params"]["bots"]
    settings = load_settings()
    candidates, champions = (bootstrap.aliases(settings, alias, BOT_IDS) for alias in ("candidate", "champion"))
    waiting = [bot for bot in BOT_IDS if candidates[bot] not in {None, champions[bot]}]
    return [["rollout", bot] for bot in dict.fromkeys([*named, *waiting])]


def announced_bots(extras: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the bots that events name, each once. Ids of bots that do not exist (any more) are skipped."""
    return list(dict.fromkeys(str(extra["bot"]) for extra in extras if extra.get("bot") in BOT_IDS))
