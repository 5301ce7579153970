"""Folders and files that are ours: never through a link that somebody else put there first.

A stack that was started as root writes below folders that others may write to: the system's temporary folders, and
those of the user that Elasticsearch runs as. Whoever made a link there would choose which file root overwrites.
"""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from kogpt2_chat.errors import InvalidInput


def own_folder(folder: Path, mode: int) -> None:
    """Have a folder that is ours: a real one, of this user, with this mode.

    Args:
        folder: below a folder that others may write to; made where it is missing.
        mode: permissions; nobody else may write.

    Raises:
        InvalidInput: somebody else's folder, or a link, is in its place.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        what = "a link" if stat.S_ISLNK(found.st_mode) else f"of user id {found.st_uid}"
        raise InvalidInput(
            f"{folder} is {what}, not a folder of user id {os.geteuid()}: somebody else made it, so nothing is "
            f"written there; remove it, or set KOGPT2_HOME to a folder that needs no place in {folder.parent}"
        )
    folder.chmod(mode)


def give_folder(folder: Path, mode: int, user: str = "") -> None:
    """Have a folder with this mode and owner.

    Args:
        folder: made where it is missing; a link only where it is ours, e.g. to another disk.
        mode: permissions.
        user: whose it becomes; this user's where empty.

    Raises:
        InvalidInput: somebody else's link, or no folder at all, is in its place.
    """
    follow = 0 if _is_our_link(folder) else os.O_NOFOLLOW
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | follow)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be used as a folder ({error.strerror}): if it is a link of another user, remove it"
        ) from error
    try:
        os.fchmod(descriptor, mode)
        _chown(descriptor, user)
    finally:
        os.close(descriptor)


def write_file(path: Path, text: str, user: str = "") -> None:
    """Write a file for one user alone, whole or not at all; a link in its place is replaced, never followed.

    Args:
        path: in a folder that is there.
        text: its content.
        user: whose it becomes; this user's where empty.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        _chown(descriptor, user)
    new.replace(path)


def _is_our_link(path: Path) -> bool:
    return path.is_symlink() and path.lstat().st_uid in {0, os.geteuid()}


def _chown(descriptor: int, user: str) -> None:
    if user:
        found = pwd.getpwnam(user)
        os.fchown(descriptor, found.pw_uid, found.pw_gid)
