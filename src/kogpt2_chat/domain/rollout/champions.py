"""Compare the alias `champion` with the version published to the workers: an alias can be moved by hand."""

from collections.abc import Mapping


def alias_warnings(published: Mapping[str, int | None], aliases: Mapping[str, int | None]) -> list[str]:
    """Return a warning for each bot whose alias `champion` differs from the published version.

    Args:
        published: version published to the workers, by bot; None if the bot has none.
        aliases: version of the registry's alias `champion`, by bot; None if the alias does not exist.

    Returns:
        One sentence per differing bot: what differs, and what to do.
    """
    return [
        _sentence(bot, published[bot], alias)
        for bot, alias in aliases.items()
        if bot in published and published[bot] != alias
    ]


def _sentence(bot: str, published: int | None, alias: int | None) -> str:
    serves = "no version is published" if published is None else f"version {published} is published to the workers"
    names = (
        "MLflow has no alias `champion` for it" if alias is None else f"MLflow's alias `champion` is version {alias}"
    )
    remedies = [
        *([] if alias is None else [f"`kogpt2-chat rollout {bot} --version {alias}` publishes version {alias}"]),
        f"in MLflow's web page the alias can be {'removed' if published is None else f'set to version {published}'}",
    ]
    return (
        f"{bot}: {serves}, but {names}. Training and the gate use the alias; moving it by hand does not change the "
        f"version that answers players. To fix it: {'; or '.join(remedies)}. During a rollout the two differ "
        "briefly; after a rollback that could not reach MLflow, run the rollback again"
    )
