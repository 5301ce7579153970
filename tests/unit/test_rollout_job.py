"""Rollouts and rollbacks with simulated workers: which version becomes champion, and what happens after failures."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.errors import ChangeSuperseded, CheckpointCorrupt, GateRefused, InvalidInput, NotFound, Unavailable
from kogpt2_chat.fleet.rollout_plan import RolloutResult
from kogpt2_chat.jobs.nominate import nominate
from kogpt2_chat.jobs.register import register
from kogpt2_chat.jobs.rollback import rollback
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.ports import Alias
from kogpt2_chat.settings import Rollout, Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from tests.fleet_harness import FleetHarness, RacingTopics, SimulatedWorker, Survivor

BOT = "ChatbotA"
LAKE = {"files": InMemoryFiles(), "settings": Settings()}
MODEL_JSON = '{"base": "skt/kogpt2-base-v2", "licence": "CC BY-NC-SA 4.0", "dataset": "0123456789ab", "parent": ""}'


class KilledError(Exception):
    """Raised where the process is killed with SIGKILL."""


class CrashingRegistry(InMemoryRegistry):
    """A registry at which the job is killed after a number of alias moves."""

    moves_left: int | None = None

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        if self.moves_left == 0:
            raise KilledError
        if self.moves_left is not None:
            self.moves_left -= 1
        super().set_alias(bot, alias, version)


class SilentRegistry:
    """A registry whose calls do not return."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_named: self.ended.wait()


@pytest.fixture
def silent_registry() -> Iterator[SilentRegistry]:
    made = SilentRegistry()
    yield made
    made.ended.set()


def worker(name: str = "worker-1", **more: Any) -> SimulatedWorker:
    return SimulatedWorker(bot=BOT, name=name, **more)


@dataclass
class RolloutHarness(FleetHarness):
    """The topics, the registry and the simulated workers of a rollout."""

    bot: str = BOT
    workers: list[SimulatedWorker] = field(default_factory=lambda: [worker()])
    registry: CrashingRegistry = field(default_factory=CrashingRegistry)
    model_json: str = MODEL_JSON

    def train(self, **tags: str) -> int:
        run_id = self.registry.start_run("학습", {}, {})
        self.registry.runs[run_id].files["version/model.json"] = self.model_json.encode()
        return self.registry.add_version(BOT, run_id, "version", tags)

    def rollout(self, version: int | None = None) -> RolloutResult:
        return rollout(
            bot=BOT,
            topics=self.topics,
            registry=self.registry,
            settings=self.settings,
            progress=self.lines.append,
            version=version,
            clock=self.clock,
        )

    def rollback(self, registry: Any = None) -> RolloutResult:
        return rollback(
            bot=BOT,
            topics=self.topics,
            registry=registry or self.registry,
            settings=self.settings.model_copy(update={"rollout": Rollout(registry_timeout_s=0.05)})
            if registry
            else self.settings,
            progress=self.lines.append,
            clock=self.clock,
        )

    def aliases(self) -> dict[str, int]:
        return {alias: one.version for one in self.registry.versions(BOT) for alias in one.aliases}

    def promote(self) -> int:
        """Train, nominate and roll out one good version."""
        version = self.train(gate="pass")
        nominate(bot=BOT, version=version, registry=self.registry)
        self.rollout()
        return version


@pytest.fixture
def harness() -> RolloutHarness:
    return RolloutHarness()


def published(harness: RolloutHarness) -> RolloutState:
    state = harness.published()
    assert state is not None
    return state


def test_the_first_version_becomes_champion(harness: RolloutHarness) -> None:
    """After the workers have acknowledged it, the alias `champion` is set and `candidate` is removed."""
    version = harness.train(gate="pass")
    nominate(bot=BOT, version=version, registry=harness.registry)

    result = harness.rollout()

    assert result == RolloutResult(
        bot=BOT,
        version=1,
        previous=None,
        epoch=1,
        workers=("worker-1",),
        changed=True,
        reason="version 1 passed the gate",
    )
    assert harness.aliases() == {"champion": 1}
    assert (published(harness).phase, published(harness).percent, published(harness).by) == ("steady", 100, "rollout")
    assert published(harness).at == "2026-11-24T09:00:00.000+00:00"


def test_the_old_champion_becomes_previous(harness: RolloutHarness) -> None:
    """It is kept for a rollback."""
    harness.promote()
    harness.promote()

    assert harness.aliases() == {"champion": 2, "previous": 1}
    assert (published(harness).epoch, published(harness).champion, published(harness).previous) == (2, 2, 1)


