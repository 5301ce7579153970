"""Register a finished run as a version of its bot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput
from kogpt2_chat.lake.describe_version import describe_version
from kogpt2_chat.ports import Files, Registry
from kogpt2_chat.settings import Settings

TAGS: Final = ("base", "base_sha", "licence", "dataset", "git_commit", "parent", "small")
"""Fields of ``model.json`` that become tags of the version, so that they are visible in the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResult:
    """A registered version.

    Attributes:
        bot: the bot.
        version: number of the version.
        run_id: the run that trained it.
        tags: its tags from ``model.json``.
    """

    bot: str
    version: int
    run_id: str
    tags: Mapping[str, str]


def register(*, bot: str, run_id: str, registry: Registry, files: Files, settings: Settings) -> RegisterResult:
    """Register a run's model as the bot's next version. Registering the same run again returns the same version.

    Every trained model becomes a version, whether or not it will pass the gate. The licence of the base model is one of
    its tags. Its description is a model card with the part on its data; the gate adds the rest.

    Args:
        bot: the bot.
        run_id: the run of a finished fine-tuning.
        registry: the model registry.
        files: the lake, for the manifest of the run's dataset.
        settings: name the lake's root.

    Returns:
        The version.

    Raises:
        InvalidInput: the run trained another bot. The version exists, but is permanently refused.
        CheckpointCorrupt: ``model.json`` of the run is not a JSON object.
    """
    version = registry.add_version(bot, run_id, VERSION_PATH, {})
    card = _card(registry.read_file(bot, version, f"{VERSION_PATH}/model.json"), f"{bot} version {version}")
    if card.get("bot", bot) != bot:
        why = f"run {run_id} trained {card['bot']}, not {bot}"
        registry.tag(bot, version, {"gate_reasons": why, "gate": "refused"})
        raise InvalidInput(f"{why}: register it for {card['bot']}. {bot} version {version} was created and is refused")
    tags = {name: _text(card[name]) for name in TAGS if card.get(name) not in (None, "")}
    registry.tag(bot, version, tags)
    found = registry.get(bot, version)
    if "gate" not in found.tags:  # otherwise the description already has the gate's part
        describe_version(found, registry, files, settings.hdfs.root)
    return RegisterResult(bot=bot, version=version, run_id=run_id, tags=tags)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _card(content: bytes, what: str) -> dict[str, object]:
    try:
        card = json.loads(content)
    except ValueError as error:
        raise CheckpointCorrupt(f"model.json of {what} is not valid JSON: train again ({error})") from error
    if not isinstance(card, dict):
        raise CheckpointCorrupt(f"model.json of {what} must be an object, found {type(card).__name__}: train again")
    return card
