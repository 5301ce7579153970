"""Recognise errors that are caused by a full disk, which libraries wrap in their own errors, and explain them."""

import errno
from typing import Final

_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WORDS: Final = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""What systems and libraries say if a disk of this machine is full."""
_HDFS_WORDS: Final = ("minReplication", "Failed to find datanode", "safe mode")
"""What HDFS says if its DataNodes have no space or are down, or if it is in safe mode."""


def names_full_disk(text: str) -> bool:
    """Check whether a text contains what systems and libraries say if a disk of this machine is full."""
    return any(words in text for words in _WORDS)


def hdfs_hint(text: str) -> str:
    """Return what to check if HDFS accepts no data.

    Args:
        text: an error message, or a log that may contain one.

    Returns:
        The end of an error message; empty if the text says nothing about it.
    """
    if not any(words in text for words in _HDFS_WORDS):
        return ""
    return "; its disk is full or its DataNodes are down: `kogpt2-chat status` shows which"


def full_disk(error: BaseException | None) -> str | None:
    """Return a message if a full disk of this machine caused this error, or one in its chain of causes.

    Args:
        error: as it was caught.

    Returns:
        A message, with the file if the error names one; None for any other error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = error.errno if isinstance(error, OSError) else None
        if code in _CODES or names_full_disk(str(error)):
            path = error.filename if isinstance(error, OSError) else None
            where = f": {path} cannot be written" if path else f" ({type(error).__name__}: {error})"
            return (
                f"the disk is full{where}. Free some space (`kogpt2-chat status` names the disk) and run the same "
                "command again: partly written files are not used"
            )
        error = error.__cause__ or error.__context__
    return None
