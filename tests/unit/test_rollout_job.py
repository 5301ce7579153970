"""A rollout with simulated workers: which version becomes champion, when, and what a crash leaves."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.errors import CheckpointCorrupt, GateRefused, InvalidInput, NotFound, Superseded, Unavailable
from kogpt2_chat.fleet.rollout_plan import RolloutResult
from kogpt2_chat.jobs.nominate import nominate
from kogpt2_chat.jobs.register import register
from kogpt2_chat.jobs.rollback import rollback
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.ports import Alias
from kogpt2_chat.settings import Rollout
from kogpt2_chat.testing.registry import InMemoryRegistry
from tests.fleet_harness import FleetHarness, RacingTopics, SimulatedWorker, Survivor

BOT = "ChatbotA"
MODEL_JSON = '{"base": "skt/kogpt2-base-v2", "licence": "CC BY-NC-SA 4.0", "dataset": "0123456789ab", "parent": ""}'


class KilledError(Exception):
    """Simulates kill -9."""


class CrashingRegistry(InMemoryRegistry):
    """Crashes at the n-th alias move."""

    moves_left: int | None = None

    def set_alias(self, bot: str, alias: Alias, version: int | None) -> None:
        if self.moves_left == 0:
            raise KilledError
        if self.moves_left is not None:
            self.moves_left -= 1
        super().set_alias(bot, alias, version)


class SilentRegistry:
    """Accepts every call and never returns."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_named: self.ended.wait()


@pytest.fixture
def silence() -> Iterator[SilentRegistry]:
    made = SilentRegistry()
    yield made
    made.ended.set()


def worker(name: str = "worker-1", **more: Any) -> SimulatedWorker:
    return SimulatedWorker(bot=BOT, name=name, **more)


@dataclass
class World(FleetHarness):
    """Everything that a rollout touches."""

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
def world() -> World:
    return World()


def published(world: World) -> RolloutState:
    state = world.published()
    assert state is not None
    return state


def test_the_first_version_becomes_champion(world: World) -> None:
    """First the workers, then the aliases: champion set, no previous version, candidate removed."""
    version = world.train(gate="pass")
    nominate(bot=BOT, version=version, registry=world.registry)

    result = world.rollout()

    assert result == RolloutResult(
        bot=BOT,
        version=1,
        previous=None,
        epoch=1,
        workers=("worker-1",),
        changed=True,
        reason="version 1 passed the gate",
    )
    assert world.aliases() == {"champion": 1}
    assert (published(world).phase, published(world).percent, published(world).by) == ("steady", 100, "rollout")
    assert published(world).at == "2026-11-24T09:00:00.000+00:00"


def test_the_old_champion_becomes_previous(world: World) -> None:
    """The epoch rises, and the old champion is kept for a rollback."""
    world.promote()
    world.promote()

    assert world.aliases() == {"champion": 2, "previous": 1}
    assert (published(world).epoch, published(world).champion, published(world).previous) == (2, 2, 1)


def test_rolling_out_the_champion_again_does_nothing(world: World) -> None:
    """A retried task succeeds, says so, and publishes nothing."""
    world.promote()

    result = world.rollout()
    named = world.rollout(version=1)

    assert (result.changed, result.version, result.epoch) == (False, 1, 1)
    assert named.changed is False
    assert "nothing to do" in world.lines[-1]
    assert published(world).epoch == 1


def test_the_champion_is_published_again_after_the_topic_was_lost(world: World) -> None:
    """It reaches workers without a state; the aliases stay."""
    world.promote()
    world.promote()
    world.lose_topics()

    world.rollout()

    assert (published(world).champion, published(world).previous, published(world).epoch) == (2, 1, 1)
    assert world.aliases() == {"champion": 2, "previous": 1}


