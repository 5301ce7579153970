"""Slots, shelf and control: a new version takes over between two batches, and a bad one never does."""

import errno
import os
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
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from serving.health import HealthReport, HealthServer
from serving.metrics import Metrics
from serving.rollout_follower import RolloutFollower
from serving.slot import WARM_FOR_S, LoadedVersion, Slots
from serving.version_cache import VersionCache
from serving.watchdog import Watchdog

BOT = "ChatbotA"


class Downloads:
    """The one thing of a registry that a shelf needs."""

    def __init__(self) -> None:
        self.away = False
        self.content = "good"
        self.calls = 0

    def download(self, bot: str, version: int, folder: Path) -> Path:
        self.calls += 1
        if self.away:
            raise Unavailable("MLflow is away")
        folder.mkdir()
        (folder / "weights").write_text(self.content)
        return folder


class ControlHarness:
    """A control thread's parts, turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = 0.0
        self.topics = InMemoryTopics(Broker())
        self.topics.ensure()
        self.registry = Downloads()
        self.slots = Slots(monotonic=lambda: self.clock)
        self.swaps: list[str] = []
        self.folder = folder
        self.control = self.new_control()

    def new_control(self) -> RolloutFollower:
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
        """Rounds until no load is under way."""
        deadline = time.monotonic() + 10
        self.control.run_once()
        while self.control._loads:
            assert time.monotonic() < deadline
            self.control.run_once()
        self.control.run_once()

    def said(self) -> WorkerState:
        return WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"])

    def detail(self) -> str:
        return next(slot.detail for slot in self.said().slots if slot.bot == BOT)

    def slot(self) -> tuple[int, str, int]:
        report = next(slot for slot in self.said().slots if slot.bot == BOT)
        return report.version, report.state, self.said().epoch_by_bot[BOT]


def load(folder: Path) -> ScriptedModel:
    if (folder / "weights").read_text() != "good":
        raise CheckpointCorrupt(f"{folder}: weights are not what model.json promises")
    return ScriptedModel(version=folder.name)


@pytest.fixture
def house(tmp_path) -> ControlHarness:
    return ControlHarness(tmp_path / "models")


def test_a_rollout_is_loaded_aside_swapped_and_reported(house):
    """Ready is said only after the swap; the epoch with it."""
    house.control.run_once()
    assert house.slot() == (0, "degraded", 0)
    house.roll_out(3, 1)
    house.settle()
    assert house.slot() == (3, "ready", 1)
    assert house.slots.route(BOT).loaded.model.version == "3"
    house.roll_out(4, 2, previous=3)
    house.control.run_once()
    assert house.slot()[:2] == (3, "loading"), "the old one answers meanwhile"
    house.settle()
    assert house.slot() == (4, "ready", 2)
    assert house.swaps == [BOT, BOT]


def test_a_version_that_says_something_else_here_leaves_the_old_one_speaking(house):
    """It is whole, so it is not fetched again; the figure is what the worker says of its slot."""
    house.roll_out(3, 1)
    house.settle()
    calls = house.registry.calls

    def disagrees(folder: Path) -> ScriptedModel:
        raise GateRefused("the engine answers 20 of 30 prompts like its weights in fp32 (66.7%)")

    house.versions._load_folder = disagrees
    house.roll_out(4, 2, previous=3)
    house.settle()
    assert house.slot() == (3, "degraded", 2)
    assert "20 of 30 prompts" in next(slot.detail for slot in house.said().slots if slot.bot == BOT)
    assert (house.slots.route(BOT).loaded.model.version, house.registry.calls) == ("3", calls + 1)


def test_the_form_of_what_speaks_is_said(house):
    """Of the version that answers now, not of one that is only offered; nothing where nobody answers."""

    def said() -> str:
        return next(slot.form for slot in house.said().slots if slot.bot == BOT)

    def in_form(folder: Path) -> ScriptedModel:
        model = load(folder)
        model.form = "int8_weights"
        return model

    house.versions._load_folder = in_form
    house.roll_out(3, 1)
    house.control.run_once()
    assert said() == ""
    house.settle()
    assert said() == "int8_weights"


def test_later_loads_stand_back_behind_answers_and_the_first_does_not(house):
    """Threads that decoding shares are begun by the first load, and would be behind for ever."""
    niceness = []

    def slowly(folder: Path) -> ScriptedModel:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return load(folder)

    house.versions._load_folder = slowly
    house.control.run_once()
    house.roll_out(3, 1)
    house.settle()
    house.roll_out(4, 2)
    house.settle()
    first, second = niceness
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert (first, second) == (own, min(19, own + 5))


def test_the_previous_version_stays_warm_so_that_a_rollback_is_instant(house):
    """No download, no load; after a while the memory is given back."""
    for version in (3, 4):
        house.roll_out(version, version)
        house.settle()
    assert house.slots.versions_in_use(BOT) == {3, 4}
    calls = house.registry.calls
    house.roll_out(3, 5)
    house.settle()
    assert house.slot() == (3, "ready", 5)
    assert house.registry.calls == calls
    house.clock += WARM_FOR_S
    house.control.run_once()
    assert house.slots.versions_in_use(BOT) == {3}
    assert sorted(path.name for path in (house.folder / BOT).iterdir() if path.is_dir()) == ["3"]


def test_a_stale_epoch_is_ignored(house):
    """Whoever repeats an old state changes nothing."""
    house.roll_out(4, 7)
    house.settle()
    house.roll_out(3, 7)
    house.roll_out(2, 6)
    house.topics.send(
        [Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value=b"{"), Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value=None)]
    )
    house.settle()
    assert house.slot() == (4, "ready", 7)


def test_a_corrupt_version_leaves_the_old_one_serving_and_is_reported(house):
    """With the reason; it is tried again later, and a sound copy then takes over."""
    house.roll_out(3, 1)
    house.settle()
    house.registry.content = "bad"
    house.roll_out(4, 2)
    house.settle()
    assert house.slot() == (3, "degraded", 2)
    assert "weights are not what" in next(slot.detail for slot in house.said().slots if slot.bot == BOT)
    assert house.slots.route(BOT).loaded.version == 3
    house.registry.content = "good"
    house.settle()
    assert house.slot()[0] == 3, "not at once: a broken version must not be fetched over and over"
    house.clock += 100
    house.settle()
    assert house.slot() == (4, "ready", 2)


def test_a_rollback_after_a_failed_version_is_ready_again(house):
    """The epoch rises, and the degraded state is over."""
    house.roll_out(3, 1)
    house.settle()
    house.registry.away = True
    house.roll_out(4, 2)
    house.settle()
    assert house.slot() == (3, "degraded", 2)
    house.roll_out(3, 3)
    house.settle()
    assert house.slot() == (3, "ready", 3)


def test_a_worker_starts_from_its_shelf_when_the_registry_is_away(house):
    """The wanted version if it is there, else the one it served last, reported as degraded."""
    house.roll_out(3, 1)
    house.settle()
    house.registry.away = True
    house.slots = Slots(monotonic=lambda: house.clock)
    house.control = house.new_control()
    house.settle()
    assert house.slot() == (3, "ready", 1)
    house.roll_out(4, 2)
    house.slots = Slots(monotonic=lambda: house.clock)
    house.control = house.new_control()
    house.settle()
    assert house.control.models_loaded.is_set()
    assert house.slot() == (3, "degraded", 2)
    assert house.slots.route(BOT).loaded.version == 3


def test_a_damaged_copy_on_the_shelf_is_fetched_again(house):
    """Only the registry's own copy being damaged makes a version unusable."""
    house.roll_out(3, 1)
    house.settle()
    (house.folder / BOT / "3" / "weights").write_text("torn")
    assert house.versions.load(BOT, 3).version == 3
    assert house.registry.calls == 2


