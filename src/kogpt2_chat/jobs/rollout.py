"""Make another version champion: first the workers, then the aliases.

The order makes each step safe to repeat: (1) choose the version once, (2) publish it with a rising epoch,
(3) wait until every live worker has it ready, (4) move the aliases. A crash between any two steps is
finished by the same command again. If (3) fails, the old champion is published again.
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
    """Make the candidate (or a named version that passed the gate) champion.

    Without a candidate the champion itself is chosen: then nothing is done, unless the workers were never
    told about it (a lost topic), which the same steps repair. Where they were told another version, by a rollback that
    the registry has not heard of or since the alias was moved by hand, it is left to a person, and said.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: where the aliases live.
        settings: how long to wait.
        progress: told what is waited for.
        version: a version number; None takes the alias ``candidate``.
        by: who asked, for the record.
        clock: the time; tests bring their own.

    Returns:
        ``bot version previous epoch workers changed reason``.
    """
    workers = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    champion = registry.by_alias(bot, "champion")
    standing, stands = workers.standing(bot)
    chosen = _chosen(bot, registry, champion, version)
    target = _key(chosen, registry)
    is_told = stands and target.is_same(standing.key)
    if _is_left_to_a_person(chosen, version, standing, stands=stands):
        reason = f"workers were told {standing.champion}, the registry's champion is {chosen.version}"
        progress(f"{bot}: {reason}: nothing is done. Roll back once more, or name a version with `--version`")
        return _result(standing, workers=(), changed=False, reason=reason)
    require_pass(chosen)
    if is_told and _number(champion) == target.number:
        _drop_candidate(registry, bot, target.number)
        progress(f"{bot}: version {target.number} is champion already, nothing to do")
        return _result(standing, workers=(), changed=False, reason="champion already")
    old = _old(workers.spoken(bot, standing), champion, target, registry)
    switch = RolloutPlan(
        bot=bot,
        target=target,
        old=old,
        previous=_previous(bot, target, old, registry),
        earlier=standing.previous if old and old.is_same(standing.key) else standing.earlier,
        reason=f"version {target.number} passed the gate",
        by=by,
    )
    state, answers = bring_to(workers, switch)
    # `previous` first: a crash here is finished by a second call, which finds the old champion still in office.
    registry.set_alias(bot, "previous", switch.previous if _may_be_previous(switch, registry) else None)
    registry.set_alias(bot, "champion", target.number)
    _drop_candidate(registry, bot, target.number)
    progress(f"{bot}: version {target.number} is champion, spoken by {', '.join(answers.ready)}")
    return _result(state, workers=answers.ready, changed=True, reason=switch.reason)


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
    """Let the previous version speak again; the one that is left is tagged ``rolled_back``.

    Afterwards there is no previous version: a second call has nowhere to go, and never returns to the one left.
    A registry that does not answer holds nothing up: the workers go by what they were told, and the aliases follow
    with a second call.

    Args:
        bot: the bot.
        topics: where ``rollout_state`` is published and ``worker_state`` read.
        registry: where the aliases live.
        settings: how long to wait.
        progress: told what is waited for.
        by: who asked, for the record.
        clock: the time; tests bring their own.

    Returns:
        ``bot version previous epoch workers changed reason``.

    Raises:
        NotFound: the bot has no previous version.
        Unavailable: the registry did not answer. The previous version may speak all the same, as the error says.
    """
    workers = Fleet(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    standing, _ = workers.standing(bot)
    spoken = workers.spoken(bot, standing)
    patience = partial(within, settings.rollout.registry_timeout_s, "the model registry")
    try:
        switch = patience(lambda: _way_back(bot, spoken, registry, by))
    except Unavailable as error:
        switch = _way_back_without_registry(standing, spoken, by, error)
        progress(f"{bot}: {error}; going by what the workers were told")
    state, answers = bring_to(workers, switch)
    sentence = f"{bot}: version {switch.target.number} speaks again, by {', '.join(answers.ready)}"
    try:
        patience(lambda: _settle_aliases(switch, state, registry))
    except Unavailable as error:
        raise Unavailable(
            f"{sentence}. The registry could not be told: {error} Roll back once more when it answers"
        ) from error
    progress(sentence)
    return _result(state, workers=answers.ready, changed=True, reason=switch.reason)


def _way_back(bot: str, spoken: VersionKey | None, registry: Registry, by: str) -> RolloutPlan:
    """From what speaks to what the registry calls the previous version."""
    found = registry.by_alias(bot, "previous")
    if found is None:
        raise NotFound(f"{bot} has no previous version to go back to: name one with `rollout {bot} --version N`")
    require_pass(found)
    target = _key(found, registry)
    old = _old(spoken, registry.by_alias(bot, "champion"), target, registry)
    return RolloutPlan(bot=bot, target=target, old=old, previous=None, reason=_left(old), by=by)


def _way_back_without_registry(
    standing: RolloutState, spoken: VersionKey | None, by: str, error: Unavailable
) -> RolloutPlan:
    """From what speaks to what was champion before it, as the workers were told: it passed the gate back then."""
    is_told = spoken is not None and spoken.is_same(standing.key)
    before = (standing.previous, standing.earlier) if is_told else (standing.earlier, None)
    if before[0] is None:
        raise Unavailable(
            f"{standing.bot}: {error} The workers know of no version to go back to either; "
            f"`kogpt2-chat mute {standing.bot}` needs no registry"
        ) from error
    return RolloutPlan(
        bot=standing.bot, target=VersionKey(before[0]), old=spoken, previous=before[1], reason=_left(spoken), by=by
    )


def _settle_aliases(switch: RolloutPlan, state: RolloutState, registry: Registry) -> None:
    """Make the registry agree. Each step may be done again, and late: a second call says the same."""
    if switch.old is not None and not switch.old.is_same(switch.target) and _knows(registry, switch.bot, switch.old):
        registry.tag(switch.bot, switch.old.number, {"rolled_back": state.at})
    # `champion` first: while `previous` is there, a second call finishes what a crash left.
    registry.set_alias(switch.bot, "champion", switch.target.number)
    registry.set_alias(switch.bot, "previous", None)


def _left(old: VersionKey | None) -> str:
    return f"rolled back from version {None if old is None else old.number}"


def _chosen(bot: str, registry: Registry, champion: ModelVersion | None, version: int | None) -> ModelVersion:
    if version is not None:
        return registry.get(bot, version)
    chosen = registry.by_alias(bot, "candidate") or champion
    if chosen is None:
        raise NotFound(f"{bot} has neither candidate nor champion: train it with the DAG retrain_bots first")
    return chosen


def _is_left_to_a_person(chosen: ModelVersion, version: int | None, standing: RolloutState, *, stands: bool) -> bool:
    """Whether nobody named a version, and the workers speak another one than the registry's champion.

    A rollback that the registry has not heard of leaves it so, and an alias that was moved by hand.
    """
    is_champion = version is None and "champion" in chosen.aliases and "candidate" not in chosen.aliases
    return is_champion and stands and standing.champion not in {None, chosen.version}


def _old(
    spoken: VersionKey | None, champion: ModelVersion | None, target: VersionKey, registry: Registry
) -> VersionKey | None:
    """The version that speaks until now: as the workers say, since an alias can be moved by hand.

    Where they speak the target already, by a call that did not finish, the alias says which one was before.
    """
    if spoken is not None and not spoken.is_same(target):
        return spoken
    return None if champion is None else _key(champion, registry)


def _previous(bot: str, target: VersionKey, old: VersionKey | None, registry: Registry) -> int | None:
    """What is to be called previous: a champion that is told again leaves it as it is."""
    if target.is_same(old):
        return _number(registry.by_alias(bot, "previous"))
    return None if old is None else old.number


def _key(version: ModelVersion, registry: Registry) -> VersionKey:
    return VersionKey(version.version, version_digest(version.bot, version.version, registry))


def _may_be_previous(switch: RolloutPlan, registry: Registry) -> bool:
    """Whether the alias can name it: one that spoke may be of a registry that was lost."""
    if switch.previous is None:
        return False
    key = switch.old if switch.old is not None and switch.old.number == switch.previous else VersionKey(switch.previous)
    return _knows(registry, switch.bot, key)


def _knows(registry: Registry, bot: str, version: VersionKey) -> bool:
    try:
        return version.is_same(_key(registry.get(bot, version.number), registry))
    except NotFound:
        return False


def _number(found: ModelVersion | None) -> int | None:
    return None if found is None else found.version


def _drop_candidate(registry: Registry, bot: str, version: int) -> None:
    """Take the alias away, unless a newer candidate has come meanwhile."""
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
