"""The lake's file system in memory. The double passes the contract suite of :class:`kogpt2_chat.ports.Files`."""

import builtins
import shutil
from pathlib import Path

from kogpt2_chat.errors import NotFound


class InMemoryFiles:
    """Files by absolute path. A folder exists as long as it contains a file.

    Attributes:
        content_by_path: every file, for tests to inspect.
    """

    def __init__(self) -> None:
        self.content_by_path: dict[str, bytes] = {}

    def write(self, path: str, content: bytes) -> None:
        """See :meth:`kogpt2_chat.ports.Files.write`."""
        self.content_by_path[path] = content

    def read(self, path: str) -> bytes:
        """See :meth:`kogpt2_chat.ports.Files.read`."""
        if path not in self.content_by_path:
            raise NotFound(f"the lake has no file {path}")
        return self.content_by_path[path]

    def list(self, path: str) -> list[str]:
        """See :meth:`kogpt2_chat.ports.Files.list`."""
        prefix = _folder(path)
        return sorted({name.removeprefix(prefix).split("/")[0] for name in self._below(prefix)})

    def exists(self, path: str) -> bool:
        """See :meth:`kogpt2_chat.ports.Files.exists`."""
        return path in self.content_by_path or bool(self._below(_folder(path)))

    def publish_folder(self, source: str, target: str) -> bool:
        """See :meth:`kogpt2_chat.ports.Files.publish_folder`."""
        below = self._below(_folder(source))
        if not below:
            raise NotFound(f"the lake has no folder {source}")
        if self.exists(target):
            self.delete(source)
            return False
        for name in below:
            self.content_by_path[_folder(target) + name.removeprefix(_folder(source))] = self.content_by_path.pop(name)
        return True

    def download(self, path: str, folder: Path) -> Path:
        """See :meth:`kogpt2_chat.ports.Files.download`."""
        if not self.exists(path):
            raise NotFound(f"the lake has no file or folder {path}")
        target = folder / path.rsplit("/", 1)[-1]
        shutil.rmtree(target, ignore_errors=True)
        names = [path] if path in self.content_by_path else self._below(_folder(path))
        for name in names:
            local = target / name.removeprefix(path).lstrip("/") if name != path else target
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(self.content_by_path[name])
        return target

    def delete(self, path: str) -> None:
        """See :meth:`kogpt2_chat.ports.Files.delete`."""
        for name in [path, *self._below(_folder(path))]:
            self.content_by_path.pop(name, None)

    def _below(self, prefix: str) -> builtins.list[str]:
        return [name for name in self.content_by_path if name.startswith(prefix)]


def _folder(path: str) -> str:
    return path.rstrip("/") + "/"
