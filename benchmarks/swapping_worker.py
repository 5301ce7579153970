"""The worker with a folder in the registry's place: versions are fetched, verified and cleared away as ever."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import serving.__main__ as daemon
from kogpt2_chat import bootstrap

FOLDER: Final = "KOGPT2_BENCH_VERSIONS"


class FolderRegistry:
    """``FOLDER/BOT/VERSION``; only what a worker asks of a registry."""

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Copy a version, whole."""
        return Path(shutil.copytree(Path(os.environ[FOLDER]) / bot / str(version), folder))


def _registry(_settings: object) -> Any:
    return FolderRegistry()


if __name__ == "__main__":
    bootstrap.registry = _registry  # type: ignore[assignment]  # a worker asks it for downloads only
    sys.exit(daemon.main())
