"""A registered version's files on this machine, fetched once."""

import shutil
from pathlib import Path

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.ports import Registry
from kogpt2_chat.settings import Settings


def local_version(bot: str, version: int, registry: Registry, settings: Settings) -> Path:
    """The folder of a version; a whole copy is kept, a damaged one is fetched again.

    Args:
        bot: whose.
        version: its number.
        registry: where it lives.
        settings: where the home folder is.

    Returns:
        The folder, whether or not its hashes hold: loading checks that.
    """
    from kogpt2_chat.model.card import verify_folder

    folder = settings.home / "versions" / bot / str(version)
    if folder.exists():
        try:
            verify_folder(folder)
        except CheckpointCorrupt:
            shutil.rmtree(folder)
        else:
            return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    return registry.download(bot, version, folder)
