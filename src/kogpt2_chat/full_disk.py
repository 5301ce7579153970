"""Is a full disk behind an error? Libraries wrap that in errors of their own, and one sentence is to be said of it."""

import errno
from typing import Final

_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_DISK_WORDS: Final = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""As systems and libraries say it of a disk of this machine."""
HDFS_TAKES_NOTHING: Final = ("minReplication", "Failed to find datanode", "safe mode")
"""As HDFS says it where its DataNodes have no room or are away, or the NameNode's own disk has none."""


def full_disk(error: BaseException | None) -> str | None:
    """What to say when this error, or one behind it, is that of a full disk of this machine.

    Args:
        error: as it arrived.

    Returns:
        A sentence that names the file where the error does, or None for any other error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = error.errno if isinstance(error, OSError) else None
        if code in _CODES or any(word in str(error) for word in FULL_DISK_WORDS):
            place = error.filename if isinstance(error, OSError) else None
            where = f": {place} cannot be written" if place else f" ({type(error).__name__}: {error})"
            return (
                f"the disk is full{where}. Make room (`kogpt2-chat status` names the disk) and run the same command "
                "again: what was half written is not used"
            )
        error = error.__cause__ or error.__context__
    return None