def test_rolling_out_the_champion_again_does_nothing(harness: RolloutHarness) -> None:
    """A retried task succeeds and publishes nothing."""
    harness.promote()

    result = harness.rollout()
    named = harness.rollout(version=1)

    assert (result.changed, result.version, result.epoch) == (False, 1, 1)
    assert named.changed is False
    assert "nothing to do" in harness.lines[-1]
    assert published(harness).epoch == 1


def test_the_champion_is_published_again_after_the_topic_was_lost(harness: RolloutHarness) -> None:
    """Workers without a state can follow it. The aliases do not change."""
    harness.promote()
    harness.promote()
    harness.lose_topics()

    harness.rollout()

    assert (published(harness).champion, published(harness).previous, published(harness).epoch) == (2, 1, 1)
    assert harness.aliases() == {"champion": 2, "previous": 1}


def test_a_republished_champion_that_does_not_load_is_an_error(harness: RolloutHarness) -> None:
    """There is no earlier version to restore, so nothing more is published."""
    harness.promote()
    harness.lose_topics()
    harness.workers[0].broken = {1}

    with pytest.raises(
        Unavailable, match=r"version 1 was not loaded by every worker.*version 1 continues to answer \(epoch 1\)"
    ):
        harness.rollout()

    assert (published(harness).champion, published(harness).epoch) == (1, 1)


@pytest.mark.parametrize("tags", [{}, {"gate": "refused", "gate_reasons": "반복"}])
def test_only_a_version_that_passed_the_gate_is_accepted(harness: RolloutHarness, tags: dict[str, str]) -> None:
    """A version that was not evaluated or was refused can be neither nominated nor rolled out."""
    version = harness.train(**tags)

    with pytest.raises(GateRefused, match="version 1"):
        nominate(bot=BOT, version=version, registry=harness.registry)
    with pytest.raises(GateRefused, match="version 1"):
        harness.rollout(version=version)

    assert harness.aliases() == {}
    assert harness.published() is None


def test_a_bot_that_was_never_trained_has_nothing_to_roll_out(harness: RolloutHarness) -> None:
    """The message says how to train it."""
    with pytest.raises(NotFound, match="retrain_bots"):
        harness.rollout()


def test_a_degraded_worker_restores_the_old_champion(harness: RolloutHarness) -> None:
    """One worker that cannot load the version is enough. The aliases do not change, and the error quotes the worker."""
    harness.promote()
    harness.workers.append(worker("worker-2", broken={2}))
    version = harness.train(gate="pass")
    nominate(bot=BOT, version=version, registry=harness.registry)

    with pytest.raises(Unavailable, match=r"worker-2 \(model\.safetensors: 해시가 다름\)"):
        harness.rollout()

    assert (published(harness).epoch, published(harness).champion) == (3, 1)
    assert harness.aliases() == {"champion": 1, "candidate": 2}
    assert "was not loaded by every worker" in published(harness).reason


def canary(harness: RolloutHarness) -> RolloutState:
    """Make version 1 champion, with a canary of version 5 for a tenth of the players that a later release started."""
    harness.promote()
    state = replace(published(harness), epoch=2, candidate=5, phase="canary", percent=10)
    harness.send(ROLLOUT_TOPIC, BOT, state.to_json())
    harness.beat()
    return state


def test_a_rollout_keeps_the_fields_of_a_canary(harness: RolloutHarness) -> None:
    """It changes only the champion. Another command has to end the canary."""
    before = canary(harness)
    nominate(bot=BOT, version=harness.train(gate="pass"), registry=harness.registry)

    harness.rollout()

    state = published(harness)
    assert (state.epoch, state.champion, state.previous) == (3, 2, 1)
    assert (state.candidate, state.phase, state.percent) == (before.candidate, before.phase, before.percent)
    assert harness.rollback().version == 1
    assert (published(harness).champion, published(harness).candidate, published(harness).percent) == (1, 5, 10)


def test_restoring_the_old_champion_keeps_the_fields_of_a_canary(harness: RolloutHarness) -> None:
    """A failed rollout does not change the canary."""
    before = canary(harness)
    harness.workers[0].broken = {2}
    nominate(bot=BOT, version=harness.train(gate="pass"), registry=harness.registry)

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        harness.rollout()

    state = published(harness)
    assert replace(state, epoch=2, reason=before.reason, by=before.by, at=before.at) == before


