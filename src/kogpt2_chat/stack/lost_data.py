"""A record of the servers that have data in this home, so that missing data is reported."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.ownership import write_file
from kogpt2_chat.stack.program import Program


def lost_data(folders: Folders, programs: Iterable[Program]) -> list[str]:
    """Return a line per server that had data in this home and has none now.

    Args:
        folders: the folders of the stack.
        programs: the programs that are about to start, before their folders are created.

    Returns:
        Lines that say what is missing, where it was, what that means and what to do.
    """
    recorded = _read(folders)
    return [
        f"{program.name}: its data is gone, expected {program.keeps}; it starts without data: {program.when_lost}"
        for program in programs
        if program.name in recorded and program.keeps is not None and not program.keeps.exists()
    ]


def record_data(folders: Folders, programs: Sequence[Program], progress: Callable[[str], None]) -> None:
    """Record which of these programs have data. A write error, e.g. a full disk, is only reported."""
    recorded = _read(folders)
    current = {program.name for program in programs if program.keeps is not None and program.keeps.exists()}
    if current <= recorded:
        return
    try:
        write_file(_file(folders), json.dumps(sorted(recorded | current)))
    except OSError as error:
        progress(f"{_file(folders)} cannot be written ({error.strerror}): lost data will not be reported")


def _read(folders: Folders) -> set[str]:
    try:
        return set(json.loads(_file(folders).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _file(folders: Folders) -> Path:
    return folders.run / "had_data.json"
