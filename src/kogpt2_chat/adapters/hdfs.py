"""The lake's file system over WebHDFS.

Adds what the client library lacks: timeouts, retries while a DataNode or the NameNode restarts, atomic file writes
(write a temporary file, check its length, rename it), and folder renames that neither replace an existing folder nor
move *into* it.
"""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import requests
from hdfs import HdfsError, InsecureClient

from kogpt2_chat.adapters.retry import call_with_retries
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.machine.full_disk import hdfs_hint
from kogpt2_chat.settings import Settings

T = TypeVar("T")
_CONNECT_TIMEOUT_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 5.0
_MISSING: Final = "FileNotFoundException"
_TAKEN: Final = "FileAlreadyExistsException"
# Errors that a retry does not change; any other may come from a server that is starting or stopping.
_FINAL_ERRORS: Final = frozenset(
    {_MISSING, _TAKEN, "AccessControlException", "IllegalArgumentException", "InvalidPathException"}
)


class HdfsFiles:
    """Files and folders on HDFS. An instance stays usable after any error.

    A missing path raises :class:`NotFound`. If the server does not answer, :class:`Unavailable` is raised after the
    configured retries; if it refuses the request, immediately. Existing files are then unchanged.
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
        """Write a temporary file, check its length, rename it over the old one."""
        folder, name = path.rsplit("/", 1)
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.writing"
        self._retry(lambda: self._write_temporary(temporary, content), f"write {path}")
        self._rename(temporary, path, "OVERWRITE")

    def read(self, path: str) -> bytes:
        """See :meth:`kogpt2_chat.ports.Files.read`."""
        return self._retry(lambda: self._read_once(path), f"read {path}")

    def list(self, path: str) -> "list[str]":
        """Return the names in a folder, sorted, without files that are still being written."""
        try:
            names: list[str] = self._retry(lambda: self._client.list(path), f"list {path}")
        except NotFound:
            return []
        return sorted(name for name in names if not name.endswith(".writing"))

    def exists(self, path: str) -> bool:
        """See :meth:`kogpt2_chat.ports.Files.exists`."""
        return self._retry(lambda: self._client.status(path, strict=False), f"read the status of {path}") is not None

    def publish_folder(self, source: str, target: str) -> bool:
        """See :meth:`kogpt2_chat.ports.Files.publish_folder`."""
        parent = target.rsplit("/", 1)[0]
        self._retry(lambda: self._client.makedirs(parent), f"create folder {parent}")
        try:
            self._rename(source, target, "NONE")
        except FileExistsError:
            self.delete(source)
            return False
        return True

    def download(self, path: str, folder: Path) -> Path:
        """See :meth:`kogpt2_chat.ports.Files.download`; an older copy is replaced only by a complete one."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.rsplit("/", 1)[-1]
        temporary = folder / f".{target.name}.{uuid.uuid4().hex}"
        try:
            self._copy(path, temporary)
            _remove(target)
            temporary.rename(target)
        finally:
            _remove(temporary)
        return target

    def delete(self, path: str) -> None:
        """See :meth:`kogpt2_chat.ports.Files.delete`."""
        self._retry(lambda: self._client.delete(path, recursive=True), f"delete {path}")

    def _write_temporary(self, temporary: str, content: bytes) -> None:
        self._client.write(temporary, data=content, overwrite=True)
        length = self._client.status(temporary)["length"]
        if length != len(content):
            raise HdfsError(f"{length} of {len(content)} bytes arrived")

    def _read_once(self, path: str) -> bytes:
        with self._client.read(path) as reader:
            content: bytes = reader.read()
        return content

    def _rename(self, source: str, target: str, options: str) -> None:
        """Rename with WebHDFS options, which the library does not offer: replace a file, or fail if the name exists."""
        attempts = 0

        def rename() -> None:
            nonlocal attempts
            attempts += 1
            try:
                # The library generates this method from the operation's name and passes parameters through.
                self._client._rename(source, destination=target, renameoptions=options)  # noqa: SLF001
            except HdfsError as error:
                if error.exception == _TAKEN or _TAKEN in error.message or "already exists" in error.message:
                    raise FileExistsError(target) from error
                lost_reply = error.exception == _MISSING and attempts > 1
                if not (lost_reply and self._client.status(target, strict=False)):
                    raise

        self._retry(rename, f"rename {source} to {target}")

    def _copy(self, path: str, target: Path) -> None:
        status = self._retry(lambda: self._client.status(path), f"read the status of {path}")
        if status["type"] == "FILE":
            target.write_bytes(self.read(path))
            return
        target.mkdir()
        for name in self.list(path):
            self._copy(f"{path}/{name}", target / name)

    def _retry(self, call: Callable[[], T], what: str) -> T:
        """Call until a call succeeds or the retries run out, with growing pauses; raise final errors immediately."""
        try:
            return call_with_retries(
                call,
                is_transient=_is_transient,
                attempts=self._retries + 1,
                first_delay_s=_FIRST_DELAY_S,
                longest_delay_s=_LONGEST_DELAY_S,
            )
        except HdfsError as error:
            if _is_missing(error):
                raise NotFound(f"HDFS {self._url}: cannot {what}: the path does not exist") from error
            hint = hdfs_hint(error.message)
            raise Unavailable(f"HDFS {self._url}: cannot {what}: {error.message}{hint}") from error
        except FileExistsError:
            raise
        except OSError as error:
            raise Unavailable(
                f"HDFS {self._url}: cannot {what} after {self._retries + 1} attempts: {error}; is it running?"
            ) from error


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, HdfsError):
        return not _is_missing(error) and error.exception not in _FINAL_ERRORS
    # The errors of requests are OSErrors.
    return isinstance(error, OSError) and not isinstance(error, FileExistsError)


def _is_missing(error: HdfsError) -> bool:
    return error.exception == _MISSING or "does not exist" in error.message


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
