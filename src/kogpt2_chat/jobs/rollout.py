"""Make another version the champion: first on the workers, then in the registry's aliases.

The order makes each step safe to repeat: (1) choose the version once, (2) publish it with a higher epoch,
(3) wait until it is ready on every live worker, (4) move the aliases. After a crash between two steps, the same command
finishes the rollout. If (3) fails, the old champion is published again.
"""

from collections.abc import Callable
from functools import partial

from kogpt2_chat.artifact.downloads import version_digest
from kogpt2_chat.domain.rollout.states import RolloutState, VersionKey
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.fleet.fleet import Clock, Fleet
from kogpt2_chat.fleet.rollout_plan import RolloutPlan, bring_to
from kogpt2_chat.jobs.nominate import require_pass
from kogpt2_chat.patience import within
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
) -> dict[str, object]:
    """Make the candidate, or a given version that passed the gate, the champion.

    Without a candidate the champion itself is chosen. Then nothing is done, unless the published state was lost; the
    same steps publish it again. If the workers follow a version other than the registry's champion, the operator has to
    decide: either a rollback could not move the aliases, or an alias was moved by hand. A progress line says so.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: the model registry.
        settings: how long to wait.
        progress: called with a line on each change.
        version: a version number; None uses the alias ``candidate``.
        by: who asked, for the published state.
        clock: the time; tests replace it.

    Returns:
        ``bot version previous epoch workers changed reason``.

    Raises:
        NotFound: the bot has neither candidate nor champion, or not the given version.
        GateRefused: the version did not pass the gate.
        Conflict: another rollout of this bot is in progress.
        Unavailable: the version did not become ready on every live worker in time. The old champion answers.
    """
    fleet = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    champion = registry.by_alias(bot, "champion")
    followed, is_current = fleet.effective_state(bot)
    chosen = _chosen(bot, registry, champion, version)
    target = _key(chosen, registry)
    is_published = is_current and target.is_same(followed.key)
    if _needs_operator(chosen, version, followed, is_current=is_current):
        reason = f"the published version is {followed.champion}, the registry's champion is {chosen.version}"
        progress(f"{bot}: {reason}: nothing is done. Run the rollback again, or choose a version with `--version`")
        return _result(followed, workers=(), changed=False, reason=reason)
    require_pass(chosen)
    if is_published and _number(champion) == target.number:
        _drop_candidate(registry, bot, target.number)
        progress(f"{bot}: version {target.number} is already the champion, nothing to do")
        return _result(followed, workers=(), changed=False, reason="already the champion")
    old = _old(fleet.served_version(bot, followed), champion, target, registry)
    plan = RolloutPlan(
        bot=bot,
        target=target,
        old=old,
        previous=_previous(bot, target, old, registry),
        earlier=followed.previous if old and old.is_same(followed.key) else followed.earlier,
        reason=f"version {target.number} passed the gate",
        by=by,
    )
    state, answers = bring_to(fleet, plan)
    # Set `previous` first: after a crash here, a second call still finds the old champion and finishes.
    registry.set_alias(bot, "previous", plan.previous if _may_be_previous(plan, registry) else None)
    registry.set_alias(bot, "champion", target.number)
    _drop_candidate(registry, bot, target.number)
    progress(f"{bot}: version {target.number} is the champion, served by {', '.join(answers.ready)}")
    return _result(state, workers=answers.ready, changed=True, reason=plan.reason)


def rollback(
    *,
    bot: str,
    topics: Topics,
    registry: Registry,
    settings: Settings,
    progress: Callable[[str], None],
    by: str = "rollback",
    clock: Clock | None = None,
) -> dict[str, object]:
    """Return to the previous version, and tag the abandoned version ``rolled_back``.

    Afterwards the bot has no previous version, so a second call cannot return to the abandoned one. The rollback does
    not wait for a registry that does not answer: it takes the previous version from the published state, and a second
    call moves the aliases later.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: the model registry.
        settings: how long to wait.
        progress: called with a line on each change.
        by: who asked, for the published state.
        clock: the time; tests replace it.

    Returns:
        ``bot version previous epoch workers changed reason``.

    Raises:
        NotFound: the bot has no previous version.
        GateRefused: the previous version did not pass the gate.
        Conflict: another rollout of this bot is in progress.
        Unavailable: the previous version did not become ready, or the registry did not answer. In the second case the
            error says whether the previous version answers nevertheless.
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
    state, answers = bring_to(fleet, plan)
    sentence = f"{bot}: version {plan.target.number} answers again on {', '.join(answers.ready)}"
    try:
        time_limited(lambda: _settle_aliases(plan, state, registry))
    except Unavailable as error:
        raise Unavailable(
            f"{sentence}. The aliases were not moved: {error} Run the rollback again when the registry answers"
        ) from error
    progress(sentence)
    return _result(state, workers=answers.ready, changed=True, reason=plan.reason)


def _rollback_plan(bot: str, served: VersionKey | None, registry: Registry, by: str) -> RolloutPlan:
    """Plan the change from the served version to the registry's alias ``previous``."""
    found = registry.by_alias(bot, "previous")
    if found is None:
        raise NotFound(f"{bot} has no previous version to return to: choose one with `rollout {bot} --version N`")
    require_pass(found)
    target = _key(found, registry)
    old = _old(served, registry.by_alias(bot, "champion"), target, registry)
    return RolloutPlan(bot=bot, target=target, old=old, previous=None, reason=_rollback_reason(old), by=by)


