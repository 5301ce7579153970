"""The lake's file system in memory; passes the contract suite of :class:`kogpt2_chat.ports.Files`."""

import builtins
import shutil
from pathlib import Path

from kogpt2_chat.errors import NotFound


class InMemoryFiles:
    """Files by absolute path; a folder is there while something is below it.

    Attributes:
        content_by_path: every file, for tests to look at.
    """

    def __init__(self) -> None:
        self.content_by_path: dict[str, bytes] = {}

    def write(self, path: str, content: bytes) -> None:
        """Publish a whole file."""
        self.content_by_path[path] = content

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Args:
            path: absolute path of a file.

        Returns:
            The content.

        Raises:
            NotFound: no such file.
        """
        if path not in self.content_by_path:
            raise NotFound(f"no file {path} in the lake")
        return self.content_by_path[path]

    def list(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        prefix = _folder(path)
        return sorted({name.removeprefix(prefix).split("/")[0] for name in self._below(prefix)})

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return path in self.content_by_path or bool(self._below(_folder(path)))

    def publish_folder(self, source: str, target: str) -> bool:
        """Rename a folder; False, and the source removed, when the name is taken."""
        below = self._below(_folder(source))
        if not below:
            raise NotFound(f"no folder {source} in the lake")
        if self.exists(target):
            self.delete(source)
            return False
        for name in below:
            self.content_by_path[_folder(target) + name.removeprefix(_folder(source))] = self.content_by_path.pop(name)
        return True

    def download(self, path: str, folder: Path) -> Path:
        """Copy a file or folder below a local folder.

        Args:
            path: file or folder in the lake.
            folder: local folder; made when missing.

        Returns:
            Where the copy is.

        Raises:
            NotFound: nothing at that path.
        """
        if not self.exists(path):
            raise NotFound(f"nothing at {path} in the lake")
        target = folder / path.rsplit("/", 1)[-1]
        shutil.rmtree(target, ignore_errors=True)
        names = [path] if path in self.content_by_path else self._below(_folder(path))
        for name in names:
            local = target / name.removeprefix(path).lstrip("/") if name != path else target
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(self.content_by_path[name])
        return target

    def delete(self, path: str) -> None:
        """Remove a file or folder."""
        for name in [path, *self._below(_folder(path))]:
            self.content_by_path.pop(name, None)

    def _below(self, prefix: str) -> builtins.list[str]:
        return [name for name in self.content_by_path if name.startswith(prefix)]


def _folder(path: str) -> str:
    return path.rstrip("/") + "/"
