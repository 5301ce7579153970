"""Plain ASCII paths for folders whose own paths servers would misread.

Kafka reads its settings as Latin-1. Hadoop interprets the ``%`` of an escaped path as a format (and ``+`` is escaped
too). supervisor cuts a value at `` #`` and `` ;``. The path in an SQLite URL ends at ``?``. Korean user names
and folders with spaces are common here, so servers reach such a folder through a link with a plain path.
"""

import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.stack.ownership import ensure_own_folder

_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")
_MODE: Final = 0o711
"""Other users can enter (Elasticsearch runs as another user) but cannot list or change anything."""
_FUTURE_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""Modification time of every link. Cleaners such as systemd-tmpfiles(8) remove files from `/var/tmp` that were neither
changed nor used for 30 days, and a file system that is mounted with ``noatime`` does not record the use of a link."""


def links_folder() -> Path:
    """Return the folder for this user's links, in the temporary folder whose files are kept longest."""
    return Path("/var/tmp") / f"kogpt2-chat-links-{os.geteuid()}"  # noqa: S108 - checked by `ensure_own_folder`


def is_plain(path: Path) -> bool:
    """Return whether every server can read this path."""
    return _PLAIN.fullmatch(str(path)) is not None


def plain(path: Path) -> Path:
    """Return the path itself if it is plain, otherwise the path of the link to it. The file system is not accessed.

    Args:
        path: an absolute path without links.
    """
    return path if is_plain(path) else links_folder() / short_hash(path)


def link(path: Path) -> Path:
    """Make sure that the plain path of a folder points to it, and that cleaners of temporary folders keep the link.

    Args:
        path: an absolute path without links.

    Returns:
        The plain path.

    Raises:
        InvalidInput: another user owns the folder of links, or something else exists at the link's path.
    """
    alias = plain(path)
    if alias == path:
        return path
    ensure_own_folder(alias.parent, _MODE)
    if not alias.is_symlink():
        if alias.exists():
            raise InvalidInput(f"{alias} already exists, expected a link to {path}: remove it")
        alias.symlink_to(path)
    elif alias.readlink() != path:
        raise InvalidInput(f"{alias} points to {alias.readlink()}, expected {path}: remove it")
    os.utime(alias, (_FUTURE_S, _FUTURE_S), follow_symlinks=False)
    return alias


def unlink(path: Path) -> None:
    """Remove the link of a folder, if it has one."""
    alias = plain(path)
    if alias != path and alias.is_symlink():
        alias.unlink()


def short_hash(path: Path) -> str:
    """Return a short, stable name for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