def test_a_republished_champion_that_does_not_load_is_an_error(world: World) -> None:
    """No earlier version exists to restore, so nothing more is published."""
    world.promote()
    world.lose_topics()
    world.workers[0].broken = {1}

    with pytest.raises(
        Unavailable, match=r"version 1 was not loaded by every worker.*version 1 continues to answer \(epoch 1\)"
    ):
        world.rollout()

    assert (published(world).champion, published(world).epoch) == (1, 1)


@pytest.mark.parametrize("tags", [{}, {"gate": "refused", "gate_reasons": "반복"}, {"gate": "pass", "tainted": "p1"}])
def test_only_a_version_that_passed_the_gate_is_accepted(world: World, tags: dict[str, str]) -> None:
    """Neither nominate nor rollout accepts a version that was not evaluated, was refused, or is tainted."""
    version = world.train(**tags)

    with pytest.raises(GateRefused, match="version 1"):
        nominate(bot=BOT, version=version, registry=world.registry)
    with pytest.raises(GateRefused, match="version 1"):
        world.rollout(version=version)

    assert world.aliases() == {}
    assert world.published() is None


def test_a_bot_that_was_never_trained_has_nothing_to_roll_out(world: World) -> None:
    """The message says how to train it."""
    with pytest.raises(NotFound, match="retrain_bots"):
        world.rollout()


def test_a_degraded_worker_restores_the_old_champion(world: World) -> None:
    """One worker that cannot load the version is enough; aliases stay, and the error quotes the worker."""
    world.promote()
    world.workers.append(worker("worker-2", broken={2}))
    version = world.train(gate="pass")
    nominate(bot=BOT, version=version, registry=world.registry)

    with pytest.raises(Unavailable, match=r"worker-2 \(model\.safetensors: 해시가 다름\)"):
        world.rollout()

    assert (published(world).epoch, published(world).champion) == (3, 1)
    assert world.aliases() == {"champion": 1, "candidate": 2}
    assert "was not loaded by every worker" in published(world).reason


def canary(world: World) -> RolloutState:
    """Version 1 is champion, and a tenth of the players get version 5 from a canary that a later release started."""
    world.promote()
    state = replace(published(world), epoch=2, candidate=5, phase="canary", percent=10)
    world.send(ROLLOUT_TOPIC, BOT, state.to_json())
    world.beat()
    return state


def test_a_rollout_keeps_the_fields_of_a_canary(world: World) -> None:
    """It changes the champion only, once; the canary is another command's to end."""
    before = canary(world)
    nominate(bot=BOT, version=world.train(gate="pass"), registry=world.registry)

    world.rollout()

    state = published(world)
    assert (state.epoch, state.champion, state.previous) == (3, 2, 1)
    assert (state.candidate, state.phase, state.percent) == (before.candidate, before.phase, before.percent)
    assert world.rollback().version == 1
    assert (published(world).champion, published(world).candidate, published(world).percent) == (1, 5, 10)


def test_restoring_the_old_champion_keeps_the_fields_of_a_canary(world: World) -> None:
    """A failed rollout leaves the canary as it found it."""
    before = canary(world)
    world.workers[0].broken = {2}
    nominate(bot=BOT, version=world.train(gate="pass"), registry=world.registry)

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        world.rollout()

    state = published(world)
    assert replace(state, epoch=2, reason=before.reason, by=before.by, at=before.at) == before


def racing(world: World, rival: RolloutState) -> None:
    """Version 1 is champion, version 2 is about to be rolled out."""
    world.promote()
    nominate(bot=BOT, version=world.train(gate="pass"), registry=world.registry)
    world.topics = RacingTopics(world.topics, [rival])


def test_restoring_the_old_champion_survives_a_concurrent_mute(world: World) -> None:
    """It is published again after the mute, and keeps the mute."""
    racing(world, RolloutState(bot=BOT, epoch=3, champion=2, previous=1, muted=True, by="하늘"))
    world.workers[0].broken = {2}

    with pytest.raises(Unavailable, match=r"version 1 continues to answer \(epoch 4\)"):
        world.rollout()

    assert (published(world).epoch, published(world).champion, published(world).muted) == (4, 1, True)


