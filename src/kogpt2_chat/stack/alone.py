"""One ``up`` or ``down`` of a home at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from kogpt2_chat.machine.in_turn import take
from kogpt2_chat.stack.folders import Folders, make_folders


@contextmanager
def alone(folders: Folders, progress: Callable[[str], None]) -> Iterator[None]:
    """Wait for every other command of this home; its top folders are there then.

    Args:
        folders: of the stack; made here, because the command before may have removed them.
        progress: told that another one is at work.

    Raises:
        InvalidInput: the home cannot be ours.
    """
    while True:
        make_folders(folders)
        try:
            handle = (folders.run / "command.lock").open("w")
        except FileNotFoundError:  # the home is just being removed
            continue
        with handle:
            take(handle, progress, "another stack command")
            os.set_inheritable(handle.fileno(), False)
            # `down --wipe` removes the file with the home: who waited for it then holds a file that nobody sees.
            if _is_in_place(folders, handle):
                yield
                return


def _is_in_place(folders: Folders, handle: TextIO) -> bool:
    try:
        return os.path.samestat((folders.run / "command.lock").stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
