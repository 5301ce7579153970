"""The worker with a folder instead of the registry: versions are fetched, verified and evicted as usual."""

import os
import shutil
from pathlib import Path
from typing import Final, cast

from kogpt2_chat.ports import Registry
from kogpt2_chat.settings import Settings
from serving.__main__ import run
from serving.app import WorkerParts

FOLDER: Final = "KOGPT2_BENCH_VERSIONS"


class FolderRegistry:
    """A registry of the folders ``FOLDER/BOT/VERSION``, with only the method that a worker calls."""

    def download(self, bot: str, version: int, folder: Path) -> Path:
        """Copy a version's folder."""
        return Path(shutil.copytree(Path(os.environ[FOLDER]) / bot / str(version), folder))


def _registry(_settings: Settings) -> Registry:
    return cast("Registry", FolderRegistry())  # a worker only downloads


if __name__ == "__main__":
    run(WorkerParts(registry=_registry))
