"""The lake's file system over WebHDFS.

What the client library leaves to its caller is done here: time limits, retries while a DataNode or the
NameNode comes back, whole-file writes (written aside, measured, renamed over), and renames that neither
replace nor move *into* a folder that is already there.
"""

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import requests
from hdfs import HdfsError, InsecureClient

from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.full_disk import hdfs_hint
from kogpt2_chat.settings import Settings

T = TypeVar("T")
_CONNECT_TIMEOUT_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 5.0
_MISSING: Final = "FileNotFoundException"
_TAKEN: Final = "FileAlreadyExistsException"
# A refusal that a second request does not change; everything else may be a server on its way up or down.
_FINAL: Final = frozenset(
    {_MISSING, _TAKEN, "AccessControlException", "IllegalArgumentException", "InvalidPathException"}
)


class HdfsFiles:
    """Files and folders on HDFS; safe to use again after any error.

    What is not there raises :class:`NotFound`. A server that does not answer, or refuses, raises
    :class:`Unavailable` after the retries of the settings; what was there before is then still whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.webhdfs_url
        self._retries = settings.hdfs.retries
        self._client = InsecureClient(
            self._url,
            user=settings.hdfs.user,
            timeout=(_CONNECT_TIMEOUT_S, settings.hdfs.timeout_s),
            session=_session(settings),
        )

    def write(self, path: str, content: bytes) -> None:
        """Publish a whole file: written aside, its length checked, then renamed over the old one.

        Args:
            path: absolute path.
            content: all bytes.
        """
        folder, name = path.rsplit("/", 1)
        aside = f"{folder}/.{name}.{uuid.uuid4().hex}.writing"
        self._retry(lambda: self._write_aside(aside, content), f"write {path}")
        self._rename(aside, path, "OVERWRITE")

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Args:
            path: absolute path of a file.

        Returns:
            The content.
        """
        return self._retry(lambda: self._read_once(path), f"read {path}")

    def list(self, path: str) -> "list[str]":
        """Names in a folder, sorted; files that are being written are left out."""
        try:
            names: list[str] = self._retry(lambda: self._client.list(path), f"list {path}")
        except NotFound:
            return []
        return sorted(name for name in names if not name.endswith(".writing"))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return self._retry(lambda: self._client.status(path, strict=False), f"look at {path}") is not None

    def publish_folder(self, source: str, target: str) -> bool:
        """Rename a folder to its final name; False, and the source removed, when the name is taken.

        Args:
            source: a finished folder.
            target: its immutable name.

        Returns:
            Whether the folder is this one's.
        """
        parent = target.rsplit("/", 1)[0]
        self._retry(lambda: self._client.makedirs(parent), f"make folder {parent}")
        try:
            self._rename(source, target, "NONE")
        except FileExistsError:
            self.delete(source)
            return False
        return True

    def download(self, path: str, folder: Path) -> Path:
        """Copy a file or folder, whole, below a local folder.

        Args:
            path: file or folder on HDFS.
            folder: local folder; made when missing.

        Returns:
            Where the copy is; it replaces an older one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.rsplit("/", 1)[-1]
        aside = folder / f".{target.name}.{uuid.uuid4().hex}"
        try:
            self._copy(path, aside)
            _remove(target)
            aside.rename(target)
        finally:
            _remove(aside)
        return target

    def delete(self, path: str) -> None:
        """Remove a file or folder; nothing happens when there is none."""
        self._retry(lambda: self._client.delete(path, recursive=True), f"delete {path}")

    def _write_aside(self, aside: str, content: bytes) -> None:
        self._client.write(aside, data=content, overwrite=True)
        length = self._client.status(aside)["length"]
        if length != len(content):
            raise HdfsError(f"{length} of {len(content)} bytes arrived")

    def _read_once(self, path: str) -> bytes:
        with self._client.read(path) as reader:
            content: bytes = reader.read()
        return content

    def _rename(self, source: str, target: str, options: str) -> None:
        """The rename that the library does not offer: with options, it replaces a file or refuses a taken name."""
        attempts = 0

        def rename() -> None:
            nonlocal attempts
            attempts += 1
            try:
                # The library makes this method from the operation's name and passes parameters through.
                self._client._rename(source, destination=target, renameoptions=options)  # noqa: SLF001
            except HdfsError as error:
                if error.exception == _TAKEN or _TAKEN in error.message or "already exists" in error.message:
                    raise FileExistsError(target) from error
                lost_reply = error.exception == _MISSING and attempts > 1
                if not (lost_reply and self._client.status(target, strict=False)):
                    raise

        self._retry(rename, f"rename {source} to {target}")

    def _copy(self, path: str, target: Path) -> None:
        status = self._retry(lambda: self._client.status(path), f"look at {path}")
        if status["type"] == "FILE":
            target.write_bytes(self.read(path))
            return
        target.mkdir()
        for name in self.list(path):
            self._copy(f"{path}/{name}", target / name)

    def _retry(self, call: Callable[[], T], what: str) -> T:
        """Call until it works, with growing pauses; final refusals are not repeated."""
        delay_s = _FIRST_DELAY_S
        for left in reversed(range(self._retries + 1)):
            try:
                return call()
            except HdfsError as error:
                if error.exception == _MISSING or "does not exist" in error.message:
                    raise NotFound(f"HDFS {self._url}: cannot {what}: nothing there") from error
                if error.exception in _FINAL or not left:
                    raise Unavailable(
                        f"HDFS {self._url}: cannot {what}: {error.message}{hdfs_hint(error.message)}"
                    ) from error
            except (requests.RequestException, OSError) as error:
                if isinstance(error, FileExistsError):
                    raise
                if not left:
                    raise Unavailable(
                        f"HDFS {self._url}: cannot {what} after {self._retries + 1} attempts: {error}; is it running?"
                    ) from error
            time.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
        raise AssertionError("unreachable")


def _session(settings: Settings) -> requests.Session:
    session = requests.Session()
    if settings.hdfs.webhdfs_username:
        session.auth = (settings.hdfs.webhdfs_username, settings.hdfs.webhdfs_password.get_secret_value())
    return session


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
