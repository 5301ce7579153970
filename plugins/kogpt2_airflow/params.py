"""What the DAGs have in common: default arguments, pools, schedule and deadline, and the params of the trigger form."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from kogpt2_airflow.alerts import deadline_missed
from kogpt2_airflow.assets import TEACHINGS
from kogpt2_chat.domain.chat.bots import BOT_BY_ID, BOT_IDS
from kogpt2_chat.domain.learning.time_limits import ESTIMATE_FILE
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


def read_estimate(home: Path) -> str:
    """Return the demo's estimate of this home; empty if there is none. Each task parses its DAG again, so reads it."""
    try:
        return (home / ESTIMATE_FILE).read_text("utf-8")
    except OSError:
        return ""


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
