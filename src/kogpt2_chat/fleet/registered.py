"""Check registered versions for a rollout: whether one passed the gate, and which one was served before."""

from kogpt2_chat.artifact.downloads import version_digest
from kogpt2_chat.domain.rollout.states import VersionKey
from kogpt2_chat.errors import GateRefused, NotFound
from kogpt2_chat.ports import ModelVersion, Registry


def require_pass(found: ModelVersion) -> None:
    """Check that a version passed the gate.

    Args:
        found: the version in the registry.

    Raises:
        GateRefused: the version was never evaluated, or was refused.
    """
    what = f"{found.bot} version {found.version}"
    gate = found.tags.get("gate")
    if gate is None:
        raise GateRefused(f"{what} was never evaluated: run `kogpt2-chat evaluate {found.bot} {found.version}` first")
    if gate != "pass":
        reasons = found.tags.get("gate_reasons", "see decision.json of its run")
        raise GateRefused(f"{what} did not pass the gate: {reasons}")


def version_key(version: ModelVersion, registry: Registry) -> VersionKey:
    """Return a version's number together with the digest of its files."""
    return VersionKey(version.version, version_digest(version.bot, version.version, registry))


def number_of(found: ModelVersion | None) -> int | None:
    """Return the number of a version, or None if there is no version."""
    return None if found is None else found.version


def is_registered(registry: Registry, bot: str, version: VersionKey) -> bool:
    """Check whether the registry has exactly this version, not another one with the same number."""
    try:
        return version.is_same(version_key(registry.get(bot, version.number), registry))
    except NotFound:
        return False


def version_before(
    served: VersionKey | None, champion: ModelVersion | None, target: VersionKey, registry: Registry
) -> VersionKey | None:
    """Return the version that was served until now: the one on the workers, because an alias can be moved by hand.

    If the workers already serve the target, because an earlier call did not finish, return the registry's champion.
    """
    if served is not None and not served.is_same(target):
        return served
    return None if champion is None else version_key(champion, registry)