def test_muting_needs_no_new_version(house):
    """Mute is part of the state, and takes effect with the next question."""
    house.roll_out(3, 1)
    house.settle()
    house.roll_out(3, 2, muted=True)
    house.settle()
    assert house.slots.route(BOT).muted
    assert house.slot() == (3, "ready", 2)
    house.roll_out(3, 3)
    house.settle()
    assert not house.slots.route(BOT).muted


def test_a_probe_that_never_ends_is_a_bad_version(house):
    """A model that cannot answer must not reach the players."""
    house.versions = VersionCache(
        folder=house.folder, registry=lambda: house.registry, load=load, make_engine=lambda: ScriptedEngine(steps=10**9)
    )
    with pytest.raises(CheckpointCorrupt, match="probe"):
        house.versions.load(BOT, 3)


def test_a_worker_that_leaves_signs_off(house):
    """No rollout waits for it; heartbeats come while it lives even if nothing changes."""
    house.control.run_once()
    first = house.said().at
    house.clock += 60
    house.control.run_once()
    assert house.said().at > first
    house.control.stop()
    assert house.topics.latest_by_key(WORKER_TOPIC) == {}


class Served:
    """The HTTP server of a worker with one version, over the network."""

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
def served() -> Iterator[Served]:
    made = Served()
    made.server.start()
    yield made
    made.server.close()


