"""Is a full disk behind an error? Libraries wrap that in errors of their own, and one sentence is to be said of it."""

import errno
from typing import Final

_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WORDS: Final = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_HDFS_WORDS: Final = ("minReplication", "Failed to find datanode", "safe mode")


def names_full_disk(text: str) -> bool:
    """Whether a text holds what systems and libraries say of a full disk of this machine."""
    return any(words in text for words in _WORDS)


def hdfs_hint(text: str) -> str:
    """What to look at when HDFS takes no block, or may not be changed; empty for any other text of HDFS.

    Args:
        text: an error, or a log that holds one.
    """
    if not any(words in text for words in _HDFS_WORDS):
        return ""
    return "; its disk is full, or its DataNodes are away: `kogpt2-chat status` says which"


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
        if code in _CODES or names_full_disk(str(error)):
            place = error.filename if isinstance(error, OSError) else None
            where = f": {place} cannot be written" if place else f" ({type(error).__name__}: {error})"
            return (
                f"the disk is full{where}. Make room (`kogpt2-chat status` names the disk) and run the same command "
                "again: what was half written is not used"
            )
        error = error.__cause__ or error.__context__
    return None
