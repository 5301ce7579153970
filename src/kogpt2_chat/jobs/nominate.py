"""Make a version that passed the gate the bot's candidate for rollout."""

from kogpt2_chat.errors import GateRefused
from kogpt2_chat.ports import ModelVersion, Registry


def nominate(*, bot: str, version: int, registry: Registry) -> dict[str, object]:
    """Set the alias ``candidate`` to a version that passed the gate.

    If the version is already the champion, nothing changes: a retry after its rollout must not make it a candidate
    again.

    Args:
        bot: the bot.
        version: the version to nominate.
        registry: the model registry.

    Returns:
        ``bot``, ``version`` and ``nominated`` (False if the version is already the champion).

    Raises:
        GateRefused: the version did not pass the gate, or was rolled back.
    """
    found = registry.get(bot, version)
    require_pass(found)
    if "rolled_back" in found.tags:
        raise GateRefused(
            f"{bot} version {version} was rolled back at {found.tags['rolled_back']}: only an operator can publish it "
            f"again, with `kogpt2-chat rollout {bot} --version {version}`"
        )
    nominated = "champion" not in found.aliases
    if nominated:
        registry.set_alias(bot, "candidate", version)
    return {"bot": bot, "version": version, "nominated": nominated}


def require_pass(found: ModelVersion) -> None:
    """Check that a version passed the gate and has no tag ``tainted``.

    Args:
        found: the version in the registry.

    Raises:
        GateRefused: the version was never evaluated, was refused, or learned from a player who asked to be forgotten.
    """
    what = f"{found.bot} version {found.version}"
    gate = found.tags.get("gate")
    if gate is None:
        raise GateRefused(f"{what} was never evaluated: run `kogpt2-chat evaluate {found.bot} {found.version}` first")
    if gate != "pass":
        reasons = found.tags.get("gate_reasons", "see decision.json of its run")
        raise GateRefused(f"{what} did not pass the gate: {reasons}")
    if "tainted" in found.tags:
        raise GateRefused(f"{what} learned from a player who asked to be forgotten: choose a later version")