def test_a_rollout_survives_a_concurrent_mute(world: World) -> None:
    """The new champion is published again after the mute, and keeps the mute."""
    racing(world, RolloutState(bot=BOT, epoch=2, champion=1, muted=True, by="하늘"))

    world.rollout()

    assert (published(world).epoch, published(world).champion, published(world).muted) == (3, 2, True)
    assert world.aliases() == {"champion": 2, "previous": 1}


def test_a_rollout_yields_to_a_concurrent_rollout(world: World) -> None:
    """The other result stays in effect, and this call fails at once instead of waiting in vain."""
    racing(world, RolloutState(bot=BOT, epoch=2, champion=7, by="바다"))
    before = world.time

    with pytest.raises(Superseded, match=r"superseded by epoch 3 \(version 7\) by '바다'"):
        world.rollout()

    assert world.time == before
    assert world.aliases()["champion"] == 1


def test_the_winner_of_a_race_is_also_the_last_record(world: World, silence: SilentRegistry) -> None:
    """Of two equal epochs workers follow the first, but compaction keeps the last: the winner is published again."""
    racing(world, RolloutState(bot=BOT, epoch=2, champion=7, by="바다"))

    with pytest.raises(Superseded):
        world.rollout()

    assert (published(world).champion, published(world).by, published(world).epoch) == (7, "바다", 3)


def test_a_stale_last_record_is_replaced(world: World) -> None:
    """If a crash left the loser of a race as the last record, the next command publishes the winner again."""
    world.promote()
    world.publish(RolloutState(bot=BOT, epoch=1, champion=9, by="늦은 이"))

    world.rollout()

    assert (published(world).champion, published(world).epoch, published(world).by) == (1, 2, "rollout")
    assert world.aliases() == {"champion": 1}


def test_a_rollout_reaches_workers_that_survived_the_topic(world: World) -> None:
    """The new epoch is above the one that they remember."""
    for _ in range(3):
        world.promote()
    world.topics._broker.create(ROLLOUT_TOPIC, 1)
    version = world.train(gate="pass")

    world.rollout(version=version)

    assert (published(world).champion, published(world).epoch) == (4, 4)
    assert world.aliases() == {"champion": 4, "previous": 3}


def test_a_rollout_reaches_workers_that_return_after_its_publication(world: World) -> None:
    """The broker lost its disk: after the first heartbeat the state is published above the worker's epoch."""
    world.promote()
    world.lose_topics()
    version = world.train(gate="pass")
    world.workers[0] = Survivor(bot=BOT, serving=1, epoch=7)

    world.rollout(version=version)

    assert (published(world).champion, published(world).epoch, published(world).previous) == (2, 8, 1)
    assert world.aliases() == {"champion": 2, "previous": 1}


def test_the_serving_version_is_restored_not_the_aliased_one(world: World) -> None:
    """The alias `champion` was moved by hand, which the workers do not see."""
    world.promote()
    world.promote()
    world.registry.set_alias(BOT, "champion", 1)
    version = world.train(gate="pass")
    world.workers[0].broken = {version}

    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        world.rollout(version=version)
    assert published(world).champion == 2

    world.workers[0].broken = set()
    world.rollout(version=version)
    assert world.aliases() == {"champion": 3, "previous": 2}


def test_a_worker_that_never_answers_times_out(world: World) -> None:
    """After the deadline the old champion is published again, and a later call may succeed."""
    world.promote()
    world.workers[0].stuck = True
    nominate(bot=BOT, version=world.train(gate="pass"), registry=world.registry)
    started = world.time

    with pytest.raises(Unavailable, match="waiting for worker-1"):
        world.rollout()

    assert (world.time - started).total_seconds() == pytest.approx(world.settings.rollout.ready_timeout_s, abs=1)
    assert published(world).champion == 1
    world.workers[0].stuck = False
    assert world.rollout().changed is True
    assert (world.aliases(), published(world).epoch) == ({"champion": 2, "previous": 1}, 4)