def racing(harness: RolloutHarness, rival: RolloutState) -> None:
    """Make version 1 champion and nominate version 2. The rival publishes its state just before ours."""
    harness.promote()
    nominate(bot=BOT, version=harness.train(gate="pass"), registry=harness.registry)
    harness.topics = RacingTopics(harness.topics, [rival])


def test_restoring_the_old_champion_survives_a_concurrent_mute(harness: RolloutHarness) -> None:
    """The old champion is published again after the mute, and the bot stays muted."""
    racing(harness, RolloutState(bot=BOT, epoch=3, champion=2, previous=1, muted=True, by="하늘"))
    harness.workers[0].broken = {2}

    with pytest.raises(Unavailable, match=r"version 1 continues to answer \(epoch 4\)"):
        harness.rollout()

    assert (published(harness).epoch, published(harness).champion, published(harness).muted) == (4, 1, True)


def test_a_rollout_survives_a_concurrent_mute(harness: RolloutHarness) -> None:
    """The new champion is published again after the mute, and the bot stays muted."""
    racing(harness, RolloutState(bot=BOT, epoch=2, champion=1, muted=True, by="하늘"))

    harness.rollout()

    assert (published(harness).epoch, published(harness).champion, published(harness).muted) == (3, 2, True)
    assert harness.aliases() == {"champion": 2, "previous": 1}


def test_a_rollout_yields_to_a_concurrent_rollout(harness: RolloutHarness) -> None:
    """The other rollout stays in effect, and this call fails at once without waiting."""
    racing(harness, RolloutState(bot=BOT, epoch=2, champion=7, by="바다"))
    before = harness.time

    with pytest.raises(ChangeSuperseded, match=r"superseded by epoch 3 \(version 7\) by '바다'"):
        harness.rollout()

    assert harness.time == before
    assert harness.aliases()["champion"] == 1


def test_the_winner_of_a_race_is_also_the_last_record(harness: RolloutHarness) -> None:
    """If two records share an epoch, workers follow the first, but compaction keeps the last. So it is republished."""
    racing(harness, RolloutState(bot=BOT, epoch=2, champion=7, by="바다"))

    with pytest.raises(ChangeSuperseded):
        harness.rollout()

    assert (published(harness).champion, published(harness).by, published(harness).epoch) == (7, "바다", 3)


def test_a_stale_last_record_is_replaced(harness: RolloutHarness) -> None:
    """After a crash, the loser of a race may be the last record. The next command publishes the winner again."""
    harness.promote()
    harness.publish(RolloutState(bot=BOT, epoch=1, champion=9, by="늦은 이"))

    harness.rollout()

    assert (published(harness).champion, published(harness).epoch, published(harness).by) == (1, 2, "rollout")
    assert harness.aliases() == {"champion": 1}


def test_a_rollout_reaches_workers_that_survived_the_topic(harness: RolloutHarness) -> None:
    """The new epoch is higher than the epoch that they remember."""
    for _ in range(3):
        harness.promote()
    harness.topics._broker.create(ROLLOUT_TOPIC, 1)
    version = harness.train(gate="pass")

    harness.rollout(version=version)

    assert (published(harness).champion, published(harness).epoch) == (4, 4)
    assert harness.aliases() == {"champion": 4, "previous": 3}


def test_a_rollout_reaches_workers_that_return_after_its_publication(harness: RolloutHarness) -> None:
    """The broker lost its disk. After the first heartbeat, the state is published with an epoch above the worker's."""
    harness.promote()
    harness.lose_topics()
    version = harness.train(gate="pass")
    harness.workers[0] = Survivor(bot=BOT, serving=1, epoch=7)

    harness.rollout(version=version)

    assert (published(harness).champion, published(harness).epoch, published(harness).previous) == (2, 8, 1)
    assert harness.aliases() == {"champion": 2, "previous": 1}


def test_the_serving_version_is_restored_not_the_aliased_one(harness: RolloutHarness) -> None:
    """An operator moved the alias `champion`, which workers do not read."""
    harness.promote()
    harness.promote()
    harness.registry.set_alias(BOT, "champion", 1)
    version = harness.train(gate="pass")
    harness.workers[0].broken = {version}

    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        harness.rollout(version=version)
    assert published(harness).champion == 2

    harness.workers[0].broken = set()
    harness.rollout(version=version)
    assert harness.aliases() == {"champion": 3, "previous": 2}


