"""An address of plain ASCII for any folder: what a server is told of paths that it would not understand.

Kafka reads its settings as Latin-1, Hadoop takes the ``%`` of an escaped address for a format (and ``+`` is escaped
too), supervisor cuts a value at `` #`` and `` ;``, and SQLite addresses end at ``?``. Korean user names and folders
with spaces are the usual case here, so a link of ours stands for such a folder.
"""

import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.stack.own import own_folder

_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")
_MODE: Final = 0o711
"""Others may pass (Elasticsearch has a user of its own), and see or change nothing."""
_FUTURE_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""Modification time of every link. Cleaners such as systemd-tmpfiles(8) remove what has not changed or been used for 30
days from ``/var/tmp``, and a file system that is mounted with ``noatime`` does not record that a link was followed."""


def links_folder() -> Path:
    """Where the links of this user are: in the temporary folder that is kept longest."""
    return Path("/var/tmp") / f"kogpt2-chat-links-{os.geteuid()}"  # noqa: S108 - checked by `own_folder`


def is_plain(path: Path) -> bool:
    """Whether every server understands this path as it is."""
    return _PLAIN.fullmatch(str(path)) is not None


def plain(path: Path) -> Path:
    """The path itself, or that of the link which stands for it; nothing is made or looked at.

    Args:
        path: absolute, without links.
    """
    return path if is_plain(path) else links_folder() / short_hash(path)


def link(path: Path) -> Path:
    """Make sure that the plain address of a folder leads there, and that cleaners of temporary folders keep it.

    Args:
        path: absolute, without links.

    Returns:
        The plain address.

    Raises:
        InvalidInput: the folder of links is not ours, or something else is in the link's place.
    """
    address = plain(path)
    if address == path:
        return path
    own_folder(address.parent, _MODE)
    if not address.is_symlink():
        if address.exists():
            raise InvalidInput(f"{address} is in the way of a link to {path}: remove it")
        address.symlink_to(path)
    elif address.readlink() != path:
        raise InvalidInput(f"{address} leads to {address.readlink()}, expected {path}: remove it")
    os.utime(address, (_FUTURE_S, _FUTURE_S), follow_symlinks=False)
    return address


def unlink(path: Path) -> None:
    """Remove the link of a folder, if it has one."""
    address = plain(path)
    if address != path and address.is_symlink():
        address.unlink()


def short_hash(path: Path) -> str:
    """A short, stable name for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
