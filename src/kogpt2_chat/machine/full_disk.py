"""Recognise errors caused by a full disk, which libraries wrap in their own errors, and explain them to the user."""

import errno
from typing import Final

_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MESSAGES: Final = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""Messages of operating systems and libraries if a disk of this machine is full."""
_HDFS_MESSAGES: Final = ("minReplication", "Failed to find datanode", "safe mode")
"""Messages of HDFS if its DataNodes have no space or are down, or if it is in safe mode."""


def mentions_full_disk(text: str) -> bool:
    """Check whether a text contains a message about a full disk of this machine."""
    return any(message in text for message in _MESSAGES)


def hdfs_hint(text: str) -> str:
    """Return a hint for the user if HDFS accepts no data.

    Args:
        text: an error message, or a log that may contain one.

    Returns:
        A hint to append to an error message; empty if the text does not come from this problem.
    """
    if not any(message in text for message in _HDFS_MESSAGES):
        return ""
    return "; its disk is full or its DataNodes are down: `kogpt2-chat status` shows which"


def full_disk(error: BaseException | None) -> str | None:
    """Return a message if a full disk of this machine caused an error, or an error in its chain of causes.

    Args:
        error: the caught error.

    Returns:
        A message, with the file if the error names one; None for any other error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = error.errno if isinstance(error, OSError) else None
        if code in _CODES or mentions_full_disk(str(error)):
            path = error.filename if isinstance(error, OSError) else None
            where = f": {path} cannot be written" if path else f" ({type(error).__name__}: {error})"
            return (
                f"the disk is full{where}. Free some space (`kogpt2-chat status` names the disk) and run the same "
                "command again: partly written files are not used"
            )
        error = error.__cause__ or error.__context__
    return None
