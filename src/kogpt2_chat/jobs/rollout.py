"""Make another version champion: first the workers, then the aliases.

The order makes each step safe to repeat: (1) choose the version once, (2) publish it with a rising epoch,
(3) wait until every live worker has it ready, (4) move the aliases. A crash between any two steps is
finished by the same command again. If (3) fails, the old champion is published again.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from kogpt2_chat.domain.rollout import RolloutState
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.jobs.nominate import require_pass
from kogpt2_chat.jobs.switch import Clock, Switch, Workers
from kogpt2_chat.jobs.versions import version_digest
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
    told about it (a lost topic), which the same steps repair.

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
    workers = Workers(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    champion = registry.by_alias(bot, "champion")
    chosen = _chosen(bot, registry, champion, version)
    require_pass(chosen)
    standing, stands = workers.standing(bot)
    digest = version_digest(bot, chosen.version, registry)
    is_told = stands and standing.champion == chosen.version and (standing.digest in {"", digest} or not digest)
    if is_told and _number(champion) == chosen.version:
        _drop_candidate(registry, bot, chosen.version)
        progress(f"{bot}: version {chosen.version} is champion already, nothing to do")
        return _result(standing, workers=(), changed=False, reason="champion already")
    old = _old(standing, champion, chosen.version)
    switch = Switch(
        bot=bot,
        target=chosen.version,
        old=old,
        previous=_number(registry.by_alias(bot, "previous")) if old == chosen.version else old,
        reason=f"version {chosen.version} passed the gate",
        by=by,
        digests={chosen.version: digest, **_digest_of_old(bot, old, chosen.version, standing, registry)},
    )
    state, answers = workers.switch(switch)
    # `previous` first: a crash here is finished by a second call, which finds the old champion still in office.
    registry.set_alias(bot, "previous", switch.previous if _has(registry, bot, switch.previous) else None)
    registry.set_alias(bot, "champion", switch.target)
    _drop_candidate(registry, bot, switch.target)
    progress(f"{bot}: version {switch.target} is champion, spoken by {', '.join(answers.ready)}")
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
    workers = Workers(topics=topics, settings=settings, progress=progress, clock=clock or Clock())
    standing, _ = workers.standing(bot)
    patience = partial(within, settings.rollout.registry_timeout_s, "the model registry")
    try:
        switch = patience(lambda: _way_back(bot, standing, registry, by))
    except Unavailable as error:
        switch = _way_back_without_registry(standing, by, error)
        progress(f"{bot}: {error}; going by what the workers were told")
    state, answers = workers.switch(switch)
    spoken = f"{bot}: version {switch.target} speaks again, by {', '.join(answers.ready)}"
    try:
        patience(lambda: _settle_aliases(switch, state, registry))
    except Unavailable as error:
        raise Unavailable(
            f"{spoken}. The registry could not be told: {error} When it answers, and `kogpt2-chat status` shows "
            "another champion there than what speaks, roll back once more"
        ) from error
    progress(spoken)
    return _result(state, workers=answers.ready, changed=True, reason=switch.reason)


def _way_back(bot: str, standing: RolloutState, registry: Registry, by: str) -> Switch:
    """From what speaks to what the registry calls the previous version."""
    target = registry.by_alias(bot, "previous")
    if target is None:
        raise NotFound(f"{bot} has no previous version to go back to: name one with `rollout {bot} --version N`")
    require_pass(target)
    old = _old(standing, registry.by_alias(bot, "champion"), target.version)
    digests = {target.version: version_digest(bot, target.version, registry)}
    digests |= _digest_of_old(bot, old, target.version, standing, registry)
    reason = f"rolled back from version {old}"
    return Switch(bot=bot, target=target.version, old=old, previous=None, reason=reason, by=by, digests=digests)


def _way_back_without_registry(standing: RolloutState, by: str, error: Unavailable) -> Switch:
    """From what the workers were told to what was champion before; it passed the gate when it became so."""
    if standing.previous is None:
        raise Unavailable(
            f"{standing.bot}: {error} The workers know of no version to go back to either; "
            f"`kogpt2-chat mute {standing.bot}` needs no registry"
        ) from error
    return Switch(
        bot=standing.bot,
        target=standing.previous,
        old=standing.champion,
        previous=None,
        reason=f"rolled back from version {standing.champion}",
        by=by,
        digests={} if standing.champion is None else {standing.champion: standing.digest},
    )


def _settle_aliases(switch: Switch, state: RolloutState, registry: Registry) -> None:
    """Make the registry agree; each step may be done again."""
    if switch.old != switch.target and _has(registry, switch.bot, switch.old):
        registry.tag(switch.bot, cast("int", switch.old), {"rolled_back": state.at})
    # `champion` first: while `previous` is there, a second call finishes what a crash left.
    registry.set_alias(switch.bot, "champion", switch.target)
    registry.set_alias(switch.bot, "previous", None)


def _chosen(bot: str, registry: Registry, champion: ModelVersion | None, version: int | None) -> ModelVersion:
    if version is not None:
        return registry.get(bot, version)
    chosen = registry.by_alias(bot, "candidate") or champion
    if chosen is None:
        raise NotFound(f"{bot} has neither candidate nor champion: train it with the DAG retrain_bots first")
    return chosen


def _old(standing: RolloutState, champion: ModelVersion | None, target: int) -> int | None:
    """The version that speaks until now: as the workers were told, since an alias can be moved by hand.

    Where they were told the target already, by a call that did not finish, the alias says which one was before.
    """
    return standing.champion if standing.champion not in {None, target} else _number(champion)


def _digest_of_old(
    bot: str, old: int | None, target: int, standing: RolloutState, registry: Registry
) -> dict[int, str]:
    """As the workers were told it, else as the registry says."""
    if old is None or old == target:
        return {}
    told = standing.digest if standing.champion == old else ""
    return {old: told or version_digest(bot, old, registry)}


def _has(registry: Registry, bot: str, version: int | None) -> bool:
    """Whether the registry knows a version: one that speaks may be of a registry that was lost."""
    try:
        return version is not None and registry.get(bot, version).version == version
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
