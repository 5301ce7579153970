"""Return to the previous version: first on the workers, then in the registry's aliases.

A rollback is urgent, so it does not wait for a registry that does not answer: the aliases can be moved later.
"""

from collections.abc import Callable
from functools import partial

from kogpt2_chat.domain.rollout.states import RolloutState, VersionKey
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.fleet.fleet import Clock, Fleet
from kogpt2_chat.fleet.registered import is_registered, require_pass, version_before, version_key
from kogpt2_chat.fleet.rollout_plan import RolloutPlan, RolloutResult, apply_plan, rollout_result
from kogpt2_chat.patience import within
from kogpt2_chat.ports import Registry, Topics
from kogpt2_chat.settings import Settings


def rollback(
    *,
    bot: str,
    topics: Topics,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
    by: str = "rollback",
    clock: Clock | None = None,
) -> RolloutResult:
    """Return to the previous version, and tag the abandoned version ``rolled_back``.

    Afterwards the bot has no previous version, so a second call cannot return to the abandoned one. If the registry
    does not answer, the rollback uses the previous version of the published state, and a later call moves the aliases.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: the model registry.
        settings: how long to wait.
        progress: called with a line on each change.
        by: who requested the rollback, for the published state.
        clock: the time; tests replace it.

    Returns:
        The state that the workers follow now.

    Raises:
        NotFound: the bot has no previous version.
        GateRefused: the previous version did not pass the gate.
        ChangeSuperseded: another rollout of this bot published a different champion, which stays in effect.
        AlreadyRunning: other programs keep publishing states of this bot.
        Unavailable: the previous version did not become ready in time, or the registry did not answer. In the second
            case, the message says whether the previous version is serving.
    """
    fleet = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    followed, _ = fleet.effective_state(bot)
    served = fleet.served_version(bot, followed)
    time_limited = partial(within, settings.rollout.registry_timeout_s, "the model registry")
    try:
        plan = time_limited(lambda: _rollback_plan(bot, served, registry, by))
    except Unavailable as error:
        plan = _rollback_plan_without_registry(followed, served, by, error)
        progress(f"{bot}: {error}; using the previous version of the published state")
    state, answers = apply_plan(fleet, plan)
    sentence = f"{bot}: version {plan.target.number} answers again on {', '.join(answers.ready)}"
    try:
        time_limited(lambda: _settle_aliases(plan, state, registry))
    except Unavailable as error:
        raise Unavailable(
            f"{sentence}. The aliases were not moved: {error} Run the rollback again when the registry answers"
        ) from error
    progress(sentence)
    return rollout_result(state, workers=answers.ready, changed=True, reason=plan.reason)


def _rollback_plan(bot: str, served: VersionKey | None, registry: Registry, by: str) -> RolloutPlan:
    """Plan the change from the served version to the registry's alias ``previous``."""
    found = registry.by_alias(bot, "previous")
    if found is None:
        raise NotFound(f"{bot} has no previous version to return to: choose one with `rollout {bot} --version N`")
    require_pass(found)
    target = version_key(found, registry)
    old = version_before(served, registry.by_alias(bot, "champion"), target, registry)
    return RolloutPlan(bot=bot, target=target, old=old, previous=None, reason=_rollback_reason(old), by=by)


def _rollback_plan_without_registry(
    followed: RolloutState, served: VersionKey | None, by: str, error: Unavailable
) -> RolloutPlan:
    """Plan the change to the version that the published state names as the champion before the served one.

    That version passed the gate before its own rollout.
    """
    is_champion = served is not None and served.is_same(followed.key)
    before = (followed.previous, followed.earlier) if is_champion else (followed.earlier, None)
    if before[0] is None:
        raise Unavailable(
            f"{followed.bot}: {error} The published state names no version to return to either; "
            f"`kogpt2-chat mute {followed.bot}` works without the registry"
        ) from error
    return RolloutPlan(
        bot=followed.bot,
        target=VersionKey(before[0]),
        old=served,
        previous=before[1],
        reason=_rollback_reason(served),
        by=by,
    )


def _settle_aliases(plan: RolloutPlan, state: RolloutState, registry: Registry) -> None:
    """Move the aliases after a rollback. Each step can be repeated, and may still take effect after a timeout."""
    if plan.old is not None and not plan.old.is_same(plan.target) and is_registered(registry, plan.bot, plan.old):
        registry.tag(plan.bot, plan.old.number, {"rolled_back": state.at})
    # Move `champion` first: as long as `previous` exists, a second call can finish after a crash.
    registry.set_alias(plan.bot, "champion", plan.target.number)
    registry.set_alias(plan.bot, "previous", None)


def _rollback_reason(old: VersionKey | None) -> str:
    return f"rolled back from version {None if old is None else old.number}"
