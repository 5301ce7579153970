"""The folders of one stack on disk. Two stacks with different homes share only the cache."""

import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.ownership import ensure_own_folder
from kogpt2_chat.stack.plain_path import link, plain, short_hash, unlink

SOCKET_PATH_LIMIT: Final = 100
"""In bytes. The path of a Unix socket has at most 107 bytes on Linux (unix(7)) and 103 on macOS."""

_SERVERS: Final = ("conf", "data", "logs", "run", "airflow", "world")
_JOBS: Final = ("models", "datasets", "versions", "training", "base", "demo")
"""Folders of workers, jobs and the demo in the home: local copies of the servers' data, and the base in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """The folders of one stack.

    All paths passed to servers start with the plain path of the home: the home itself, or a link to it.

    Attributes:
        home: the absolute path of the home.
        open_home: the folder for the server that refuses to run as root; equal to ``home`` if that server's user can
            enter it.
    """

    home: Path
    open_home: Path

    @property
    def plain_home(self) -> Path:
        """The home under a path that every server can read."""
        return plain(self.home)

    @property
    def logs(self) -> Path:
        """The folder with one log file per program, and Airflow's task logs."""
        return self.plain_home / "logs"

    @property
    def run(self) -> Path:
        """The folder for the pid file, the supervisor's configuration and the command lock."""
        return self.plain_home / "run"

    @property
    def airflow(self) -> Path:
        """The folder for AIRFLOW_HOME."""
        return self.plain_home / "airflow"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; in the temporary folder if the home's path is too long for a socket."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        return Path("/tmp") / f"kogpt2-chat-{os.geteuid()}" / f"{short_hash(self.home)}.sock"  # noqa: S108

    def conf(self, name: str, *, open_to_user: bool = False) -> Path:
        """Return the configuration folder of a program."""
        return plain(self.open_home if open_to_user else self.home) / "conf" / name

    def data(self, name: str, *, open_to_user: bool = False) -> Path:
        """Return the data folder of a program."""
        return plain(self.open_home if open_to_user else self.home) / "data" / name

    def log(self, name: str) -> Path:
        """Return the log file of a program."""
        return self.logs / f"{name}.log"


def folders_of(settings: Settings) -> Folders:
    """Return the folders of the stack with these settings."""
    home = settings.home.resolve()
    closed = os.geteuid() == 0 and not others_can_enter(home)
    return Folders(home=home, open_home=Path("/var/tmp") / f"kogpt2-chat-{short_hash(home)}" if closed else home)  # noqa: S108


def others_can_enter(folder: Path) -> bool:
    """Return whether all users can enter the folder's existing parents; the folder itself is not checked."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.parents if parent.exists())


def make_folders(folders: Folders) -> None:
    """Create the top folders. Other users can enter some of them but cannot list any.

    Args:
        folders: the folders of the stack.

    Raises:
        InvalidInput: the home cannot be written, or another user owns a folder that is needed outside the home.
    """
    try:
        folders.home.mkdir(parents=True, exist_ok=True)
        link(folders.home)
        if folders.open_home != folders.home:
            ensure_own_folder(folders.open_home, 0o711)
        for folder in {folders.home, folders.open_home}:
            for path in (folder, folder / "conf", folder / "data"):
                path.mkdir(exist_ok=True)
                path.chmod(0o711)
        for path in (folders.logs, folders.run, folders.airflow):
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)
        if folders.socket.parent != folders.run:
            ensure_own_folder(folders.socket.parent, 0o700)
    except OSError as error:
        raise InvalidInput(
            f"the stack's home {folders.home} cannot be written: {error}; set KOGPT2_HOME to a folder that you own"
        ) from error


def remove_all(folders: Folders) -> list[Path]:
    """Remove the platform's data from the home, and then the home itself if it is empty.

    The target of a link, e.g. a folder on another disk, is not touched, because it may contain other data.

    Returns:
        The remaining paths: links that point outside, and folders that could not be removed, e.g. because another user
        owns files in them.
    """
    ours = [folders.home / name for name in (*_SERVERS, *_JOBS)]
    if folders.open_home != folders.home:
        ours.append(folders.open_home)
    links = [link for path in ours for link in _links_elsewhere(path)]
    for path in ours:
        _remove(path, links)
    folders.socket.unlink(missing_ok=True)
    remaining = links + [path for path in ours if path.exists() and not _contains_any(path, links)]
    if not remaining:
        unlink(folders.home)
    with suppress(OSError):
        folders.home.rmdir()
    return remaining


def _links_elsewhere(path: Path) -> list[Path]:
    """Return the links in a folder, or the folder itself if it is a link, that point to folders outside it."""
    if path.is_symlink():
        return [path]
    entries = (Path(folder) / name for folder, names, files in os.walk(path) for name in (*names, *files))
    return [one for one in entries if one.is_symlink() and not one.is_file() and not one.resolve().is_relative_to(path)]


def _remove(path: Path, links: Collection[Path]) -> None:
    """Remove a file or folder, except for these links."""
    if path in links:
        return
    if _contains_any(path, links):
        for child in path.iterdir():
            _remove(child, links)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _contains_any(path: Path, links: Iterable[Path]) -> bool:
    return any(link.is_relative_to(path) for link in links)
