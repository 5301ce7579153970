"""What the workers still show of a bot's state after ``rollout_state`` was lost.

The epoch and the mute are told by every worker that has come furthest; the champion only by one that speaks. A slot
without a version, or with one that did not load, says nothing of what it was told. Previous and digest are nowhere.
"""

from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, WorkerState

FROM_WORKERS: Final = f"the topic {ROLLOUT_TOPIC} was lost; going by what the workers speak"
"""The reason of a state that was put together here."""


def recollected(bot: str, workers: Sequence[WorkerState]) -> RolloutState:
    """Put a state together from heartbeats.

    Whether a worker is alive need not be known: those that are ready at one epoch follow the same state.

    Args:
        bot: whose state.
        workers: the last heartbeat of every worker that has not signed off, of those that died too.

    Returns:
        The state; epoch 0 where no worker was ever told anything.
    """
    slots = [(worker.epoch_by_bot.get(bot, 0), slot) for worker in workers if (slot := worker.slot(bot))]
    epoch = max((epoch for epoch, _ in slots), default=0)
    if not epoch:
        return RolloutState(bot=bot, epoch=0, champion=None)
    speaking = [(epoch, slot) for epoch, slot in slots if slot.version]
    return RolloutState(
        bot=bot,
        epoch=epoch,
        champion=max(speaking, key=_certainty)[1].version if speaking else None,
        muted=any(slot.muted for told, slot in slots if told == epoch),
        reason=FROM_WORKERS,
    )


def sentence(state: RolloutState) -> str:
    """What a person has to know of a state that was put together, and not told."""
    if state.champion is None:
        return (
            f"{FROM_WORKERS}, and none speaks: which version was told is not known any more. "
            f"Say it again with `kogpt2-chat rollout {state.bot}`"
        )
    return f"{FROM_WORKERS}, version {state.champion}. What was before it, and its digest, are not known any more"


def _certainty(told: tuple[int, SlotReport]) -> tuple[int, bool]:
    """The newest word first; of one epoch, a slot that is not ready speaks another version than it was told."""
    epoch, slot = told
    return epoch, slot.state == "ready"