def test_a_rollout_fails_if_no_worker_is_alive(world: World) -> None:
    """No alias moves without an acknowledgement; a first version is withdrawn again."""
    world.workers[0].alive = False
    version = world.train(gate="pass")

    with pytest.raises(Unavailable, match="no worker is alive"):
        world.rollout(version=version)

    assert world.aliases() == {}
    assert (published(world).champion, published(world).epoch) == (None, 2)


def test_dead_workers_are_not_waited_for(world: World) -> None:
    """An old heartbeat is that of a dead worker, and an unreadable one counts for no worker."""
    ghost = worker("worker-9")
    world.send(WORKER_TOPIC, "worker-9", ghost.report(None, world.time - timedelta(minutes=5)).to_json())
    world.send(WORKER_TOPIC, "worker-8", "이것은 JSON이 아니다")

    world.promote()

    assert world.aliases() == {"champion": 1}


def test_a_worker_that_starts_during_the_rollout_is_waited_for(world: World) -> None:
    """Liveness is checked at each poll, not once."""
    late = worker("worker-2", stuck=True)
    world.workers[0].stuck = True

    def arrive() -> None:
        if late not in world.workers:
            world.workers.append(late)
        elif world.workers[0].stuck:
            world.workers[0].stuck = False
        else:
            late.stuck = False

    world.meanwhile = arrive

    world.promote()

    assert world.lines[-1].endswith("served by worker-1, worker-2")


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_crash_between_publishing_and_aliases_is_finished_by_a_second_call(world: World, moves: int) -> None:
    """Killed before any of the three alias moves, a second call reaches the same state without a new epoch."""
    world.promote()
    nominate(bot=BOT, version=world.train(gate="pass"), registry=world.registry)
    world.registry.moves_left = moves
    with pytest.raises(KilledError):
        world.rollout()
    world.registry.moves_left = None

    world.rollout()

    assert world.aliases() == {"champion": 2, "previous": 1}
    assert (published(world).epoch, published(world).champion) == (2, 2)


@pytest.mark.parametrize("moves", [0, 1])
def test_a_crashed_rollback_is_finished_by_a_second_call(world: World, moves: int) -> None:
    """Killed before either alias move of a rollback."""
    world.promote()
    world.promote()
    world.registry.moves_left = moves
    with pytest.raises(KilledError):
        world.rollback()
    world.registry.moves_left = None

    world.rollback()

    assert world.aliases() == {"champion": 1}
    assert published(world).champion == 1
    assert "rolled_back" in world.registry.get(BOT, 2).tags


def test_a_newer_candidate_survives_the_rollout_of_an_older_one(world: World) -> None:
    """The alias is removed only from the version that was rolled out."""
    first, second = world.train(gate="pass"), world.train(gate="pass")
    nominate(bot=BOT, version=second, registry=world.registry)

    world.rollout(version=first)

    assert world.aliases() == {"champion": first, "candidate": second}


def test_a_rollout_is_superseded_by_another_one(world: World) -> None:
    """If another champion was published in the meantime, this call moves no alias and publishes nothing."""
    world.workers[0].stuck = True
    version = world.train(gate="pass")
    other = RolloutState(bot=BOT, epoch=9, champion=7)
    world.meanwhile = lambda: world.publish(other)

    with pytest.raises(Superseded, match=r"epoch 9 \(version 7\)"):
        world.rollout(version=version)

    assert published(world).epoch == 9
    assert world.aliases() == {}


def test_a_muted_bot_stays_muted_through_a_rollout(world: World) -> None:
    """A new champion does not unmute the bot."""
    world.promote()
    world.publish(RolloutState(bot=BOT, epoch=2, champion=1, muted=True))

    world.promote()

    assert (published(world).champion, published(world).muted) == (2, True)


