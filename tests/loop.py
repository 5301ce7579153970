"""Steps of the learning loop on real servers, for several kinds of tests."""

import time
from collections.abc import Callable, Mapping

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import ReceivedAnswer, Utterance, ask
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import Settings

DAG_TIMEOUT_S = 900


def run_dag(settings: Settings, dag_id: str, conf: Mapping[str, object]) -> None:
    """Trigger a DAG through Airflow's REST API and wait until it succeeds."""
    run = bootstrap.airflow(settings).run(dag_id, conf, timeout_s=DAG_TIMEOUT_S, progress=print)
    assert run.state == "success", f"{dag_id} ended as {run.state}: {run.failed_tasks}"


def champion_versions(settings: Settings) -> dict[str, int | None]:
    """Return each bot's champion from the registry."""
    registry = bootstrap.registry(settings)
    champions = {bot: registry.by_alias(bot, "champion") for bot in BOT_IDS}
    return {bot: version.version if version else None for bot, version in champions.items()}


def passed_versions(settings: Settings) -> dict[str, list[int]]:
    """Return the versions of each bot that passed the gate."""
    registry = bootstrap.registry(settings)
    return {
        bot: [version.version for version in registry.versions(bot) if version.tags.get("gate") == "pass"]
        for bot in BOT_IDS
    }


def ask_bots(settings: Settings, *utterances: Utterance) -> list[ReceivedAnswer]:
    """Ask over Kafka, and wait for every answer."""
    return ask(utterances=utterances, topics=bootstrap.topics(settings), timeout_s=60)


def wait_until(condition: Callable[[], bool], timeout_s: float, describe: Callable[[], str]) -> None:
    """Wait for a condition; after the timeout, fail with the description."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s; {describe()}"
        time.sleep(0.2)
