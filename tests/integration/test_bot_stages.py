"""What a player sees of a bot's model, on real servers: each stage is brought about, and passes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from kogpt2_chat import bootstrap
from kogpt2_chat.client.world_player import Event, WorldPlayer
from kogpt2_chat.domain.rollout.states import VersionKey
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.fleet.fleet import Fleet
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.status import status
from kogpt2_chat.stack.supervision import Supervisor
from tests.integration.gateway_process import GatewayProcess
from tests.integration.operating import cli, register_again
from tests.loop import champion_versions, wait_until

BOT = "ChatbotA"
TIMEOUT_S = 90.0
MISSING = 9_999
"""A version that no registry has."""


@dataclass
class Watcher:
    """A player who watches the bots.

    Attributes:
        views: what the player sees of each bot now.
        seen: every stage of the bot since the last :meth:`forget`, in order.
    """

    player: WorldPlayer
    views: dict[str, Event] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.player.enter()
        self.views = {view["bot"]: view for view in self.player.welcome["bots"]}

    def until(self, stage: str, version: int | None = None) -> None:
        """Wait until the bot has a stage, and a version if one is named."""
        while self.views[BOT]["stage"] != stage or version not in {None, self.views[BOT]["version"]}:
            try:
                view = self.player.wait_for(lambda event: event["t"] == "staged", TIMEOUT_S)["bot"]
            except Unavailable as error:
                wanted = f"{stage} {version or ''}"
                raise AssertionError(f"not {wanted}: {self.views[BOT]}, seen before: {self.seen}") from error
            self.views[view["bot"]] = view
            if view["bot"] == BOT and view["stage"] not in self.seen[-1:]:
                self.seen.append(view["stage"])

    def forget(self) -> None:
        """Forget which stages were seen."""
        self.seen.clear()


@pytest.fixture(scope="module")
def gateway(trained_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    running = GatewayProcess(trained_stack, tmp_path_factory.mktemp("gateway"))
    yield running.wait_ready()
    running.stop()


@pytest.fixture(scope="module")
def one_watcher(gateway: GatewayProcess) -> Iterator[Watcher]:
    watcher = Watcher(WorldPlayer(gateway.url, "구경꾼"))
    yield watcher
    watcher.player.close()


@pytest.fixture
def watcher(one_watcher: Watcher) -> Watcher:
    """A player who sees the bot ready, and has seen nothing else."""
    one_watcher.until("ready")
    one_watcher.forget()
    return one_watcher


@pytest.fixture
def version(trained_stack: Settings) -> int:
    """The version that answers."""
    found = champion_versions(trained_stack)[BOT]
    assert found is not None
    return found


@pytest.fixture(scope="module")
def newer(trained_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A newer version of the bot that passed the gate."""
    champion = champion_versions(trained_stack)[BOT]
    assert champion is not None
    return register_again(trained_stack, BOT, champion, tmp_path_factory.mktemp("newer"))


def test_trainings_and_candidates_are_shown(trained_stack: Settings, watcher: Watcher, newer: int) -> None:
    """Neither a finished training nor one that has been running for more than six hours counts."""
    registry = bootstrap.registry(trained_stack)
    abandoned = run_from(trained_stack, time.time() - 6 * 3600 - 60)
    registry.end_run(registry.start_run(f"{BOT} finished", {}, {"bot": BOT}))
    try:
        registry.set_alias(BOT, "candidate", newer)
        watcher.until("candidate")
        registry.set_alias(BOT, "candidate", None)
        watcher.until("ready")  # read after both trainings began: neither is shown
        training = registry.start_run(f"{BOT} now", {}, {"bot": BOT})
        watcher.until("training")
        registry.end_run(training)
        watcher.until("ready")
    finally:
        registry.end_run(abandoned, failed=True)
    assert watcher.seen == ["candidate", "ready", "training", "ready"]


def test_a_muted_bot_is_shown_as_such(watcher: Watcher) -> None:
    """Every worker reports it."""
    try:
        cli("mute", BOT)
        watcher.until("muted")
    finally:
        cli("unmute", BOT)
    watcher.until("ready")
    assert watcher.seen == ["muted", "ready"]


def test_a_bot_whose_version_does_not_load_is_degraded(trained_stack: Settings, watcher: Watcher, version: int) -> None:
    """It answers with the version before; players see that something is wrong."""
    good = follow(trained_stack, VersionKey(MISSING))
    try:
        watcher.until("degraded")
        assert watcher.views[BOT]["version"] == version
        question = watcher.player.ask(BOT, "안녕?")
        assert watcher.player.answer_to(question)["version"] == version
    finally:
        follow(trained_stack, good)
    watcher.until("ready")
    assert watcher.seen == ["degraded", "ready"]


def test_a_bot_without_a_worker_sleeps(trained_stack: Settings, watcher: Watcher, version: int) -> None:
    """It wakes up with its worker, and has learned nothing new."""
    client = Supervisor(folders_of(trained_stack)).find()
    assert client is not None
    workers = [service.name for service in status(trained_stack).services if service.name.startswith("worker-")]
    try:
        for worker in workers:
            client.stop(worker)
        watcher.until("asleep")
        wait_until(lambda: not any(running(client, worker) for worker in workers), 60, lambda: "workers still run")
    finally:
        for worker in workers:
            client.start(worker)
    watcher.until("ready", version)
    assert (watcher.seen[0], watcher.seen[-1]) == ("asleep", "ready")
    assert "new_version" not in watcher.seen


def test_a_new_version_is_shown_until_it_is_rolled_back(
    trained_stack: Settings, gateway: GatewayProcess, watcher: Watcher, version: int, newer: int
) -> None:
    """While it loads, the bot is there and answers. The book is that of the version that answers."""
    cli("rollout", BOT, "--version", str(newer))
    watcher.until("new_version", newer)
    wait_until(lambda: book(gateway)["version"] == newer, TIMEOUT_S, lambda: f"the book: {book(gateway)}")
    assert cli("rollback", BOT)["version"] == version
    watcher.until("ready", version)
    wait_until(lambda: book(gateway)["version"] == version, TIMEOUT_S, lambda: f"the book: {book(gateway)}")
    assert watcher.seen == ["new_version", "ready"]


def run_from(settings: Settings, start_s: float) -> str:
    """Start a training that began at a time, in seconds since the epoch."""
    client = MlflowClient(tracking_uri=settings.mlflow_url)
    experiment = client.get_experiment_by_name(settings.mlflow.experiment)
    assert experiment is not None
    run = client.create_run(experiment.experiment_id, start_time=int(start_s * 1000), tags={"bot": BOT})
    found: str = run.info.run_id
    return found


def follow(settings: Settings, target: VersionKey) -> VersionKey:
    """Make all workers follow another version; return the one that they followed."""
    fleet = Fleet(topics=bootstrap.topics(settings), settings=settings, progress=print)
    before = fleet.effective_state(BOT)[0].key
    assert before is not None
    fleet.publish_until(
        BOT,
        holds=lambda state: target.is_same(state.key),
        change=lambda state: replace(state, champion=target.number, digest=target.digest),
        by="test",
    )
    return before


def running(client: Any, name: str) -> bool:
    return client.states()[name].pid is not None


def book(gateway: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{gateway.url}/learned/{BOT}", timeout=10).json()
    return found
