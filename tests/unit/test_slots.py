"""Slots, version cache and rollout follower: a new version takes over once it is loaded, and a bad one never does.

Also the HTTP server and the watchdog of a worker.
"""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, RolloutState, WorkerState
from kogpt2_chat.errors import CheckpointCorrupt, GateRefused, Unavailable
from kogpt2_chat.health_server import HealthServer
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from serving.health import HealthReport
from serving.metrics import Metrics
from serving.rollout_follower import RolloutFollower
from serving.slot import WARM_FOR_S, LoadedVersion, Slots
from serving.version_cache import VersionCache

BOT = "ChatbotA"


class FakeRegistry:
    """The part of a registry that the version cache uses."""

    def __init__(self) -> None:
        self.is_down = False
        self.content = "good"
        self.calls = 0

    def download(self, bot: str, version: int, folder: Path) -> Path:
        self.calls += 1
        if self.is_down:
            raise Unavailable("MLflow does not answer")
        folder.mkdir()
        (folder / "weights").write_text(self.content)
        return folder


class FollowerHarness:
    """A rollout follower with its slots and its version cache. Tests run its rounds without its thread."""

    def __init__(self, folder: Path) -> None:
        self.clock = 0.0
        self.topics = InMemoryTopics(Broker())
        self.topics.ensure()
        self.registry = FakeRegistry()
        self.slots = Slots(monotonic=lambda: self.clock)
        self.swaps: list[str] = []
        self.folder = folder
        self.follower = self.new_follower()

    def new_follower(self) -> RolloutFollower:
        self.versions = VersionCache(
            folder=self.folder, registry=lambda: self.registry, load=load, make_engine=ScriptedEngine
        )
        return RolloutFollower(
            topics=self.topics,
            slots=self.slots,
            versions=self.versions,
            worker="worker-1",
            every_s=0.01,
            on_swap=self.swaps.append,
            monotonic=lambda: self.clock,
        )

    def roll_out(self, champion: int | None, epoch: int, **fields) -> None:
        state = RolloutState(bot=BOT, epoch=epoch, champion=champion, **fields)
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=state.to_json().encode())])

    def settle(self) -> None:
        """Run rounds until no version is being loaded."""
        deadline = time.monotonic() + 10
        self.follower.run_once()
        while self.follower._loads:
            assert time.monotonic() < deadline
            self.follower.run_once()
        self.follower.run_once()

    def heartbeat(self) -> WorkerState:
        return WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"])

    def detail(self) -> str:
        return next(slot.detail for slot in self.heartbeat().slots if slot.bot == BOT)

    def slot(self) -> tuple[int, str, int]:
        """Return version, state and rollout epoch of the slot, as the heartbeat reports them."""
        report = next(slot for slot in self.heartbeat().slots if slot.bot == BOT)
        return report.version, report.state, self.heartbeat().epoch_by_bot[BOT]


def load(folder: Path) -> ScriptedModel:
    if (folder / "weights").read_text() != "good":
        raise CheckpointCorrupt(f"{folder}: the hash of weights differs from model.json")
    return ScriptedModel(label=folder.name)


@pytest.fixture
def harness(tmp_path) -> FollowerHarness:
    return FollowerHarness(tmp_path / "models")


def test_a_version_that_is_rolled_out_is_loaded_and_then_answers(harness):
    """The old version answers until then, and the slot is reported as loading."""
    harness.follower.run_once()
    assert harness.slot() == (0, "degraded", 0)
    harness.roll_out(3, 1)
    harness.settle()
    assert harness.slot() == (3, "ready", 1)
    assert harness.slots.route(BOT).loaded.model.label == "3"
    harness.roll_out(4, 2, previous=3)
    harness.follower.run_once()
    assert harness.slot()[:2] == (3, "loading"), "the old version answers"
    harness.settle()
    assert harness.slot() == (4, "ready", 2)
    assert harness.swaps == [BOT, BOT]


def test_a_version_that_answers_differently_on_this_machine_does_not_take_over(harness):
    """It is intact, so it is not downloaded again. The heartbeat has the rate of equal answers."""
    harness.roll_out(3, 1)
    harness.settle()
    calls = harness.registry.calls

    def refuse(folder: Path) -> ScriptedModel:
        raise GateRefused("the engine answers 20 of 30 prompts like its weights in fp32 (66.7%)")

    harness.versions._load_folder = refuse
    harness.roll_out(4, 2, previous=3)
    harness.settle()
    assert harness.slot() == (3, "degraded", 2)
    assert "20 of 30 prompts" in harness.detail()
    assert (harness.slots.route(BOT).loaded.model.label, harness.registry.calls) == ("3", calls + 1)


