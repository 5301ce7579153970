"""Mute a bot, so that it answers with a fixed notice, or unmute it. No version changes, and none is loaded.

The state that the workers follow is published again with only `muted` changed. This job never reverts it: if waiting
for the workers fails, the state stays published. It does not use the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from kogpt2_chat.domain.rollout.acknowledgements import Acknowledgements, mute_acknowledgements
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.errors import ChangeSuperseded, Unavailable
from kogpt2_chat.fleet.fleet import Clock, Fleet
from kogpt2_chat.ports import Topics
from kogpt2_chat.settings import Settings

_ACKNOWLEDGED: Final = "acknowledged by"


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteResult:
    """The published state.

    Attributes:
        bot: the bot.
        muted: whether it is muted.
        epoch: the rollout epoch; 0 if nothing was ever published for the bot.
        changed: whether this call published it.
        workers: sorted names of the workers that have acted on it.
    """

    bot: str
    muted: bool
    epoch: int
    changed: bool
    workers: tuple[str, ...]


def mute(
    *,
    bot: str,
    topics: Topics,
    settings: Settings,
    progress: Callable[[str], None],
    muted: bool = True,
    reason: str = "",
    by: str = "mute",
    clock: Clock | None = None,
) -> MuteResult:
    """Mute or unmute a bot, and wait until every live worker has acted on it.

    If the followed state already has the wanted value, nothing is published and the job only waits. The same command
    therefore finishes an interrupted call. A bot without a version can be muted too.

    Args:
        bot: the bot, whether or not it was ever rolled out.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        settings: how long to wait.
        progress: called with a line on each change.
        muted: False unmutes the bot.
        reason: why, for the published state.
        by: who requested it, for the published state.
        clock: the time; tests replace it.

    Returns:
        The published state, and the workers that have acted on it.

    Raises:
        Unavailable: a live worker did not act on it in time, or no worker is alive. The state stays published.
        ChangeSuperseded: another program published the opposite in the meantime, which stays in effect.
        AlreadyRunning: other programs keep publishing states of this bot.
    """
    fleet = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    state, changed = fleet.publish_until(
        bot,
        holds=lambda followed: followed.muted == muted,
        # Champion, previous and phase belong to the rollout and stay as they are.
        change=lambda followed: replace(followed, muted=muted, reason=reason or state_name(muted=muted)),
        by=by,
    )
    now = "is now" if changed else "is already"
    progress(
        f"{bot}: {now} {state_name(muted=muted)} (epoch {state.epoch}{'' if changed else ', nothing is published'})"
    )
    if not state.epoch:  # nothing was ever published for this bot, so no worker has anything to act on
        return _result(state, changed=changed, workers=())
    answers, state = _wait(fleet, state)
    return _result(state, changed=changed, workers=answers.ready)


def state_name(*, muted: bool) -> str:
    """Return the name of the state in messages."""
    return "muted" if muted else "not muted"


def _wait(fleet: Fleet, state: RolloutState) -> tuple[Acknowledgements, RolloutState]:
    """Wait until every live worker has acted; return the acknowledgements, and the state as last published."""
    answers, state = fleet.wait_for_workers(
        state, group=mute_acknowledgements, require=partial(_require_same_mute, state), ready=_ACKNOWLEDGED
    )
    if not answers.complete:
        raise Unavailable(
            f"{state.bot}: {state_name(muted=state.muted)} is published as epoch {state.epoch}, but "
            f"{answers.sentence(_ACKNOWLEDGED)}. Expected every live worker to act on it within "
            f"{fleet.settings.rollout.ready_timeout_s:.0f} s. It stays published, and each worker follows as soon as "
            "it reads it. Check the workers with `kogpt2-chat status`; run the command again to keep waiting"
        )
    return answers, state


def _require_same_mute(state: RolloutState, newest: RolloutState) -> None:
    if newest.muted == state.muted:
        return
    found = f"epoch {newest.epoch} (by {newest.by!r})" if newest.epoch else "an empty topic"
    raise ChangeSuperseded(
        f"{state.bot}: epoch {state.epoch} ({state_name(muted=state.muted)}) was superseded by {found}, which is the "
        "opposite. Agree with the person who published it, then run the command again"
    )


def _result(state: RolloutState, *, changed: bool, workers: tuple[str, ...]) -> MuteResult:
    return MuteResult(bot=state.bot, muted=state.muted, epoch=state.epoch, changed=changed, workers=workers)
