"""Where one stack keeps what on disk. Two stacks in two homes share nothing but the jars."""

import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.own import own_folder
from kogpt2_chat.stack.plain_path import link, plain, short_hash, unlink

SOCKET_PATH_LIMIT: Final = 100
"""Unix sockets have at most 107 bytes of path on Linux (unix(7)), 103 on macOS."""

_SERVERS: Final = ("conf", "data", "logs", "run", "airflow")
_JOBS: Final = ("models", "datasets", "versions", "training", "base", "demo")
"""What workers, jobs and the demo keep in the home: copies of what the servers hold, and which base it began with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """The folders of one stack.

    Attributes:
        home: absolute path of everything this stack keeps.
        open_home: where the server that refuses root keeps its own; the same as ``home`` where its user can get in.

    All paths that servers are told begin with the home's plain address: itself, or a link that stands for it.
    """

    home: Path
    open_home: Path

    @property
    def plain_home(self) -> Path:
        """The home by an address that every server understands."""
        return plain(self.home)

    @property
    def logs(self) -> Path:
        """One log file a program, and Airflow's task logs."""
        return self.plain_home / "logs"

    @property
    def run(self) -> Path:
        """Pid file, supervisor's own configuration and the command lock."""
        return self.plain_home / "run"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.plain_home / "airflow"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; in the temporary folder where the home's path is too long for one."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        return Path("/tmp") / f"kogpt2-chat-{os.geteuid()}" / f"{short_hash(self.home)}.sock"  # noqa: S108

    def conf(self, name: str, *, open_to_user: bool = False) -> Path:
        """Configuration of one program."""
        return plain(self.open_home if open_to_user else self.home) / "conf" / name

    def data(self, name: str, *, open_to_user: bool = False) -> Path:
        """Data of one program."""
        return plain(self.open_home if open_to_user else self.home) / "data" / name

    def log(self, name: str) -> Path:
        """Log file of one program."""
        return self.logs / f"{name}.log"


def folders_of(settings: Settings) -> Folders:
    """The folders of the stack that these settings describe."""
    home = settings.home.resolve()
    closed = os.geteuid() == 0 and not others_can_enter(home)
    return Folders(home=home, open_home=Path("/var/tmp") / f"kogpt2-chat-{short_hash(home)}" if closed else home)  # noqa: S108


def others_can_enter(folder: Path) -> bool:
    """Whether any user may pass through the folder's existing ancestors (the folder itself is ours to open)."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.parents if parent.exists())


def make_folders(folders: Folders) -> None:
    """Create the top folders: passable for all, readable for us alone.

    Args:
        folders: of the stack.

    Raises:
        InvalidInput: the home, or the fallback for long socket paths, cannot be ours.
    """
    try:
        folders.home.mkdir(parents=True, exist_ok=True)
        link(folders.home)
        if folders.open_home != folders.home:
            own_folder(folders.open_home, 0o711)
        for folder in {folders.home, folders.open_home}:
            for path in (folder, folder / "conf", folder / "data"):
                path.mkdir(exist_ok=True)
                path.chmod(0o711)
        for path in (folders.logs, folders.run, folders.airflow):
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)
        if folders.socket.parent != folders.run:
            own_folder(folders.socket.parent, 0o700)
    except OSError as error:
        raise InvalidInput(
            f"the stack's home {folders.home} cannot be written: {error}; set KOGPT2_HOME to a folder of yours"
        ) from error


def remove_all(folders: Folders) -> list[Path]:
    """Remove what the platform keeps in the home, and the home when nothing else is in it.

    What a link leads to, e.g. another disk, is not touched: nobody here knows what else is there.

    Returns:
        What stays: links that lead elsewhere, and what could not be removed, e.g. because another user's files are in
        it.
    """
    ours = [folders.home / name for name in (*_SERVERS, *_JOBS)]
    if folders.open_home != folders.home:
        ours.append(folders.open_home)
    links = [link for path in ours for link in _links_elsewhere(path)]
    for path in ours:
        _remove(path, links)
    folders.socket.unlink(missing_ok=True)
    left = links + [path for path in ours if path.exists() and not _has_one_of(path, links)]
    if not left:
        unlink(folders.home)
    with suppress(OSError):
        folders.home.rmdir()
    return left


def _links_elsewhere(path: Path) -> list[Path]:
    """Links in a folder, or in its place, through which a server may have kept its data elsewhere."""
    if path.is_symlink():
        return [path]
    there = (Path(folder) / name for folder, names, files in os.walk(path) for name in (*names, *files))
    return [one for one in there if one.is_symlink() and not one.is_file() and not one.resolve().is_relative_to(path)]


def _remove(path: Path, links: Collection[Path]) -> None:
    """Remove a file or folder but for these links."""
    if path in links:
        return
    if _has_one_of(path, links):
        for child in path.iterdir():
            _remove(child, links)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _has_one_of(path: Path, links: Iterable[Path]) -> bool:
    return any(link.is_relative_to(path) for link in links)
