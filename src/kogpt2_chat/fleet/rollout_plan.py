"""Bring every live worker to one version of a bot, or back to the old one."""

from dataclasses import dataclass

from kogpt2_chat.domain.rollout.states import Acknowledgements, RolloutState, VersionKey, rollout_answers
from kogpt2_chat.errors import Conflict, Unavailable
from kogpt2_chat.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """One change of a bot's champion.

    Attributes:
        target: the version that is to speak.
        old: the one that speaks until now; None for a bot's first version.
        previous: what ``previous`` is to be afterwards.
        earlier: what is to be ``earlier``; see :class:`kogpt2_chat.domain.rollout.states.RolloutState`.
        reason: why, for whoever reads the topic.
        by: who asked.
    """

    bot: str
    target: VersionKey
    old: VersionKey | None
    previous: int | None
    earlier: int | None = None
    reason: str
    by: str

    def asks_for(self, state: RolloutState) -> bool:
        """Whether a state names the target, and not another version that had its number before."""
        return state.phase == "steady" and self.target.is_same(state.key)


def bring_to(workers: Fleet, switch: RolloutPlan) -> tuple[RolloutState, Acknowledgements]:
    """Publish a version and wait until every live worker has it ready.

    A state that names the version already was published by a call that did not finish: it is waited
    for, not published again.

    Args:
        workers: who are to speak it.
        switch: the change.

    Returns:
        The state that the workers follow now, and their answers.

    Raises:
        Conflict: another rollout of this bot published a state meanwhile; its outcome counts.
        Unavailable: a worker could not load the version, or not in time, or none is alive. The old
            champion has been published again.
    """
    before, _ = workers.standing(switch.bot)
    state, _ = workers.publish_until(
        switch.bot,
        # Somebody's mute is published over, and kept; another rollout's champion is not fought.
        holds=lambda state: switch.asks_for(state) or state.champion != before.champion,
        change=lambda state: RolloutState(
            bot=switch.bot,
            epoch=0,
            champion=switch.target.number,
            digest=switch.target.digest,
            previous=switch.previous,
            earlier=switch.earlier,
            muted=state.muted,
            reason=switch.reason,
        ),
        by=switch.by,
    )
    if not switch.asks_for(state):
        raise _superseded(switch, state)
    workers.progress(f"{switch.bot}: version {switch.target.number} is published as epoch {state.epoch}")
    answers = _wait(workers, switch, state)
    newest, _ = workers.standing(switch.bot)
    if not switch.asks_for(newest):
        raise _superseded(switch, newest)
    if not answers.complete:
        _restore(workers, switch, answers, before)
    return newest, answers


def _wait(workers: Fleet, switch: RolloutPlan, state: RolloutState) -> Acknowledgements:
    deadline_s = workers.clock.monotonic() + workers.settings.rollout.ready_timeout_s
    told = ""
    while True:
        roll, state = workers.look(), workers.insist(state)
        if not switch.asks_for(state):
            raise _superseded(switch, state)
        answers = rollout_answers(switch.bot, switch.target.number, state.epoch, roll.live, roll.perhaps_alive)
        if (sentence := _sentence(answers)) != told:
            workers.progress(f"{switch.bot}: {sentence}")
            told = sentence
        if answers.complete or answers.degraded or workers.clock.monotonic() >= deadline_s:
            return answers
        workers.clock.pause(workers.settings.rollout.poll_s)


def _restore(workers: Fleet, switch: RolloutPlan, answers: Acknowledgements, before: RolloutState) -> None:
    why = f"version {switch.target.number} was not taken up: {_sentence(answers)}"
    # Workers keep these at hand. One that was on its way before is not told again.
    kept = (before.previous, before.earlier) if _names(before, switch.old) else (before.earlier, None)
    restored, _ = workers.publish_until(
        switch.bot,
        # A champion that is told again has nothing behind it that could be put back.
        holds=lambda state: switch.target.is_same(switch.old) or not switch.asks_for(state),
        # Whether the bot is muted is not this rollout's business, and may have changed meanwhile.
        change=lambda state: RolloutState(
            bot=switch.bot,
            epoch=0,
            champion=None if switch.old is None else switch.old.number,
            digest="" if switch.old is None else switch.old.digest,
            previous=kept[0],
            earlier=kept[1],
            muted=state.muted,
            reason=why,
        ),
        by=switch.by,
    )
    if not _names(restored, switch.old):
        raise _superseded(switch, restored)
    raise Unavailable(
        f"{switch.bot}: {why}. Expected every live worker to be ready within "
        f"{workers.settings.rollout.ready_timeout_s:.0f} s; "
        f"{f'version {switch.old.number} speaks on' if switch.old else 'the bot has no version to speak with'} "
        f"(epoch {restored.epoch}). Look at the workers with `kogpt2-chat status`, then roll out again"
    )


def _names(state: RolloutState, version: VersionKey | None) -> bool:
    return state.key is None if version is None else version.is_same(state.key)


def _superseded(switch: RolloutPlan, newest: RolloutState) -> Conflict:
    found = f"epoch {newest.epoch} (version {newest.champion}) by {newest.by!r}" if newest.epoch else "an emptied topic"
    return Conflict(
        f"{switch.bot}: version {switch.target.number} was overtaken by {found}: another rollout is at work, "
        "its outcome counts"
    )


def _sentence(answers: Acknowledgements) -> str:
    if not (answers.ready or answers.degraded or answers.waiting):
        return "no worker is alive"
    degraded = [f"{worker} ({answers.details.get(worker) or 'no detail'})" for worker in answers.degraded]
    groups = (("ready", answers.ready), ("degraded", degraded), ("waiting for", answers.waiting))
    return "; ".join(f"{name} {', '.join(workers)}" for name, workers in groups if workers)
