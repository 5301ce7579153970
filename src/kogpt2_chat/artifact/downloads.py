"""A registered version's files on this machine, fetched once, and known by their content.

Its number alone does not name a version: in a registry that was lost, numbers begin at 1 again.
"""

import hashlib
import shutil
from pathlib import Path

from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.errors import CheckpointCorrupt, KogptChatError, NotFound, Unavailable
from kogpt2_chat.ports import Registry
from kogpt2_chat.settings import Settings


def local_version(bot: str, version: int, registry: Registry, settings: Settings) -> Path:
    """The folder of a version; a whole copy of what the registry has is kept, any other is fetched again.

    Where the registry is away, or knows the version no more, a whole copy has to do.

    Args:
        bot: whose.
        version: its number.
        registry: where it lives.
        settings: where the home folder is.

    Returns:
        The folder, whether or not its hashes hold: loading checks that.
    """
    from kogpt2_chat.artifact.card import verify_folder

    folder = settings.home / "versions" / bot / str(version)
    if folder.exists():
        try:
            verify_folder(folder)
            if _is_what_is_registered(folder, bot, version, registry):
                return folder
        except CheckpointCorrupt:
            pass
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return registry.download(bot, version, folder)


def version_digest(bot: str, version: int, registry: Registry) -> str:
    """SHA-256 of a version's ``model.json``, which lists the hash of every other file.

    Args:
        bot: whose.
        version: its number.
        registry: where it lives.

    Returns:
        The digest; empty where the registry cannot say.
    """
    try:
        return _registered(bot, version, registry)
    except KogptChatError:
        return ""


def _registered(bot: str, version: int, registry: Registry) -> str:
    from kogpt2_chat.artifact.card import CARD_FILE

    return hashlib.sha256(registry.read_file(bot, version, f"{VERSION_PATH}/{CARD_FILE}")).hexdigest()


def _is_what_is_registered(folder: Path, bot: str, version: int, registry: Registry) -> bool:
    from kogpt2_chat.artifact.card import CARD_FILE, file_sha256

    try:
        return file_sha256(folder / CARD_FILE) == _registered(bot, version, registry)
    except (Unavailable, NotFound):
        return True