def test_a_worker_that_never_answers_times_out(harness: RolloutHarness) -> None:
    """After the deadline the old champion is published again. A later call can succeed."""
    harness.promote()
    harness.workers[0].stuck = True
    nominate(bot=BOT, version=harness.train(gate="pass"), registry=harness.registry)
    started = harness.time

    with pytest.raises(Unavailable, match="waiting for worker-1"):
        harness.rollout()

    assert (harness.time - started).total_seconds() == pytest.approx(harness.settings.rollout.ready_timeout_s, abs=1)
    assert published(harness).champion == 1
    harness.workers[0].stuck = False
    assert harness.rollout().changed is True
    assert (harness.aliases(), published(harness).epoch) == ({"champion": 2, "previous": 1}, 4)


def test_a_rollout_fails_if_no_worker_is_alive(harness: RolloutHarness) -> None:
    """No alias moves without an acknowledgement, and a first version is withdrawn."""
    harness.workers[0].alive = False
    version = harness.train(gate="pass")

    with pytest.raises(Unavailable, match="no worker is alive"):
        harness.rollout(version=version)

    assert harness.aliases() == {}
    assert (published(harness).champion, published(harness).epoch) == (None, 2)


def test_dead_workers_are_not_waited_for(harness: RolloutHarness) -> None:
    """A worker with an old heartbeat is dead. An unreadable heartbeat is ignored."""
    ghost = worker("worker-9")
    harness.send(WORKER_TOPIC, "worker-9", ghost.report(None, harness.time - timedelta(minutes=5)).to_json())
    harness.send(WORKER_TOPIC, "worker-8", "이것은 JSON이 아니다")

    harness.promote()

    assert harness.aliases() == {"champion": 1}


def test_a_worker_that_starts_during_the_rollout_is_waited_for(harness: RolloutHarness) -> None:
    """Liveness is checked at each poll, not only at the start."""
    late = worker("worker-2", stuck=True)
    harness.workers[0].stuck = True

    def arrive() -> None:
        if late not in harness.workers:
            harness.workers.append(late)
        elif harness.workers[0].stuck:
            harness.workers[0].stuck = False
        else:
            late.stuck = False

    harness.on_wait = arrive

    harness.promote()

    assert harness.lines[-1].endswith("served by worker-1, worker-2")


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_killed_rollout_is_finished_by_a_second_call(harness: RolloutHarness, moves: int) -> None:
    """The first call was killed before one of the three alias moves. The second one needs no new epoch."""
    harness.promote()
    nominate(bot=BOT, version=harness.train(gate="pass"), registry=harness.registry)
    harness.registry.moves_left = moves
    with pytest.raises(KilledError):
        harness.rollout()
    harness.registry.moves_left = None

    harness.rollout()

    assert harness.aliases() == {"champion": 2, "previous": 1}
    assert (published(harness).epoch, published(harness).champion) == (2, 2)


@pytest.mark.parametrize("moves", [0, 1])
def test_a_killed_rollback_is_finished_by_a_second_call(harness: RolloutHarness, moves: int) -> None:
    """The first call was killed before one of the two alias moves."""
    harness.promote()
    harness.promote()
    harness.registry.moves_left = moves
    with pytest.raises(KilledError):
        harness.rollback()
    harness.registry.moves_left = None

    harness.rollback()

    assert harness.aliases() == {"champion": 1}
    assert published(harness).champion == 1
    assert "rolled_back" in harness.registry.get(BOT, 2).tags


def test_a_newer_candidate_survives_the_rollout_of_an_older_one(harness: RolloutHarness) -> None:
    """The alias `candidate` is removed only from the version that was rolled out."""
    first, second = harness.train(gate="pass"), harness.train(gate="pass")
    nominate(bot=BOT, version=second, registry=harness.registry)

    harness.rollout(version=first)

    assert harness.aliases() == {"champion": first, "candidate": second}


def test_a_rollout_is_superseded_by_another_one(harness: RolloutHarness) -> None:
    """If another champion is published while this call waits, the call moves no alias and publishes nothing more."""
    harness.workers[0].stuck = True
    version = harness.train(gate="pass")
    other = RolloutState(bot=BOT, epoch=9, champion=7)
    harness.on_wait = lambda: harness.publish(other)

    with pytest.raises(ChangeSuperseded, match=r"epoch 9 \(version 7\)"):
        harness.rollout(version=version)

    assert published(harness).epoch == 9
    assert harness.aliases() == {}