def test_health_is_200_while_the_worker_is_ready_and_503_otherwise(served):
    """Load balancers and Docker read the status only."""
    assert served.get("/health").status_code == 503
    served.is_ready = True
    assert served.get("/health").status_code == 200


def test_health_says_what_an_operator_asks_first(served):
    """What became of the questions, and what each bot answers with."""
    served.is_ready = True
    body = served.get("/health").json()
    tally = {"publications": 1, "answered": 0, "double_drops": 0, "in_flight": 0, "dead_letters": 0}
    assert ({"ready": True} | tally).items() <= body.items()
    assert body["epoch"][BOT] == 2
    assert {"bot": BOT, "version": 3, "state": "ready", "detail": "", "form": "", "muted": False} in body["slots"]


def test_metrics_are_prometheus_text(served):
    """The format that Prometheus asks for by its content type."""
    page = served.get("/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "kogpt2_publications_total 1.0\n" in page.text


def test_no_other_page_is_served(served):
    """The port may be reachable from outside."""
    assert served.get("/").status_code == 404


def test_the_watchdog_ends_a_process_that_stands_still(tmp_path):
    """Nothing that blocks in a commit can be asked to stop; the supervisor starts a new one."""
    import subprocess
    import sys

    script = "import threading; from serving.watchdog import Watchdog; w = Watchdog(0.3, lambda s: print('stalled')); w.start(); threading.Event().wait(60)"
    done = subprocess.run([sys.executable, "-u", "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (70, "stalled\n")
    assert Watchdog(10, lambda _: None).silent_s < 10


def test_a_slow_download_does_not_keep_a_starting_worker_silent(house):
    """What this machine served last answers meanwhile, as loading, so that no rollout takes it for an answer."""
    house.roll_out(3, 1)
    house.settle()
    may_go_on = threading.Event()
    fetch = house.registry.download

    def slow(bot: str, version: int, folder: Path) -> Path:
        assert may_go_on.wait(10)
        return fetch(bot, version, folder)

    house.registry.download = slow
    house.roll_out(4, 2)
    house.slots = Slots(monotonic=lambda: house.clock)
    house.control = house.new_control()
    deadline = time.monotonic() + 10
    while not house.control.models_loaded.is_set():
        assert time.monotonic() < deadline
        house.control.run_once()
    house.control.run_once()
    assert house.slots.route(BOT).loaded.version == 3
    assert house.slot() == (3, "loading", 2)
    may_go_on.set()
    house.settle()
    assert house.slot() == (4, "ready", 2)


def test_a_full_disk_costs_neither_heartbeat_nor_mute_nor_another_bot(house):
    """What serves cannot be remembered: that is told beside each slot, and over when there is room."""
    house.folder.joinpath(BOT, ".last_good").mkdir(parents=True)  # what cannot be written to, for root either
    house.roll_out(3, 1)
    house.settle()
    assert house.slot() == (3, "ready", 1), "nothing but a note is lost"
    assert "not remembered" in house.detail()
    other = RolloutState(bot="ChatbotB", epoch=1, champion=7, muted=True)
    house.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    house.settle()
    route = house.slots.route("ChatbotB")
    assert (route.rollout_epoch, route.muted) == (1, True)
    assert house.slots.route("ChatbotB").loaded.version == 7
    house.folder.joinpath(BOT, ".last_good").rmdir()
    house.control.run_once()
    assert (house.detail(), house.versions.last_good(BOT)) == ("", 3)


def test_a_download_that_finds_no_room_leaves_the_old_version_speaking(house):
    """Degraded with the reason, and tried again until there is room; nobody has to do anything."""
    house.roll_out(3, 1)
    house.settle()
    fetch = house.registry.download

    def full(bot: str, version: int, folder: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    house.registry.download = full
    house.roll_out(4, 2, previous=3)
    house.settle()
    assert house.slot() == (3, "degraded", 2)
    assert "No space left" in house.detail()
    house.registry.download = fetch
    house.clock += 100
    house.settle()
    assert house.slot() == (4, "ready", 2)


def test_a_fault_with_one_bot_costs_no_other_anything(house, monkeypatch):
    """Its own work fails; the others are followed, and the heartbeat goes on."""
    real = house.control._apply

    def follow(bot: str, state: RolloutState) -> None:
        if bot == BOT:
            raise RuntimeError("whatever it is")
        real(bot, state)

    monkeypatch.setattr(house.control, "_apply", follow)
    house.roll_out(3, 1, muted=True)
    other = RolloutState(bot="ChatbotB", epoch=1, champion=7)
    house.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    house.settle()
    assert house.slots.route(BOT).muted, "a mute comes first"
    assert house.slots.route("ChatbotB").loaded.version == 7
    assert house.said().epoch_by_bot["ChatbotB"] == 1


def test_downloads_that_died_with_their_process_are_swept(house):
    """They would stay for ever: names that begin with a dot are no version."""
    torn = house.folder / BOT / ".4.abcd"
    torn.mkdir(parents=True)
    (torn / "weights").write_text("go")
    house.roll_out(3, 1)
    house.settle()
    house.versions.sweep()
    assert sorted(path.name for path in (house.folder / BOT).iterdir()) == ["3", "last_good"]


def test_no_heartbeat_comes_after_the_farewell(house):
    """A round that hung while the worker signed off would make it count as alive."""
    house.control.run_once()
    house.control.stop()
    house.clock += 60
    house.control.run_once()
    assert house.topics.latest_by_key(WORKER_TOPIC) == {}


def test_a_topic_made_anew_is_read_from_its_beginning(house):
    """The position of the lost one lies behind its end."""
    for epoch in (1, 2, 3):
        house.roll_out(3, epoch)
    house.settle()
    house.topics._broker.create(ROLLOUT_TOPIC, 1)
    house.roll_out(4, 9)
    house.settle()
    assert house.slot() == (4, "ready", 9)


@pytest.mark.parametrize("count", [1, 2])
def test_a_topic_made_anew_is_heard_though_it_has_grown_to_where_the_old_one_stood(house, count):
    """Its end says nothing of that: a heartbeat later all that it holds is read again."""
    house.roll_out(3, 1)
    house.settle()
    house.topics._broker.create(ROLLOUT_TOPIC, 1)
    house.roll_out(3, 2, muted=True)
    for epoch in range(1, count):
        other = RolloutState(bot="ChatbotB", epoch=epoch, champion=1)
        house.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotB", value=other.to_json().encode())])
    house.clock += HEARTBEAT_S
    house.settle()
    route = house.slots.route(BOT)
    assert (route.rollout_epoch, route.muted) == (2, True)


def test_what_cannot_be_read_is_told_once(house):
    """However often the topic is read."""
    house.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"x", value="이것은 JSON이 아니다".encode())])
    with capture_logs() as told:
        for _ in range(3):
            house.clock += HEARTBEAT_S
            house.control.run_once()
    assert [entry["event"] for entry in told] == ["rollout_state_unreadable"]