def _rollback_plan_without_registry(
    followed: RolloutState, served: VersionKey | None, by: str, error: Unavailable
) -> RolloutPlan:
    """Plan the change to the champion before the served version, as published; it passed the gate at that time."""
    is_champion = served is not None and served.is_same(followed.key)
    before = (followed.previous, followed.earlier) if is_champion else (followed.earlier, None)
    if before[0] is None:
        raise Unavailable(
            f"{followed.bot}: {error} The published state does not name a version to return to either; "
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
    """Move the aliases after a rollback. Each step can be repeated, and may take effect late."""
    if plan.old is not None and not plan.old.is_same(plan.target) and _knows(registry, plan.bot, plan.old):
        registry.tag(plan.bot, plan.old.number, {"rolled_back": state.at})
    # Move `champion` first: as long as `previous` exists, a second call can finish after a crash.
    registry.set_alias(plan.bot, "champion", plan.target.number)
    registry.set_alias(plan.bot, "previous", None)


def _rollback_reason(old: VersionKey | None) -> str:
    return f"rolled back from version {None if old is None else old.number}"


def _chosen(bot: str, registry: Registry, champion: ModelVersion | None, version: int | None) -> ModelVersion:
    if version is not None:
        return registry.get(bot, version)
    chosen = registry.by_alias(bot, "candidate") or champion
    if chosen is None:
        raise NotFound(f"{bot} has neither candidate nor champion: train it with the DAG retrain_bots first")
    return chosen


def _needs_operator(chosen: ModelVersion, version: int | None, followed: RolloutState, *, is_current: bool) -> bool:
    """Check whether no version was given and the published version is not the registry's champion.

    A rollback that could not move the aliases causes this, and so does an alias moved by hand.
    """
    is_champion = version is None and "champion" in chosen.aliases and "candidate" not in chosen.aliases
    return is_champion and is_current and followed.champion not in {None, chosen.version}


def _old(
    served: VersionKey | None, champion: ModelVersion | None, target: VersionKey, registry: Registry
) -> VersionKey | None:
    """Return the version served until now. The workers decide, since an alias can be moved by hand.

    If they already serve the target because an earlier call did not finish, the alias names the version before.
    """
    if served is not None and not served.is_same(target):
        return served
    return None if champion is None else _key(champion, registry)


def _previous(bot: str, target: VersionKey, old: VersionKey | None, registry: Registry) -> int | None:
    """Return the version to publish as ``previous``. Publishing the champion again does not change it."""
    if target.is_same(old):
        return _number(registry.by_alias(bot, "previous"))
    return None if old is None else old.number


def _key(version: ModelVersion, registry: Registry) -> VersionKey:
    return VersionKey(version.version, version_digest(version.bot, version.version, registry))


def _may_be_previous(plan: RolloutPlan, registry: Registry) -> bool:
    """Check whether the alias can name the previous version: it may come from a registry that was lost."""
    if plan.previous is None:
        return False
    key = plan.old if plan.old is not None and plan.old.number == plan.previous else VersionKey(plan.previous)
    return _knows(registry, plan.bot, key)


def _knows(registry: Registry, bot: str, version: VersionKey) -> bool:
    try:
        return version.is_same(_key(registry.get(bot, version.number), registry))
    except NotFound:
        return False


def _number(found: ModelVersion | None) -> int | None:
    return None if found is None else found.version


def _drop_candidate(registry: Registry, bot: str, version: int) -> None:
    """Remove the alias ``candidate``, unless it names a newer version by now."""
    if _number(registry.by_alias(bot, "candidate")) == version:
        registry.set_alias(bot, "candidate", None)


def _result(state: RolloutState, *, workers: tuple[str, ...], changed: bool, reason: str) -> dict[str, object]:
    return {
        "bot": state.bot,
        "version": state.champion,
        "previous": state.previous,
        "epoch": state.epoch,
        "workers": list(workers),
        "changed": changed,
        "reason": reason,
    }