def test_the_heartbeat_has_the_form_of_the_active_version(harness):
    """It is empty while there is no active version."""

    def form() -> str:
        return next(slot.form for slot in harness.heartbeat().slots if slot.bot == BOT)

    def load_in_form(folder: Path) -> ScriptedModel:
        model = load(folder)
        model.form = "int8_weights"
        return model

    harness.versions._load_folder = load_in_form
    harness.roll_out(3, 1)
    harness.follower.run_once()
    assert form() == ""
    harness.settle()
    assert form() == "int8_weights"


def test_later_loads_have_a_low_priority_and_the_first_does_not(harness):
    """The first load starts threads that decoding uses too, and they would keep its priority."""
    niceness = []

    def load_and_record(folder: Path) -> ScriptedModel:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return load(folder)

    harness.versions._load_folder = load_and_record
    harness.follower.run_once()
    harness.roll_out(3, 1)
    harness.settle()
    harness.roll_out(4, 2)
    harness.settle()
    first, second = niceness
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert (first, second) == (own, min(19, own + 5))


def test_the_previous_version_stays_warm_for_a_rollback(harness):
    """A rollback within this time needs no download. After it, the version is removed from memory and disk."""
    for version in (3, 4):
        harness.roll_out(version, version)
        harness.settle()
    assert harness.slots.versions_in_use(BOT) == {3, 4}
    calls = harness.registry.calls
    harness.roll_out(3, 5)
    harness.settle()
    assert harness.slot() == (3, "ready", 5)
    assert harness.registry.calls == calls
    harness.clock += WARM_FOR_S
    harness.follower.run_once()
    assert harness.slots.versions_in_use(BOT) == {3}
    assert sorted(path.name for path in (harness.folder / BOT).iterdir() if path.is_dir()) == ["3"]


def test_stale_and_unreadable_states_are_ignored(harness):
    """A state is stale if its epoch is not higher than the last one."""
    harness.roll_out(4, 7)
    harness.settle()
    harness.roll_out(3, 7)
    harness.roll_out(2, 6)
    harness.topics.send(
        [Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value=b"{"), Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value=None)]
    )
    harness.settle()
    assert harness.slot() == (4, "ready", 7)


def test_a_corrupt_version_is_reported_and_the_old_one_continues(harness):
    """The heartbeat has the reason. The download is tried again later, and an intact copy then takes over."""
    harness.roll_out(3, 1)
    harness.settle()
    harness.registry.content = "bad"
    harness.roll_out(4, 2)
    harness.settle()
    assert harness.slot() == (3, "degraded", 2)
    assert "the hash of weights differs" in harness.detail()
    assert harness.slots.route(BOT).loaded.version == 3
    harness.registry.content = "good"
    harness.settle()
    assert harness.slot()[0] == 3, "the retry is not immediate"
    harness.clock += 100
    harness.settle()
    assert harness.slot() == (4, "ready", 2)


def test_a_slot_is_ready_again_after_a_rollback_from_a_failed_version(harness):
    """The heartbeat has the epoch of the rollback."""
    harness.roll_out(3, 1)
    harness.settle()
    harness.registry.is_down = True
    harness.roll_out(4, 2)
    harness.settle()
    assert harness.slot() == (3, "degraded", 2)
    harness.roll_out(3, 3)
    harness.settle()
    assert harness.slot() == (3, "ready", 3)


def test_a_worker_starts_from_its_cache_if_the_registry_is_down(harness):
    """If the target is not cached, the version that was served last answers, and the slot is degraded."""
    harness.roll_out(3, 1)
    harness.settle()
    harness.registry.is_down = True
    harness.slots = Slots(monotonic=lambda: harness.clock)
    harness.follower = harness.new_follower()
    harness.settle()
    assert harness.slot() == (3, "ready", 1)
    harness.roll_out(4, 2)
    harness.slots = Slots(monotonic=lambda: harness.clock)
    harness.follower = harness.new_follower()
    harness.settle()
    assert harness.follower.models_loaded.is_set()
    assert harness.slot() == (3, "degraded", 2)
    assert harness.slots.route(BOT).loaded.version == 3


def test_a_damaged_cached_copy_is_downloaded_again(harness):
    """A version is unusable only if the copy in the registry is damaged."""
    harness.roll_out(3, 1)
    harness.settle()
    (harness.folder / BOT / "3" / "weights").write_text("truncated")
    assert harness.versions.load(BOT, 3).version == 3
    assert harness.registry.calls == 2