def test_a_rollback_returns_to_the_previous_version(world: World) -> None:
    """The abandoned version is tagged; no previous version remains, so a second rollback fails."""
    world.promote()
    world.promote()

    result = world.rollback()

    assert (result.version, result.changed, result.epoch) == (1, True, 3)
    assert world.aliases() == {"champion": 1}
    assert published(world).reason == "rolled back from version 2"
    with pytest.raises(NotFound, match="no previous version"):
        world.rollback()


def test_a_version_rolled_back_returns_only_if_named(world: World) -> None:
    """A retried task cannot nominate it again; an operator can give its number."""
    world.promote()
    world.promote()
    world.rollback()

    with pytest.raises(GateRefused, match="rolled back"):
        nominate(bot=BOT, version=2, registry=world.registry)
    world.rollout(version=2)

    assert world.aliases() == {"champion": 2, "previous": 1}


def test_a_rollback_that_fails_keeps_the_champion(world: World) -> None:
    """If the previous version no longer loads, the champion continues and the aliases stay."""
    world.promote()
    world.promote()
    world.workers[0].broken = {1}

    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        world.rollback()

    assert published(world).champion == 2
    assert world.aliases() == {"champion": 2, "previous": 1}


def test_a_rollback_does_not_wait_for_a_registry_that_hangs(world: World, silence: SilentRegistry) -> None:
    """The workers change version without the registry; a second call moves the aliases later."""
    world.promote()
    world.promote()
    with pytest.raises(Unavailable, match="version 1 answers again on worker-1. The aliases were not moved"):
        world.rollback(silence)
    assert (published(world).champion, world.workers[0].serving) == (1, 1)
    assert world.aliases() == {"champion": 2, "previous": 1}

    assert world.rollback().version == 1
    assert world.aliases() == {"champion": 1}
    assert "rolled_back" in world.registry.get(BOT, 2).tags


def under_way(world: World) -> None:
    """Version 1 was good, version 2 answers and is bad, and version 3 is published but cannot be loaded."""
    world.promote()
    world.promote()
    world.workers[0].broken = {3}
    state = RolloutState(bot=BOT, epoch=3, champion=3, previous=2, earlier=1)
    world.publish(state)
    world.beat()


def test_a_rollback_abandons_the_serving_version_not_the_loading_one(world: World) -> None:
    """The version that never answered is not tagged, and can still be rolled out."""
    under_way(world)
    world.train(gate="pass")

    assert world.rollback().version == 1

    assert "rolled_back" in world.registry.get(BOT, 2).tags
    assert "rolled_back" not in world.registry.get(BOT, 3).tags


def test_a_rollback_without_registry_abandons_the_serving_version(world: World, silence: SilentRegistry) -> None:
    """A second one has no version to return to; its error suggests a mute."""
    under_way(world)
    with pytest.raises(Unavailable, match="version 1 answers again"):
        world.rollback(silence)
    with pytest.raises(Unavailable, match=f"kogpt2-chat mute {BOT}"):
        world.rollback(silence)
    assert published(world).champion == 1

    world.train(gate="pass")
    assert world.rollback().version == 1
    assert world.aliases() == {"champion": 1}
    assert "rolled_back" in world.registry.get(BOT, 2).tags


@pytest.mark.parametrize("broken", [{1, 3}, {3, 4}])
def test_the_serving_version_is_restored_not_the_loading_one(world: World, broken: set[int]) -> None:
    """Whether a rollback or another rollout fails; the state still names the version before."""
    under_way(world)
    world.train(gate="pass")
    world.workers[0].broken = broken
    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        world.rollback() if 1 in broken else world.promote()
    assert (published(world).champion, published(world).previous) == (2, 1)


def test_a_rollback_without_alias_moves_is_not_undone(world: World, silence: SilentRegistry) -> None:
    """A rollout without a version, as the DAG runs it for every bot, does nothing."""
    world.promote()
    world.promote()
    with pytest.raises(Unavailable, match="Run the rollback again when the registry answers"):
        world.rollback(silence)

    result = world.rollout()

    assert (result.changed, published(world).champion) == (False, 1)
    assert result.reason == "the published version is 1, the registry's champion is 2"
    assert world.rollout(version=2).version == 2


