"""Publish a version of a bot and wait until every live worker serves it; otherwise restore the old version."""

from dataclasses import dataclass, replace
from functools import partial

from kogpt2_chat.domain.rollout.acknowledgements import Acknowledgements, version_acknowledgements
from kogpt2_chat.domain.rollout.states import RolloutState, VersionKey
from kogpt2_chat.errors import ChangeSuperseded, Unavailable
from kogpt2_chat.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """One change of a bot's champion.

    Attributes:
        bot: the bot.
        target: the version to serve.
        old: the version served until now; None for a bot's first version.
        previous: value of ``previous`` in the published state.
        earlier: value of ``earlier`` in the published state; see
            :class:`kogpt2_chat.domain.rollout.states.RolloutState`.
        reason: why, for readers of the topic.
        by: who requested it.
    """

    bot: str
    target: VersionKey
    old: VersionKey | None
    previous: int | None
    earlier: int | None = None
    reason: str
    by: str

    def matches(self, state: RolloutState) -> bool:
        """Check whether the champion of a state is the target, not another version that once had its number."""
        return self.target.is_same(state.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResult:
    """The outcome of a rollout or a rollback.

    Attributes:
        bot: the bot.
        version: the champion that the workers follow; None if there is none.
        previous: value of ``previous`` in the published state.
        epoch: its rollout epoch.
        workers: names of the workers that serve it; empty if nothing was done.
        changed: whether anything was done.
        reason: why.
    """

    bot: str
    version: int | None
    previous: int | None
    epoch: int
    workers: tuple[str, ...]
    changed: bool
    reason: str


def rollout_result(state: RolloutState, *, workers: tuple[str, ...], changed: bool, reason: str) -> RolloutResult:
    """Return the outcome of a rollout from the state that the workers follow."""
    return RolloutResult(
        bot=state.bot,
        version=state.champion,
        previous=state.previous,
        epoch=state.epoch,
        workers=workers,
        changed=changed,
        reason=reason,
    )


def apply_plan(fleet: Fleet, plan: RolloutPlan) -> tuple[RolloutState, Acknowledgements]:
    """Publish a version and wait until it is ready on every live worker.

    If the workers already follow a state with this version, an earlier call published it and did not finish. Then this
    call only waits.

    Args:
        fleet: the workers.
        plan: the change.

    Returns:
        The state that the workers follow now, and their acknowledgements.

    Raises:
        ChangeSuperseded: another rollout of this bot published a different champion meanwhile, which stays in effect.
        AlreadyRunning: other programs keep publishing states of this bot.
        Unavailable: a worker could not load the version, or did not do so in time, or no worker is alive. The old
            champion has been published again.
    """
    before, _ = fleet.effective_state(plan.bot)
    state, _ = fleet.publish_until(
        plan.bot,
        # If only the mute changed in the meantime, publish again and keep it. If the champion changed, give up.
        holds=lambda state: plan.matches(state) or state.champion != before.champion,
        change=lambda state: _with_champion(state, plan.target, plan.previous, plan.earlier, plan.reason),
        by=plan.by,
    )
    _require_target(plan, state)
    fleet.progress(f"{plan.bot}: version {plan.target.number} is published as epoch {state.epoch}")
    answers, _ = fleet.wait_for_workers(state, group=version_acknowledgements, require=partial(_require_target, plan))
    newest, _ = fleet.effective_state(plan.bot)
    _require_target(plan, newest)
    if not answers.complete:
        _restore(fleet, plan, answers, before)
    return newest, answers


def _restore(fleet: Fleet, plan: RolloutPlan, answers: Acknowledgements, before: RolloutState) -> None:
    why = f"version {plan.target.number} was not loaded by every worker: {answers.sentence()}"
    # Name the versions before `old`. If `before` published a version that was still loading, `old` is its `previous`.
    kept = (before.previous, before.earlier) if _targets(before, plan.old) else (before.earlier, None)
    restored, _ = fleet.publish_until(
        plan.bot,
        # If the champion itself was published again, no earlier version exists to restore.
        holds=lambda state: plan.target.is_same(plan.old) or not plan.matches(state),
        change=lambda state: _with_champion(state, plan.old, *kept, why),
        by=plan.by,
    )
    if not _targets(restored, plan.old):
        raise _superseded(plan, restored)
    now = f"version {plan.old.number} continues to answer" if plan.old else "the bot has no version that could answer"
    raise Unavailable(
        f"{plan.bot}: {why}. Expected every live worker to be ready within "
        f"{fleet.settings.rollout.ready_timeout_s:.0f} s; {now} "
        f"(epoch {restored.epoch}). Check the workers with `kogpt2-chat status`, then roll out again"
    )


def _with_champion(
    state: RolloutState, version: VersionKey | None, previous: int | None, earlier: int | None, reason: str
) -> RolloutState:
    """Return a state with another champion. Everything else stays, so that a mute is kept."""
    return replace(
        state,
        champion=None if version is None else version.number,
        digest="" if version is None else version.digest,
        previous=previous,
        earlier=earlier,
        reason=reason,
    )


def _require_target(plan: RolloutPlan, newest: RolloutState) -> None:
    if not plan.matches(newest):
        raise _superseded(plan, newest)


def _targets(state: RolloutState, version: VersionKey | None) -> bool:
    return state.key is None if version is None else version.is_same(state.key)


def _superseded(plan: RolloutPlan, newest: RolloutState) -> ChangeSuperseded:
    found = f"epoch {newest.epoch} (version {newest.champion}) by {newest.by!r}" if newest.epoch else "an empty topic"
    return ChangeSuperseded(
        f"{plan.bot}: version {plan.target.number} was superseded by {found}: another rollout of this bot is in "
        "progress, and its result stays in effect"
    )