def test_muting_needs_no_new_version(harness):
    """A mute is part of the state, and the version stays loaded."""
    harness.roll_out(3, 1)
    harness.settle()
    harness.roll_out(3, 2, muted=True)
    harness.settle()
    assert harness.slots.route(BOT).muted
    assert harness.slot() == (3, "ready", 2)
    harness.roll_out(3, 3)
    harness.settle()
    assert not harness.slots.route(BOT).muted


def test_a_version_that_does_not_answer_the_probe_question_is_refused(harness):
    """Its decoding does not end."""
    harness.versions = VersionCache(
        folder=harness.folder,
        registry=lambda: harness.registry,
        load=load,
        make_engine=lambda: ScriptedEngine(steps=10**9),
    )
    with pytest.raises(CheckpointCorrupt, match="probe"):
        harness.versions.load(BOT, 3)


def test_heartbeats_are_sent_even_if_nothing_changes(harness):
    """They show that the worker is alive."""
    harness.follower.run_once()
    first = harness.heartbeat().at
    harness.clock += 60
    harness.follower.run_once()
    assert harness.heartbeat().at > first


def test_a_worker_that_stops_signs_off(harness):
    """Rollouts no longer wait for it."""
    harness.follower.run_once()
    assert harness.heartbeat().worker == "worker-1"
    harness.follower.stop()
    assert harness.topics.latest_by_key(WORKER_TOPIC) == {}


class HealthHarness:
    """The HTTP server of a worker that serves one version."""

    def __init__(self) -> None:
        self.is_ready = False
        self.slots = Slots()
        self.slots.activate(BOT, LoadedVersion(version=3, model=ScriptedModel()), 2)
        self.metrics = Metrics(slots=self.slots.reports)
        self.metrics.published(records=7)
        self.server = HealthServer("127.0.0.1", 0, self.report, self.metrics.page)

    def report(self) -> HealthReport:
        return HealthReport(
            ready=self.is_ready,
            worker="worker-1",
            tally=self.metrics.tally(),
            slots=self.slots.reports(),
            epoch=self.slots.rollout_epochs(),
            silent_s=0.1,
        )

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.server.port}{path}", timeout=5)


@pytest.fixture
def server() -> Iterator[HealthHarness]:
    made = HealthHarness()
    made.server.start()
    yield made
    made.server.close()


def test_health_is_200_while_the_worker_is_ready_and_503_otherwise(server):
    """Load balancers and Docker read only the status code."""
    assert server.get("/health").status_code == 503
    server.is_ready = True
    assert server.get("/health").status_code == 200


def test_health_has_the_counts_of_questions_and_the_state_of_each_slot(server):
    """Operators look at these first."""
    server.is_ready = True
    body = server.get("/health").json()
    tally = {"publications": 1, "answered": 0, "double_drops": 0, "in_flight": 0, "dead_letters": 0}
    assert ({"ready": True} | tally).items() <= body.items()
    assert body["epoch"][BOT] == 2
    assert {"bot": BOT, "version": 3, "state": "ready", "detail": "", "form": "", "muted": False} in body["slots"]


