"""Which servers have kept data in this home, so that data which are gone are noticed and named."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.own import write_file
from kogpt2_chat.stack.program import Program


def lost(folders: Folders, programs: Iterable[Program]) -> list[str]:
    """A sentence for each server that was healthy here once and whose data are gone.

    Args:
        folders: of the stack.
        programs: those that are about to start, before their folders are made.

    Returns:
        What is gone, where it was, what it means and what to do.
    """
    had = _names(folders)
    return [
        f"{program.name}: its data are gone, expected {program.keeps}; it starts anew: {program.when_lost}"
        for program in programs
        if program.name in had and program.keeps is not None and not program.keeps.exists()
    ]


def remember(folders: Folders, programs: Sequence[Program], progress: Callable[[str], None]) -> None:
    """Note which of these have data by now; a disk that is full costs the note, and nothing else."""
    had = _names(folders)
    have = {program.name for program in programs if program.keeps is not None and program.keeps.exists()}
    if have <= had:
        return
    try:
        write_file(_file(folders), json.dumps(sorted(had | have)))
    except OSError as error:
        progress(f"{_file(folders)} cannot be written ({error.strerror}): data that are lost will not be noticed")


def _names(folders: Folders) -> set[str]:
    try:
        return set(json.loads(_file(folders).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _file(folders: Folders) -> Path:
    return folders.run / "had_data.json"
