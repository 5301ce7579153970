"""What players see of a bot's model, from facts."""

import pytest

from kogpt2_chat.domain.rollout.states import SlotReport, WorkerState
from world.gateway.stages import NEW_FOR_S, BotFacts, StageBook, slot_facts, stage_of

READY = BotFacts(alive=True, ready=3)


@pytest.mark.parametrize(
    ("facts", "is_new", "stage"),
    [
        (BotFacts(), False, "asleep"),
        (READY, False, "ready"),
        (READY, True, "new_version"),
        (BotFacts(alive=True, ready=3, training=True), False, "training"),
        (BotFacts(alive=True, ready=3, training=True, candidate=4), False, "candidate"),
        (BotFacts(alive=True, ready=3, candidate=3), False, "ready"),
        (BotFacts(alive=True, ready=3, muted=True, training=True), True, "muted"),
        (BotFacts(alive=True, ready=3, degraded=True), True, "degraded"),
        (BotFacts(alive=True), False, "degraded"),
    ],
)
def test_what_concerns_players_most_is_shown(facts: BotFacts, is_new: bool, stage: str) -> None:
    """One stage at a time."""
    assert stage_of(facts, is_new=is_new) == stage


def test_a_new_version_is_shown_for_half_an_hour() -> None:
    """The first version that a gateway sees is not new, and neither is one after a rollback."""
    book = StageBook()
    assert book.update({"ChatbotA": READY}, 0.0)[0].stage == "ready"
    assert book.update({"ChatbotA": READY}, 1.0) == []
    newer = BotFacts(alive=True, ready=4)
    assert [(view.stage, view.version) for view in book.update({"ChatbotA": newer}, 2.0)] == [("new_version", 4)]
    assert book.update({"ChatbotA": newer}, NEW_FOR_S) == []
    assert book.update({"ChatbotA": newer}, NEW_FOR_S + 2)[0].stage == "ready"
    assert book.update({"ChatbotA": READY}, NEW_FOR_S + 3)[0].stage == "ready"
    assert [view.bot for view in book.views()] == ["ChatbotA", "ChatbotB", "ChatbotC"]


def test_a_version_that_was_rolled_back_greets_no_more() -> None:
    """What answers then is not new."""
    book = StageBook()
    book.update({"ChatbotA": READY}, 0.0)
    book.update({"ChatbotA": BotFacts(alive=True, ready=4)}, 1.0)
    assert [(view.stage, view.version) for view in book.update({"ChatbotA": READY}, 2.0)] == [("ready", 3)]


def test_a_worker_that_dies_and_comes_back_brings_nothing_new() -> None:
    """The version is the same."""
    book = StageBook()
    book.update({"ChatbotA": READY}, 0.0)
    assert book.update({"ChatbotA": BotFacts()}, 5.0)[0].stage == "asleep"
    assert book.update({"ChatbotA": READY}, 9.0)[0].stage == "ready"


def test_the_slots_of_all_workers_count() -> None:
    """The lowest ready version is the one that every player gets."""
    states = {
        "worker-1": state("worker-1", SlotReport(bot="ChatbotA", version=4, state="ready")),
        "worker-2": state("worker-2", SlotReport(bot="ChatbotA", version=3, state="ready", muted=True)),
    }
    assert slot_facts(states)["ChatbotA"] == BotFacts(alive=True, ready=3, muted=True)
    assert slot_facts(states)["ChatbotB"] == BotFacts()
    degraded = {"worker-1": state("worker-1", SlotReport(bot="ChatbotA", version=4, state="degraded", detail="hash"))}
    assert slot_facts(degraded)["ChatbotA"] == BotFacts(alive=True, ready=4, degraded=True)


def test_a_bot_answers_while_its_next_version_loads() -> None:
    """Its old version is what players get; only an empty slot makes them wait."""
    loading = SlotReport(bot="ChatbotA", version=3, state="loading", detail="version 4")
    assert stage_of(slot_facts({"worker-1": state("worker-1", loading)})["ChatbotA"], is_new=False) == "ready"
    empty = SlotReport(bot="ChatbotA", version=0, state="loading", detail="version 4")
    assert stage_of(slot_facts({"worker-1": state("worker-1", empty)})["ChatbotA"], is_new=False) == "degraded"


def state(worker: str, slot: SlotReport) -> WorkerState:
    return WorkerState(worker=worker, epoch_by_bot={}, slots=(slot,), at="2026-11-27T00:00:00+00:00")
