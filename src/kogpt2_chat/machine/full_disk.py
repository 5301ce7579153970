"""Recognise errors that are caused by a full disk, which libraries wrap in their own errors, and explain them."""

import errno
from typing import Final

_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WORDS: Final = ("No space left on device", "Disk quota exceeded", "database or disk is full")


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
        if code in _CODES or any(word in str(error) for word in _WORDS):
            path = error.filename if isinstance(error, OSError) else None
            where = f": {path} cannot be written" if path else f" ({type(error).__name__}: {error})"
            return (
                f"the disk is full{where}. Free some space (`kogpt2-chat status` names the disk) and run the same "
                "command again: partly written files are not used"
            )
        error = error.__cause__ or error.__context__
    return None
