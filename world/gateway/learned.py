"""The book of what each bot has learned from players, read from the lake by a command of its own for each new version.

The command loads libraries for HDFS, MLflow and Parquet, which would double the gateway's memory.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kogpt2_chat.domain.chat.bots import BOT_IDS

MOST_PAIRS: Final = 50
_TIMEOUT_S: Final = 120.0
_RETRY_S: Final = 120.0

Book = dict[str, Any]
log = structlog.get_logger(__name__)


def read_book(bot: str, version: int) -> Book | None:
    """Return what a version has learned, from ``kogpt2-chat learned``; None if that fails.

    The version is named, because the champion is still another one when workers begin to serve a new version.
    """
    command = [sys.executable, "-m", "kogpt2_chat.cli", "learned", bot, "--version", str(version)]
    more = ["--limit", str(MOST_PAIRS), "--json"]
    try:
        done = subprocess.run([*command, *more], capture_output=True, check=True, timeout=_TIMEOUT_S)
        found: Book = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.info("learned_not_read", bot=bot, error=type(error).__name__)
        return None
    return found


class LearnedBooks:
    """The books of all bots. A thread reads the book of a bot when it gets another version.

    Args:
        read: reads the book of a bot's version.
        changed: called in that thread with the bot, the version and the number of pairs that it learned.
    """

    def __init__(
        self,
        read: Callable[[str, int], Book | None] = read_book,
        changed: Callable[[str, int, int], None] = lambda _bot, _version, _count: None,
    ) -> None:
        self._read, self._changed = read, changed
        self._book_by_bot: dict[str, Book] = {}
        self._asked: dict[str, int] = {}
        self._reading = threading.Lock()
        self._stopping = threading.Event()

    def expect(self, bot: str, version: int) -> None:
        """Read the book of a bot's version, unless it has been read."""
        if version and self._asked.get(bot) != version and not self._stopping.is_set():
            self._asked[bot] = version
            threading.Thread(target=self._load, args=(bot, version), name=f"book {bot}", daemon=True).start()

    def stop(self) -> None:
        """Try no more to read a book that could not be read."""
        self._stopping.set()

    async def show(self, request: Request) -> Response:
        """``GET /learned/BOT``: the pairs that the bot's version learned from players."""
        bot = request.path_params["bot"]
        if bot not in BOT_IDS:
            return JSONResponse({"reason": "not_here", "wait_s": 0}, 404)
        return JSONResponse(self._book_by_bot.get(bot, {"bot": bot, "version": 0, "total": 0, "pairs": []}))

    def _load(self, bot: str, version: int) -> None:
        with self._reading:  # one at a time: they are not urgent
            book = self._read(bot, version)
        if self._asked.get(bot) != version:  # another version answers by now
            return
        if book is None:
            self._stopping.wait(_RETRY_S)
            if self._asked.get(bot) == version:
                del self._asked[bot]  # the next look at the facts tries again
            return
        self._book_by_bot[bot] = book
        self._changed(bot, version, book["total"])