def test_metrics_are_prometheus_text(server):
    """Prometheus recognises the format by the content type."""
    page = server.get("/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "kogpt2_publications_total 1.0\n" in page.text


def test_no_other_page_is_served(server):
    """The port may be reachable from other machines."""
    assert server.get("/").status_code == 404


def test_the_watchdog_ends_a_process_that_makes_no_progress():
    """A process that blocks in a commit cannot stop by itself. The supervisor starts a new one."""
    script = "import threading; from serving.watchdog import Watchdog; w = Watchdog(0.3, lambda s: print('stalled')); w.start(); threading.Event().wait(60)"
    done = subprocess.run([sys.executable, "-u", "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (70, "stalled\n")


def test_a_starting_worker_answers_during_a_slow_download(harness):
    """The version that it served last answers. The slot is loading, so this does not acknowledge the rollout."""
    harness.roll_out(3, 1)
    harness.settle()
    may_continue = threading.Event()
    fetch = harness.registry.download

    def slow(bot: str, version: int, folder: Path) -> Path:
        assert may_continue.wait(10)
        return fetch(bot, version, folder)

    harness.registry.download = slow
    harness.roll_out(4, 2)
    harness.slots = Slots(monotonic=lambda: harness.clock)
    harness.follower = harness.new_follower()
    deadline = time.monotonic() + 10
    while not harness.follower.models_loaded.is_set():
        assert time.monotonic() < deadline
        harness.follower.run_once()
    harness.follower.run_once()
    assert harness.slots.route(BOT).loaded.version == 3
    assert harness.slot() == (3, "loading", 2)
    may_continue.set()
    harness.settle()
    assert harness.slot() == (4, "ready", 2)


def test_a_full_disk_does_not_affect_heartbeats_and_mutes_and_other_bots(harness):
    """The active version cannot be remembered. Every slot reports this until the file can be written."""
    harness.folder.joinpath(BOT, ".last_good").mkdir(
        parents=True
    )  # even root cannot write a file with the name of a folder
    harness.roll_out(3, 1)
    harness.settle()
    assert harness.slot() == (3, "ready", 1), "only the record of the active version is missing"
    assert "not remembered" in harness.detail()
    other = RolloutState(bot="ChatbotB", epoch=1, champion=7, muted=True)
    harness.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    harness.settle()
    route = harness.slots.route("ChatbotB")
    assert (route.rollout_epoch, route.muted) == (1, True)
    assert harness.slots.route("ChatbotB").loaded.version == 7
    harness.folder.joinpath(BOT, ".last_good").rmdir()
    harness.follower.run_once()
    assert (harness.detail(), harness.versions.last_good(BOT)) == ("", 3)


def test_the_old_version_continues_if_the_disk_is_full_during_a_download(harness):
    """The slot is degraded, with the reason. The download is tried again until it succeeds."""
    harness.roll_out(3, 1)
    harness.settle()
    fetch = harness.registry.download

    def fail(bot: str, version: int, folder: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    harness.registry.download = fail
    harness.roll_out(4, 2, previous=3)
    harness.settle()
    assert harness.slot() == (3, "degraded", 2)
    assert "No space left" in harness.detail()
    harness.registry.download = fetch
    harness.clock += 100
    harness.settle()
    assert harness.slot() == (4, "ready", 2)


def test_an_error_with_one_bot_does_not_affect_the_others(harness, monkeypatch):
    """Their rollouts are followed, and heartbeats are sent."""
    real = harness.follower._apply

    def apply(bot: str, state: RolloutState) -> None:
        if bot == BOT:
            raise RuntimeError("a bug")
        real(bot, state)

    monkeypatch.setattr(harness.follower, "_apply", apply)
    harness.roll_out(3, 1, muted=True)
    other = RolloutState(bot="ChatbotB", epoch=1, champion=7)
    harness.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    harness.settle()
    assert harness.slots.route(BOT).muted, "mutes are applied before the versions"
    assert harness.slots.route("ChatbotB").loaded.version == 7
    assert harness.heartbeat().epoch_by_bot["ChatbotB"] == 1


def test_remains_of_interrupted_downloads_are_removed(harness):
    """Their folders have names that begin with a dot, so they are not evicted like versions."""
    remains = harness.folder / BOT / ".4.abcd"
    remains.mkdir(parents=True)
    (remains / "weights").write_text("go")
    harness.roll_out(3, 1)
    harness.settle()
    harness.versions.sweep()
    assert sorted(path.name for path in (harness.folder / BOT).iterdir()) == ["3", "last_good"]


def test_no_heartbeat_is_sent_after_the_tombstone(harness):
    """Otherwise a round that hung while the worker signed off would make it count as alive."""
    harness.follower.run_once()
    harness.follower.stop()
    harness.clock += 60
    harness.follower.run_once()
    assert harness.topics.latest_by_key(WORKER_TOPIC) == {}


def test_a_recreated_topic_is_read_from_its_beginning(harness):
    """The old position is after its end."""
    for epoch in (1, 2, 3):
        harness.roll_out(3, epoch)
    harness.settle()
    harness.topics._broker.create(ROLLOUT_TOPIC, 1)
    harness.roll_out(4, 9)
    harness.settle()
    assert harness.slot() == (4, "ready", 9)


@pytest.mark.parametrize("count", [1, 2])
def test_a_recreated_topic_that_has_grown_to_the_old_position_is_read_again(harness, count):
    """Positions do not show this, so the whole topic is read again at the pace of heartbeats."""
    harness.roll_out(3, 1)
    harness.settle()
    harness.topics._broker.create(ROLLOUT_TOPIC, 1)
    harness.roll_out(3, 2, muted=True)
    for epoch in range(1, count):
        other = RolloutState(bot="ChatbotB", epoch=epoch, champion=1)
        harness.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    harness.clock += HEARTBEAT_S
    harness.settle()
    route = harness.slots.route(BOT)
    assert (route.rollout_epoch, route.muted) == (2, True)


def test_an_unreadable_state_is_logged_once(harness):
    """The topic is read several times."""
    harness.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value="이것은 JSON이 아니다".encode())])
    with capture_logs() as logs:
        for _ in range(3):
            harness.clock += HEARTBEAT_S
            harness.follower.run_once()
    assert [entry["event"] for entry in logs] == ["rollout_state_unreadable"]
