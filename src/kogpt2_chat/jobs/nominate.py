"""Make a version that passed the gate the bot's candidate for rollout."""

from dataclasses import dataclass

from kogpt2_chat.errors import GateRefused
from kogpt2_chat.fleet.registered import require_pass
from kogpt2_chat.ports import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class NominateResult:
    """The outcome of a nomination.

    Attributes:
        bot: the bot.
        version: the version.
        nominated: False if the version is already the champion.
    """

    bot: str
    version: int
    nominated: bool


def nominate(*, bot: str, version: int, registry: Registry) -> NominateResult:
    """Set the alias ``candidate`` to a version that passed the gate.

    If the version is already the champion, nothing changes: a retry after its rollout must not make it a candidate
    again.

    Args:
        bot: the bot.
        version: the version to nominate.
        registry: the model registry.

    Returns:
        Whether the version was nominated.

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
    return NominateResult(bot=bot, version=version, nominated=nominated)
