"""Reconstruct a bot's rollout state from worker heartbeats after the topic ``rollout_state`` was lost.

The epoch and the mute come from the workers with the highest epoch. The champion is the version that a worker serves,
taken from the highest epoch and preferably from a ready slot. A slot without a version does not show which version
was published. Heartbeats contain neither the previous version nor the digest.
"""

from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, WorkerState

FROM_WORKERS: Final = f"the topic {ROLLOUT_TOPIC} was lost; its state is reconstructed from worker heartbeats"
"""The ``reason`` of a reconstructed state."""


def reconstruct(bot: str, workers: Sequence[WorkerState]) -> RolloutState:
    """Reconstruct a bot's state from heartbeats.

    It does not matter which workers are alive: all workers that are ready at one epoch follow the same state.

    Args:
        bot: the bot.
        workers: the last heartbeat of every worker that has not shut down cleanly, including crashed ones.

    Returns:
        The state; its epoch is 0 if no worker has followed a published state.
    """
    slots = [(worker.epoch_by_bot.get(bot, 0), slot) for worker in workers if (slot := worker.slot(bot))]
    epoch = max((epoch for epoch, _ in slots), default=0)
    if not epoch:
        return RolloutState(bot=bot, epoch=0, champion=None)
    serving = [(epoch, slot) for epoch, slot in slots if slot.version]
    return RolloutState(
        bot=bot,
        epoch=epoch,
        champion=max(serving, key=_certainty)[1].version if serving else None,
        muted=any(slot.muted for acted_on, slot in slots if acted_on == epoch),
        reason=FROM_WORKERS,
    )


def sentence(state: RolloutState) -> str:
    """Return a sentence for the operator about a reconstructed state."""
    if state.champion is None:
        return (
            f"{FROM_WORKERS}, and no worker serves a version: the published version is unknown. "
            f"Publish one with `kogpt2-chat rollout {state.bot}`"
        )
    return f"{FROM_WORKERS}: version {state.champion}. Its previous version and its digest are unknown"


def _certainty(report: tuple[int, SlotReport]) -> tuple[int, bool]:
    """Sort by epoch, then ready slots last: a slot that is not ready serves another version than the published one."""
    epoch, slot = report
    return epoch, slot.state == "ready"
