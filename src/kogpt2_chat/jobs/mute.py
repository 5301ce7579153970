"""Let a bot answer with a fixed notice, or speak again: no version changes, and none is loaded.

The state that the workers follow is published once more with `muted` changed and everything else as it was. A
mute is never taken back by itself: whatever happens while waiting, the state stays published. Knows no registry.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kogpt2_chat.domain.rollout.liveness import Roll
from kogpt2_chat.domain.rollout.states import RolloutState, WorkerState
from kogpt2_chat.errors import Conflict, Unavailable
from kogpt2_chat.fleet.fleet import Clock, Fleet
from kogpt2_chat.ports import Topics
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Live workers by whether they have acted on an epoch; names, sorted."""

    by: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether there is a live worker, and every one has acted. Silence is no success."""
        return bool(self.by) and not self.waiting

    def __str__(self) -> str:
        groups = (("heard by", self.by), ("waiting for", self.waiting))
        found = [f"{name} {', '.join(workers)}" for name, workers in groups if workers]
        return "; ".join(found) or "no worker is alive"


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
) -> dict[str, object]:
    """Mute a bot, or let it speak again, and wait until every live worker has acted on it.

    A state that says so already is not published again, only waited for: a call that was interrupted is finished
    by the same command. A bot without a version can be muted too.

    Args:
        bot: the bot, whether or not it was ever rolled out.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        settings: how long to wait.
        progress: told what is waited for.
        muted: False lets the bot speak again.
        reason: why, for whoever reads the topic.
        by: who asked, for the record.
        clock: the time; tests bring their own.

    Returns:
        ``bot muted epoch changed workers``.

    Raises:
        Unavailable: a live worker did not act on it in time, or none is alive. The state stays published.
        Conflict: somebody else published the opposite meanwhile; their word counts.
    """
    workers = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    state, changed = workers.publish_until(
        bot,
        holds=lambda followed: followed.muted == muted,
        # Only these change: champion, previous and phase are the rollout's business.
        change=lambda followed: replace(followed, muted=muted, reason=reason or word(muted=muted)),
        by=by,
    )
    now = "is now" if changed else "is already"
    progress(f"{bot}: {now} {word(muted=muted)} (epoch {state.epoch}{'' if changed else ', nothing is published'})")
    if not state.epoch:  # nothing was ever published for it, and nothing has to be
        return _result(state, changed=changed, workers=())
    heard, state = _wait(workers, state)
    return _result(state, changed=changed, workers=heard.by)


def word(*, muted: bool) -> str:
    """How people call it."""
    return "muted" if muted else "not muted"


def _wait(workers: Fleet, state: RolloutState) -> tuple[_Heard, RolloutState]:
    """Until every live worker has acted; give the state as it was told last, too."""
    timeout_s = workers.settings.rollout.ready_timeout_s
    deadline_s, told = workers.clock.monotonic() + timeout_s, ""
    while True:
        roll, newest = workers.look(), workers.insist(state)
        _require_no_other_word(state, newest)
        state = newest
        heard = _heard(roll, state)
        if str(heard) != told:
            told = str(heard)
            workers.progress(f"{state.bot}: {told}")
        if heard.complete:
            return heard, state
        if workers.clock.monotonic() >= deadline_s:
            raise Unavailable(
                f"{state.bot}: {word(muted=state.muted)} is published as epoch {state.epoch}, but {told}. Expected "
                f"every live worker to act on it within {timeout_s:.0f} s. It stays published, and a worker follows "
                "as soon as it hears it. Look at the workers with `kogpt2-chat status`; the same command waits again"
            )
        workers.clock.pause(workers.settings.rollout.poll_s)


def _require_no_other_word(state: RolloutState, newest: RolloutState) -> None:
    if newest.muted == state.muted:
        return
    found = f"epoch {newest.epoch} (by {newest.by!r})" if newest.epoch else "an emptied topic"
    raise Conflict(
        f"{state.bot}: epoch {state.epoch} ({word(muted=state.muted)}) was overtaken by {found}, which says the "
        "opposite. Agree with whoever published it, then say it again"
    )


def _heard(roll: Roll, state: RolloutState) -> _Heard:
    """Who has acted on the epoch. A degraded slot counts: a notice needs no model."""
    acted = {live.worker: _has_acted(live, state) for live in roll.live}
    return _Heard(
        by=tuple(sorted(worker for worker, has in acted.items() if has)),
        waiting=tuple(sorted([*roll.perhaps_alive, *(worker for worker, has in acted.items() if not has)])),
    )


def _has_acted(worker: WorkerState, state: RolloutState) -> bool:
    """Its own word on whether the bot is muted; from a worker that does not say, the epoch has to do."""
    slot = worker.slot(state.bot)
    is_muted = slot.muted if slot is not None else None
    return worker.epoch_by_bot.get(state.bot, 0) >= state.epoch and is_muted in {None, state.muted}


def _result(state: RolloutState, *, changed: bool, workers: tuple[str, ...]) -> dict[str, object]:
    return {
        "bot": state.bot,
        "muted": state.muted,
        "epoch": state.epoch,
        "changed": changed,
        "workers": list(workers),
    }