def test_a_namesake_of_the_serving_version_never_becomes_previous(world: World) -> None:
    """The registry was lost, and the new one has a refused version with that number."""
    world.promote()
    world.promote()
    world.registry, world.model_json = CrashingRegistry(), MODEL_JSON.replace("0123", "4567")
    for _ in range(2):
        world.train(gate="refused")

    assert world.promote() == 3

    assert world.aliases() == {"champion": 3}


def test_a_lost_registrys_version_continues_if_its_namesake_does_not_load(world: World) -> None:
    """It is restored by its digest; the number is the same."""
    world.promote()
    spoken = published(world).digest
    world.registry, world.model_json = CrashingRegistry(), MODEL_JSON.replace("0123", "4567")
    world.workers[0].broken = {1}

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        world.promote()

    assert (published(world).champion, published(world).digest) == (1, spoken)


def test_a_failed_rollout_keeps_the_previous_version(world: World) -> None:
    """Workers keep the version that the state calls previous: a rollback afterwards needs no download."""
    world.promote()
    world.promote()
    world.workers[0].broken = {3}
    with pytest.raises(Unavailable, match="version 2 continues to answer"):
        world.promote()
    assert (published(world).champion, published(world).previous) == (2, 1)


def test_a_state_names_two_earlier_versions(world: World) -> None:
    """A rollback during a rollout needs the second one."""
    for _ in range(3):
        world.promote()
    assert (published(world).champion, published(world).previous, published(world).earlier) == (3, 2, 1)


def test_a_champion_is_not_nominated_again(world: World) -> None:
    """A DAG retried after the rollout creates no stale candidate."""
    version = world.promote()

    assert nominate(bot=BOT, version=version, registry=world.registry).nominated is False
    assert world.aliases() == {"champion": 1}


def test_a_registered_version_has_its_facts_as_tags(world: World) -> None:
    """Base, licence and dataset become tags; registering the same run again returns the same version."""
    run_id = world.registry.start_run("학습", {}, {})
    world.registry.runs[run_id].files["version/model.json"] = MODEL_JSON.encode()

    first = register(bot=BOT, run_id=run_id, registry=world.registry)
    second = register(bot=BOT, run_id=run_id, registry=world.registry)

    assert first == second
    assert world.registry.get(BOT, 1).tags == {
        "base": "skt/kogpt2-base-v2",
        "licence": "CC BY-NC-SA 4.0",
        "dataset": "0123456789ab",
    }


def test_a_run_of_another_bot_is_refused(world: World) -> None:
    """The version exists, since every trained model has one, but it can never be nominated."""
    run_id = world.registry.start_run("학습", {}, {})
    world.registry.runs[run_id].files["version/model.json"] = b'{"bot": "ChatbotC"}'

    with pytest.raises(InvalidInput, match="trained ChatbotC, not ChatbotA"):
        register(bot=BOT, run_id=run_id, registry=world.registry)

    with pytest.raises(GateRefused):
        nominate(bot=BOT, version=1, registry=world.registry)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_an_unreadable_model_card_is_an_error(world: World, content: bytes) -> None:
    """The message names the version whose model.json is not a JSON object."""
    run_id = world.registry.start_run("학습", {}, {})
    world.registry.runs[run_id].files["version/model.json"] = content

    with pytest.raises(CheckpointCorrupt, match=r"model\.json of ChatbotA version 1"):
        register(bot=BOT, run_id=run_id, registry=world.registry)


def test_progress_names_the_workers(world: World) -> None:
    """One line per change."""
    world.promote()

    assert world.lines == [
        "ChatbotA: version 1 is published as epoch 1",
        "ChatbotA: no worker is alive",
        "ChatbotA: ready worker-1",
        "ChatbotA: version 1 is the champion, served by worker-1",
    ]