def test_a_muted_bot_stays_muted_through_a_rollout(harness: RolloutHarness) -> None:
    """A new champion does not unmute the bot."""
    harness.promote()
    harness.publish(RolloutState(bot=BOT, epoch=2, champion=1, muted=True))

    harness.promote()

    assert (published(harness).champion, published(harness).muted) == (2, True)


def test_a_rollback_returns_to_the_previous_version(harness: RolloutHarness) -> None:
    """Afterwards there is no previous version, so a second rollback fails."""
    harness.promote()
    harness.promote()

    result = harness.rollback()

    assert (result.version, result.changed, result.epoch) == (1, True, 3)
    assert harness.aliases() == {"champion": 1}
    assert published(harness).reason == "rolled back from version 2"
    with pytest.raises(NotFound, match="no previous version"):
        harness.rollback()


def test_a_rolled_back_version_is_rolled_out_only_by_number(harness: RolloutHarness) -> None:
    """A retried task cannot nominate it again, but an operator can name it."""
    harness.promote()
    harness.promote()
    harness.rollback()

    with pytest.raises(GateRefused, match="rolled back"):
        nominate(bot=BOT, version=2, registry=harness.registry)
    harness.rollout(version=2)

    assert harness.aliases() == {"champion": 2, "previous": 1}


def test_a_rollback_that_fails_keeps_the_champion(harness: RolloutHarness) -> None:
    """If the previous version does not load, the champion continues to answer and the aliases do not change."""
    harness.promote()
    harness.promote()
    harness.workers[0].broken = {1}

    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        harness.rollback()

    assert published(harness).champion == 2
    assert harness.aliases() == {"champion": 2, "previous": 1}


def test_a_rollback_does_not_wait_for_a_registry_that_hangs(
    harness: RolloutHarness, silent_registry: SilentRegistry
) -> None:
    """The workers change the version without the registry. A second call moves the aliases later."""
    harness.promote()
    harness.promote()
    with pytest.raises(Unavailable, match="version 1 answers again on worker-1. The aliases were not moved"):
        harness.rollback(silent_registry)
    assert (published(harness).champion, harness.workers[0].serving) == (1, 1)
    assert harness.aliases() == {"champion": 2, "previous": 1}

    assert harness.rollback().version == 1
    assert harness.aliases() == {"champion": 1}
    assert "rolled_back" in harness.registry.get(BOT, 2).tags


def publish_broken_version(harness: RolloutHarness) -> None:
    """Publish version 3, which does not load, while version 2 answers. Version 1 answered before."""
    harness.promote()
    harness.promote()
    harness.workers[0].broken = {3}
    state = RolloutState(bot=BOT, epoch=3, champion=3, previous=2, earlier=1)
    harness.publish(state)
    harness.beat()


def test_a_rollback_abandons_the_serving_version_not_the_loading_one(harness: RolloutHarness) -> None:
    """Version 3 never answered, so it is not tagged and can still be rolled out."""
    publish_broken_version(harness)
    harness.train(gate="pass")

    assert harness.rollback().version == 1

    assert "rolled_back" in harness.registry.get(BOT, 2).tags
    assert "rolled_back" not in harness.registry.get(BOT, 3).tags


def test_a_rollback_without_registry_abandons_the_serving_version(
    harness: RolloutHarness, silent_registry: SilentRegistry
) -> None:
    """A second rollback has no version to return to. Its error suggests a mute."""
    publish_broken_version(harness)
    with pytest.raises(Unavailable, match="version 1 answers again"):
        harness.rollback(silent_registry)
    with pytest.raises(Unavailable, match=f"kogpt2-chat mute {BOT}"):
        harness.rollback(silent_registry)
    assert published(harness).champion == 1

    harness.train(gate="pass")
    assert harness.rollback().version == 1
    assert harness.aliases() == {"champion": 1}
    assert "rolled_back" in harness.registry.get(BOT, 2).tags


@pytest.mark.parametrize("broken", [{1, 3}, {3, 4}])
def test_the_serving_version_is_restored_not_the_loading_one(harness: RolloutHarness, broken: set[int]) -> None:
    """This holds if a rollback fails and if another rollout fails. The state still names the previous version."""
    publish_broken_version(harness)
    harness.train(gate="pass")
    harness.workers[0].broken = broken
    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        harness.rollback() if 1 in broken else harness.promote()
    assert (published(harness).champion, published(harness).previous) == (2, 1)


