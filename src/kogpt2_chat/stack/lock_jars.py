"""Regenerate ``jars.lock``: ``python -m kogpt2_chat.stack.lock_jars`` (for maintainers)."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kogpt2_chat.stack.jars import LOCK, SETS, fetch_sets, sha256
from kogpt2_chat.stack.java import ensure_java

HEADER = "# sha256  set/file: written by kogpt2_chat.stack.lock_jars, checked at every start of the stack.\n"


def lock_text(folder: Path) -> str:
    """Return one line per jar below ``folder``, sorted by path."""
    return "".join(f"{sha256(path)}  {path.relative_to(folder)}\n" for path in sorted(folder.rglob("*.jar")))


def write_lock(progress: Callable[[str], None]) -> int:
    """Fetch all sets into a temporary folder, write their hashes to the lock, and return the number of jars."""
    java = ensure_java(progress)
    with tempfile.TemporaryDirectory(prefix="kogpt2-lock-") as scratch:
        text = lock_text(fetch_sets(set(SETS), java.program, Path(scratch), progress))
    LOCK.write_text(HEADER + text)
    return text.count("\n")


if __name__ == "__main__":
    print(f"{LOCK.name}: {write_lock(lambda line: print(line, file=sys.stderr))} jars")  # noqa: T201
