"""Parts of the DAGs that follow the roster: params, assets, defaults and the few tasks that are no command."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from kogpt2_chat.ports import Registry

TRAINING_POOL: Final = "training"
"""One slot: torch takes every core it finds, so two trainings at once only slow each other down."""
SPARK_POOL: Final = "spark"

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "kogpt2-chat",
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 3.0,  # the factor; `True` is 1, and no pause would be longer than the first
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(minutes=10),
    # What is nearly finished goes first: a bot is judged and rolled out while the next one is still trained.
    "weight_rule": "upstream",
}

CANDIDATE_BY_BOT: Final = {
    bot: Asset(name=bot, uri=f"kogpt2://registry/{bot}/candidate", group="candidates") for bot in BOT_IDS
}
"""The asset of each bot: updated when a version has passed the gate. Its event carries bot and version."""


TEACHINGS: Final = Asset(name="teachings", uri="kogpt2://lake/teachings", group="lake")
"""Updated by ingest when players taught something, complained or took something back. Its event carries how much."""


def retrain_schedule(learning: Learning) -> AssetOrTimeSchedule | CronTriggerTimetable | list[Asset] | None:
    """When `retrain_bots` runs by itself: by the clock, on teachings, on both or on neither.

    Args:
        learning: the settings that say so.

    Returns:
        What a DAG takes as its schedule.
    """
    clock = None
    if learning.retrain_cron != NEVER:
        # With False, a first start within two hours after the time would train at once, whatever its page says.
        clock = CronTriggerTimetable(learning.retrain_cron, timezone="Asia/Seoul", run_immediately=timedelta(seconds=1))
    if not learning.retrain_on_teachings:
        return clock
    return AssetOrTimeSchedule(timetable=clock, assets=[TEACHINGS]) if clock else [TEACHINGS]


def deadline(hours: float) -> DeadlineAlert:
    """Tell an operator when a run is not finished so many hours after it was queued."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=AsyncCallback(deadline_missed),
    )


def bots_param(description: str) -> Param:
    """A multi-select of the roster in the trigger form; all bots by default."""
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


def word_if_chosen(bot: str) -> str:
    """A template that becomes the bot's name where the run's params name it, else nothing."""
    return f"{{{{ '{bot}' if '{bot}' in params.bots else '' }}}}"


@task
def choose_bots(datasets: Mapping[str, Mapping[str, Any]], *, force: str) -> dict[str, dict[str, object]]:
    """Say for each bot of the run whether there is enough that is new to train it.

    Args:
        datasets: what `build-dataset` published, by bot.
        force: `True` trains them all.

    Returns:
        ``train``, ``dataset``, ``new_pairs`` and ``reason`` by bot; ``faults`` where its dataset was quarantined.
    """
    from kogpt2_chat import bootstrap
    from kogpt2_chat.jobs.choose import choose
    from kogpt2_chat.settings import load_settings

    settings = load_settings()
    sound = {bot: str(facts["version"]) for bot, facts in datasets.items() if facts["version"]}
    faulty = {
        bot: {"train": False, "faults": facts.get("faults"), "reason": f"its rows are kept in {facts.get('path')}"}
        for bot, facts in datasets.items()
        if bot not in sound
    }
    files, registry = bootstrap.files(settings), bootstrap.registry(settings)
    chosen_bots = choose(datasets=sound, force=force == "True", files=files, registry=registry, settings=settings)
    return {**chosen_bots, **faulty}


@task
def chosen(bot: str, choices: Mapping[str, Mapping[str, Any]]) -> str:
    """The dataset to train a bot on; skips the bot, with the reason, where it is not to be trained.

    Args:
        bot: the bot.
        choices: what :func:`choose_bots` said.

    Returns:
        The dataset's version.

    Raises:
        AirflowSkipException: the run does not name the bot, or there is too little that is new.
        AirflowFailException: the bot's dataset has faults; training on it again would change nothing.
    """
    choice = choices.get(bot)
    if choice is None:
        raise AirflowSkipException(f"{bot} is not among the bots of this run")
    if choice.get("faults"):
        raise AirflowFailException(f"{bot}: the dataset has faults, {choice['faults']}; {choice['reason']}")
    if not choice["train"]:
        raise AirflowSkipException(f"{bot} is not trained: {choice['reason']}")
    return str(choice["dataset"])


@task
def announce(bot: str, version: int) -> None:
    """Tell `rollout_bots`, through the bot's asset, that a version has become candidate."""
    asset = CANDIDATE_BY_BOT[bot]
    get_current_context()["outlet_events"][asset].extra = {"bot": bot, "version": version}


@task(outlets=[TEACHINGS])
def announce_teachings(feedback: Mapping[str, Any]) -> None:
    """Tell `retrain_bots` that players taught something, or took something back.

    Args:
        feedback: what `ingest` said about the table `feedback`.

    Raises:
        AirflowSkipException: there is no new feedback; then nothing is announced.
    """
    rows = int(feedback.get("rows") or 0)
    if not rows:
        raise AirflowSkipException("no new feedback")
    get_current_context()["outlet_events"][TEACHINGS].extra = {"rows": rows}


@task
def rollout_commands() -> list[list[str]]:
    """One command for each bot with a new candidate; in a run started by hand, for each bot it names as well.

    An event can be lost, or come while this DAG is paused, and the candidate would wait for ever: so every bot whose
    candidate is not champion is taken, too. The version is left to the command, which takes the alias `candidate` once:
    an old event that is replayed then finds nothing to do, where its version number would bring an old model back.

    Returns:
        The words of the commands.
    """
    from kogpt2_chat import bootstrap
    from kogpt2_chat.settings import load_settings

    context = get_current_context()
    events = [event for found in context["triggering_asset_events"].values() for event in found]
    named = announced_bots([event.extra for event in events]) if events else context["params"]["bots"]
    waiting = bots_with_a_candidate(bootstrap.registry(load_settings()))
    return [["rollout", bot] for bot in dict.fromkeys([*named, *waiting])]


def bots_with_a_candidate(registry: "Registry") -> list[str]:
    """Bots whose alias `candidate` points at a version that is not champion."""
    return [
        bot
        for bot in BOT_IDS
        if (candidate := registry.by_alias(bot, "candidate")) is not None and "champion" not in candidate.aliases
    ]


def announced_bots(extras: Iterable[Mapping[str, Any]]) -> list[str]:
    """The bots that events speak of, each once; a name that is not in the roster (any more) is left out."""
    return list(dict.fromkeys(str(extra["bot"]) for extra in extras if extra.get("bot") in BOT_IDS))
