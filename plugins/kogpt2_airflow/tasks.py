"""The few tasks that are not CLI commands: they only read and write XCom and assets."""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from kogpt2_airflow.assets import CANDIDATE_BY_BOT, TEACHINGS
from kogpt2_chat.domain.chat.bots import BOT_IDS


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