def test_a_rollout_does_not_undo_a_rollback_without_alias_moves(
    harness: RolloutHarness, silent_registry: SilentRegistry
) -> None:
    """Without a version number, as in the DAG, a rollout does nothing."""
    harness.promote()
    harness.promote()
    with pytest.raises(Unavailable, match="Run the rollback again when the registry answers"):
        harness.rollback(silent_registry)

    result = harness.rollout()

    assert (result.changed, published(harness).champion) == (False, 1)
    assert result.reason == "the published version is 1, the registry's champion is 2"
    assert harness.rollout(version=2).version == 2


def test_another_version_with_the_number_of_the_serving_one_never_becomes_previous(harness: RolloutHarness) -> None:
    """The registry was lost, and the new one has a refused version with that number."""
    harness.promote()
    harness.promote()
    harness.registry, harness.model_json = CrashingRegistry(), MODEL_JSON.replace("0123", "4567")
    for _ in range(2):
        harness.train(gate="refused")

    assert harness.promote() == 3

    assert harness.aliases() == {"champion": 3}


def test_a_version_of_a_lost_registry_is_restored_by_its_digest(harness: RolloutHarness) -> None:
    """The new version that did not load has the same number."""
    harness.promote()
    digest = published(harness).digest
    harness.registry, harness.model_json = CrashingRegistry(), MODEL_JSON.replace("0123", "4567")
    harness.workers[0].broken = {1}

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        harness.promote()

    assert (published(harness).champion, published(harness).digest) == (1, digest)


def test_a_failed_rollout_keeps_the_previous_version(harness: RolloutHarness) -> None:
    """Workers keep the previous version of the state on disk, so a later rollback needs no download."""
    harness.promote()
    harness.promote()
    harness.workers[0].broken = {3}
    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        harness.promote()
    assert (published(harness).champion, published(harness).previous) == (2, 1)


def test_a_state_names_two_earlier_versions(harness: RolloutHarness) -> None:
    """A rollback during a rollout needs the second one."""
    for _ in range(3):
        harness.promote()
    assert (published(harness).champion, published(harness).previous, published(harness).earlier) == (3, 2, 1)


def test_a_champion_is_not_nominated_again(harness: RolloutHarness) -> None:
    """Otherwise a DAG run that is retried after the rollout would create a stale candidate."""
    version = harness.promote()

    assert nominate(bot=BOT, version=version, registry=harness.registry).nominated is False
    assert harness.aliases() == {"champion": 1}


def test_a_registered_version_has_base_and_licence_and_dataset_as_tags(harness: RolloutHarness) -> None:
    """Registering the same run again returns the same version."""
    run_id = harness.registry.start_run("학습", {}, {})
    harness.registry.runs[run_id].files["version/model.json"] = MODEL_JSON.encode()

    first = register(bot=BOT, run_id=run_id, registry=harness.registry, **LAKE)
    second = register(bot=BOT, run_id=run_id, registry=harness.registry, **LAKE)

    assert first == second
    assert harness.registry.get(BOT, 1).tags == {
        "base": "skt/kogpt2-base-v2",
        "licence": "CC BY-NC-SA 4.0",
        "dataset": "0123456789ab",
    }


def test_a_run_of_another_bot_is_refused(harness: RolloutHarness) -> None:
    """A version is registered for every trained model, but this one can never be nominated."""
    run_id = harness.registry.start_run("학습", {}, {})
    harness.registry.runs[run_id].files["version/model.json"] = b'{"bot": "ChatbotC"}'

    with pytest.raises(InvalidInput, match="trained ChatbotC, not ChatbotA"):
        register(bot=BOT, run_id=run_id, registry=harness.registry, **LAKE)

    with pytest.raises(GateRefused):
        nominate(bot=BOT, version=1, registry=harness.registry)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_an_unreadable_model_card_is_an_error(harness: RolloutHarness, content: bytes) -> None:
    """The message names the version."""
    run_id = harness.registry.start_run("학습", {}, {})
    harness.registry.runs[run_id].files["version/model.json"] = content

    with pytest.raises(CheckpointCorrupt, match=r"model\.json of ChatbotA version 1"):
        register(bot=BOT, run_id=run_id, registry=harness.registry, **LAKE)


def test_progress_names_the_workers(harness: RolloutHarness) -> None:
    """There is one line per change."""
    harness.promote()

    assert harness.lines == [
        "ChatbotA: version 1 is published as epoch 1",
        "ChatbotA: no worker is alive",
        "ChatbotA: ready worker-1",
        "ChatbotA: version 1 is the champion, served by worker-1",
    ]
