"""Local copies of registered versions, downloaded once and identified by their content.

The number alone does not identify a version: if a registry is lost, the numbers of the new one start at 1 again.
"""

import hashlib
import shutil
from pathlib import Path

from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.errors import CheckpointCorrupt, KogptChatError, NotFound, Unavailable
from kogpt2_chat.ports import Registry
from kogpt2_chat.settings import Settings


def local_version(bot: str, version: int, registry: Registry, settings: Settings) -> Path:
    """Return the folder of a version. Download it if there is no intact copy of the registered version.

    If the registry is not available or no longer has the version, an intact copy is used without comparing it.

    Args:
        bot: the bot's id.
        version: its number.
        registry: the registry.
        settings: contain the home folder.

    Returns:
        The folder. A download is not verified here: loading checks its hashes.
    """
    from kogpt2_chat.artifact.card import verify_folder

    folder = settings.home / "versions" / bot / str(version)
    if folder.exists():
        try:
            verify_folder(folder)
            if _matches_registry(folder, bot, version, registry):
                return folder
        except CheckpointCorrupt:
            pass
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return registry.download(bot, version, folder)


def version_digest(bot: str, version: int, registry: Registry) -> str:
    """Return the SHA-256 of a version's ``model.json``, which lists the hash of every other file.

    Args:
        bot: the bot's id.
        version: its number.
        registry: the registry.

    Returns:
        The digest; empty if the file cannot be read from the registry.
    """
    try:
        return _registered_digest(bot, version, registry)
    except KogptChatError:
        return ""


def _registered_digest(bot: str, version: int, registry: Registry) -> str:
    from kogpt2_chat.artifact.card import CARD_FILE

    return hashlib.sha256(registry.read_file(bot, version, f"{VERSION_PATH}/{CARD_FILE}")).hexdigest()


def _matches_registry(folder: Path, bot: str, version: int, registry: Registry) -> bool:
    from kogpt2_chat.artifact.card import CARD_FILE, file_sha256

    try:
        return file_sha256(folder / CARD_FILE) == _registered_digest(bot, version, registry)
    except (Unavailable, NotFound):
        return True
