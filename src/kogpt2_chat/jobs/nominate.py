"""Make a version that passed the gate the bot's candidate."""

from kogpt2_chat.errors import GateRefused
from kogpt2_chat.ports import ModelVersion, Registry


def nominate(*, bot: str, version: int, registry: Registry) -> dict[str, object]:
    """Move the alias ``candidate`` to a version, if the gate let it pass.

    A version that is champion already is left where it is: a retry after its rollout must not bring it
    back as a candidate.

    Args:
        bot: the bot.
        version: the version to nominate.
        registry: where versions live.

    Returns:
        ``bot``, ``version`` and ``nominated`` (False when it is champion already).

    Raises:
        GateRefused: the version did not pass the gate, or was rolled back before.
    """
    found = registry.get(bot, version)
    require_pass(found)
    if "rolled_back" in found.tags:
        raise GateRefused(
            f"{bot} version {version} was rolled back at {found.tags['rolled_back']}: only a person may bring it "
            f"back, with `kogpt2-chat rollout {bot} --version {version}`"
        )
    nominated = "champion" not in found.aliases
    if nominated:
        registry.set_alias(bot, "candidate", version)
    return {"bot": bot, "version": version, "nominated": nominated}


def require_pass(found: ModelVersion) -> None:
    """Let only a version through that passed the gate and has not been tainted since.

    Args:
        found: the version as it stands in the registry.

    Raises:
        GateRefused: the gate has not seen it, or refused it, or it learned from a player who was forgotten.
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
