"""Whether the alias `champion` names the version that workers were told to speak with; somebody may have moved it."""

from collections.abc import Mapping


def alias_warnings(told: Mapping[str, int | None], aliases: Mapping[str, int | None]) -> list[str]:
    """Where the two differ, and what to do.

    Args:
        told: by bot, the version that the workers were told; None where none was.
        aliases: by bot, the version that the registry's alias `champion` names; None where there is no such alias.

    Returns:
        A sentence for each bot whose alias is another version than the one that was told.
    """
    return [_sentence(bot, told[bot], alias) for bot, alias in aliases.items() if bot in told and told[bot] != alias]


def _sentence(bot: str, told: int | None, alias: int | None) -> str:
    speaks = "no version speaks" if told is None else f"version {told} speaks"
    names = (
        "there is no alias `champion` in MLflow" if alias is None else f"MLflow's alias `champion` is version {alias}"
    )
    remedies = [
        *([] if alias is None else [f"`kogpt2-chat rollout {bot} --version {alias}` lets version {alias} speak"]),
        f"on MLflow's page the alias can be {'removed' if told is None else f'put back to version {told}'}",
    ]
    return (
        f"{bot}: {speaks}, but {names}. Training and the gate go by the alias, and moving it by hand changes nothing "
        f"that players hear: {'; or '.join(remedies)}. While a rollout is at work this is so for a moment; after a "
        "rollback that could not reach MLflow, roll back once more"
    )
