"""Make another version the champion: first on the workers, then in the registry's aliases.

The order makes each step safe to repeat: (1) choose the version once, (2) publish it with a higher epoch,
(3) wait until it is ready on every live worker, (4) move the aliases. After a crash between two steps, the same command
finishes the rollout. If (3) fails, the old champion is published again.
"""

from collections.abc import Callable

from kogpt2_chat.domain.rollout.states import RolloutState, VersionKey
from kogpt2_chat.errors import NotFound
from kogpt2_chat.fleet.fleet import Clock, Fleet
from kogpt2_chat.fleet.registered import is_registered, number_of, require_pass, version_before, version_key
from kogpt2_chat.fleet.rollout_plan import RolloutPlan, RolloutResult, apply_plan, rollout_result
from kogpt2_chat.ports import ModelVersion, Registry, Topics
from kogpt2_chat.settings import Settings


def rollout(
    *,
    bot: str,
    topics: Topics,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
    version: int | None = None,
    by: str = "rollout",
    clock: Clock | None = None,
) -> RolloutResult:
    """Make the candidate, or a given version that passed the gate, the champion.

    Without a candidate, the champion itself is chosen. Then nothing is done, unless the published state was lost; in
    that case the same steps publish it again. If the workers follow another version than the registry's champion,
    nothing is done either, and a progress line asks the operator to decide: either a rollback could not move the
    aliases, or an alias was moved by hand.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: the model registry.
        settings: how long to wait.
        progress: called with a line on each change.
        version: a version number; None uses the alias ``candidate``.
        by: who requested the rollout, for the published state.
        clock: the time; tests replace it.

    Returns:
        The state that the workers follow now.

    Raises:
        NotFound: the bot has neither candidate nor champion, or lacks the given version.
        GateRefused: the version did not pass the gate.
        ChangeSuperseded: another rollout of this bot published a different champion, which stays in effect.
        AlreadyRunning: other programs keep publishing states of this bot.
        Unavailable: the version did not become ready on every live worker in time. The old champion is published again.
    """
    fleet = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    champion = registry.by_alias(bot, "champion")
    followed, is_current = fleet.effective_state(bot)
    chosen = _chosen(bot, registry, champion, version)
    target = version_key(chosen, registry)
    is_published = is_current and target.is_same(followed.key)
    if _needs_operator(chosen, version, followed, is_current=is_current):
        reason = f"the published version is {followed.champion}, the registry's champion is {chosen.version}"
        progress(f"{bot}: {reason}: nothing was changed. Run the rollback again, or choose a version with `--version`")
        return rollout_result(followed, workers=(), changed=False, reason=reason)
    require_pass(chosen)
    if is_published and number_of(champion) == target.number:
        _drop_candidate(registry, bot, target.number)
        progress(f"{bot}: version {target.number} is already the champion, nothing to do")
        return rollout_result(followed, workers=(), changed=False, reason="already the champion")
    old = version_before(fleet.served_version(bot, followed), champion, target, registry)
    plan = RolloutPlan(
        bot=bot,
        target=target,
        old=old,
        previous=_previous(bot, target, old, registry),
        earlier=followed.previous if old and old.is_same(followed.key) else followed.earlier,
        reason=f"version {target.number} passed the gate",
        by=by,
    )
    state, answers = apply_plan(fleet, plan)
    # Set `previous` first: after a crash here, a second call still finds the old champion and finishes.
    registry.set_alias(bot, "previous", plan.previous if _may_be_previous(plan, registry) else None)
    registry.set_alias(bot, "champion", target.number)
    _drop_candidate(registry, bot, target.number)
    progress(f"{bot}: version {target.number} is the champion, served by {', '.join(answers.ready)}")
    return rollout_result(state, workers=answers.ready, changed=True, reason=plan.reason)


def _chosen(bot: str, registry: Registry, champion: ModelVersion | None, version: int | None) -> ModelVersion:
    if version is not None:
        return registry.get(bot, version)
    chosen = registry.by_alias(bot, "candidate") or champion
    if chosen is None:
        raise NotFound(f"{bot} has neither candidate nor champion: train it with the DAG retrain_bots first")
    return chosen


def _needs_operator(chosen: ModelVersion, version: int | None, followed: RolloutState, *, is_current: bool) -> bool:
    """Check whether the champion was chosen by default, but another version is published.

    The cause is a rollback that could not move the aliases, or an alias that was moved by hand.
    """
    is_champion = version is None and "champion" in chosen.aliases and "candidate" not in chosen.aliases
    return is_champion and is_current and followed.champion not in {None, chosen.version}


def _previous(bot: str, target: VersionKey, old: VersionKey | None, registry: Registry) -> int | None:
    """Return the version to publish as ``previous``. Publishing the champion again does not change it."""
    if target.is_same(old):
        return number_of(registry.by_alias(bot, "previous"))
    return None if old is None else old.number


def _may_be_previous(plan: RolloutPlan, registry: Registry) -> bool:
    """Check whether the registry still has the previous version: it may come from a registry that was lost."""
    if plan.previous is None:
        return False
    key = plan.old if plan.old is not None and plan.old.number == plan.previous else VersionKey(plan.previous)
    return is_registered(registry, plan.bot, key)


def _drop_candidate(registry: Registry, bot: str, version: int) -> None:
    """Remove the alias ``candidate``, unless it names another version by now."""
    if number_of(registry.by_alias(bot, "candidate")) == version:
        registry.set_alias(bot, "candidate", None)
