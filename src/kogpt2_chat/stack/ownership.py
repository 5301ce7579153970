"""Create folders and files without following a link that another user has put in their place.

A stack that is started as root writes below folders that other users can write to: the system's temporary folders,
and the folders of the user that Elasticsearch runs as. With a link there, that user could choose which file root
overwrites.
"""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from kogpt2_chat.errors import InvalidInput


def ensure_own_folder(folder: Path, mode: int) -> None:
    """Make sure that a folder exists, is owned by this user, is not a link, and has this mode.

    Args:
        folder: a folder whose parent other users may write to; created if it is missing.
        mode: permissions; must not let other users write.

    Raises:
        InvalidInput: the path is a link or not a folder, or belongs to another user.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        what = "a link" if stat.S_ISLNK(found.st_mode) else f"owned by user id {found.st_uid}"
        raise InvalidInput(
            f"{folder} is {what}, expected a folder owned by user id {os.geteuid()}: for safety nothing is written "
            f"there; remove it, or set KOGPT2_HOME to a folder that does not need {folder.parent}"
        )
    folder.chmod(mode)


def ensure_folder(folder: Path, mode: int, user: str = "") -> None:
    """Make sure that a folder exists and has this mode and owner.

    Args:
        folder: created if it is missing. A link, e.g. to another disk, is followed only if this user or root owns it.
        mode: permissions.
        user: the new owner; empty for this user.

    Raises:
        InvalidInput: the path is another user's link, or not a folder.
    """
    no_follow = 0 if _is_trusted_link(folder) else os.O_NOFOLLOW
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | no_follow)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be used as a folder ({error.strerror}): if it is another user's link, remove it"
        ) from error
    try:
        os.fchmod(descriptor, mode)
        _chown(descriptor, user)
    finally:
        os.close(descriptor)


def write_file(path: Path, text: str, user: str = "") -> None:
    """Write a file atomically, readable only by its owner. An existing link is replaced, not followed.

    Args:
        path: a path in an existing folder.
        text: the content.
        user: the owner; empty for this user.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        _chown(descriptor, user)
    new.replace(path)


def _is_trusted_link(path: Path) -> bool:
    return path.is_symlink() and path.lstat().st_uid in {0, os.geteuid()}


def _chown(descriptor: int, user: str) -> None:
    if user:
        found = pwd.getpwnam(user)
        os.fchown(descriptor, found.pw_uid, found.pw_gid)
