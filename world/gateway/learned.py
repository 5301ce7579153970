"""The book of what each bot has learned from players, read from the lake by a command of its own for each new version.

The command loads libraries for HDFS, MLflow and Parquet, which would double the gateway's memory.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kogpt2_chat.domain.chat.bots import BOT_IDS

MOST_PAIRS: Final = 50
RETRIES_S: Final = (20.0, 60.0, 180.0, 600.0)
"""Pauses after the first failures in a row; the last one also after all later ones. Each try starts a process."""
_TIMEOUT_S: Final = 120.0

Book = dict[str, Any]
log = structlog.get_logger(__name__)


def read_book(bot: str) -> Book | None:
    """Return what a bot has learned, from ``kogpt2-chat learned``; None if that fails."""
    command = [sys.executable, "-m", "kogpt2_chat.cli", "learned", bot, "--limit", str(MOST_PAIRS), "--json"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=_TIMEOUT_S)
        found: Book = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.info("learned_not_read", bot=bot, error=type(error).__name__)
        return None
    return found


@dataclass(slots=True)
class _Try:
    """The tries to read one version's book."""

    version: int
    failures: int = 0
    next_at_s: float = float("-inf")
    is_reading: bool = False
    has_book: bool = False


class LearnedBooks:
    """The books of all bots. A thread reads the book of a bot when it gets another version.

    The command reads the book of the champion, which may be another version than the one that answers: a rollout moves
    the one before the other. Such a book is not taken, and is read again later.

    Args:
        read: reads a book.
        changed: called in that thread with the bot, the version and the number of pairs that it learned.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[str], Book | None] = read_book,
        changed: Callable[[str, int, int], None] = lambda _bot, _version, _count: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._changed, self._clock = read, changed, clock
        self._book_by_bot: dict[str, Book] = {}
        self._try_by_bot: dict[str, _Try] = {}
        self._reading = threading.Lock()
        self._is_stopping = False

    def expect(self, bot: str, version: int) -> None:
        """Read the book of a bot's version, unless it has been read or it is too early to try again."""
        if not version or self._is_stopping:
            return
        if (found := self._try_by_bot.get(bot)) is None or found.version != version:
            found = self._try_by_bot[bot] = _Try(version)
        if found.has_book or found.is_reading or self._clock() < found.next_at_s:
            return
        found.is_reading = True
        threading.Thread(target=self._load, args=(bot, found), name=f"book {bot}", daemon=True).start()

    def stop(self) -> None:
        """Try no more to read a book."""
        self._is_stopping = True

    async def show(self, request: Request) -> Response:
        """``GET /learned/BOT``: the pairs that the bot's version learned from players."""
        bot = request.path_params["bot"]
        if bot not in BOT_IDS:
            return JSONResponse({"reason": "not_here", "wait_s": 0}, 404)
        return JSONResponse(self._book_by_bot.get(bot, {"bot": bot, "version": 0, "total": 0, "pairs": []}))

    def _load(self, bot: str, wanted: _Try) -> None:
        try:
            with self._reading:  # one at a time: they are not urgent
                book = None if self._is_stopping else self._read(bot)
            wanted.has_book = book is not None and self._take(bot, wanted.version, book)
        except Exception:  # whatever it is, the book must be read later
            log.exception("learned_not_taken", bot=bot, version=wanted.version)
        finally:
            if not wanted.has_book:
                wanted.next_at_s = self._clock() + RETRIES_S[min(wanted.failures, len(RETRIES_S) - 1)]
                wanted.failures += 1
            wanted.is_reading = False

    def _take(self, bot: str, version: int, book: Book) -> bool:
        """Keep a book and tell its number of pairs; return False if it is another version's."""
        if book["version"] != version:
            log.info("learned_of_another_version", bot=bot, version=version, found=book["version"])
            return False
        count = int(book["total"])
        self._book_by_bot[bot] = book
        self._changed(bot, version, count)
        return True
