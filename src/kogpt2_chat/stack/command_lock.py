"""A lock, so that only one ``up`` or ``down`` of a home runs at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from kogpt2_chat.machine.locks import lock
from kogpt2_chat.stack.folders import Folders, make_folders


@contextmanager
def command_lock(folders: Folders, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of this home; wait while another command holds it.

    Args:
        folders: the folders of the stack; created here, because the previous command may have removed them.
        progress: called with a line if another command holds the lock.

    Raises:
        InvalidInput: the home cannot be written.
    """
    while True:
        make_folders(folders)
        try:
            handle = (folders.run / "command.lock").open("w")
        except FileNotFoundError:  # the home is being removed
            continue
        with handle:
            lock(handle, progress, "another stack command")
            os.set_inheritable(handle.fileno(), False)
            # `down --wipe` removes the lock file with the home. A command that waited has then locked a deleted file.
            if _is_current(folders, handle):
                yield
                return


def _is_current(folders: Folders, handle: TextIO) -> bool:
    try:
        return os.path.samestat((folders.run / "command.lock").stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
