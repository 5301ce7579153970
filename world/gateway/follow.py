"""Follow Kafka topics in a thread, and hand their records over to the event loop."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Final

import structlog

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Record, Topics

_POLL_S: Final = 0.2
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)


class TopicThread:
    """Follows topics until it is stopped. If Kafka cannot be reached, it tries again every second.

    Args:
        topics: Kafka.
        names: the topics to follow.
        deliver: called in the event loop with the records of each poll.
        from_end: whether to begin with new records instead of the first retained ones.

    Attributes:
        is_following: whether the topics are followed now.
    """

    def __init__(
        self,
        topics: Topics,
        names: Sequence[str],
        deliver: Callable[[Sequence[Record]], None],
        *,
        from_end: bool = True,
    ) -> None:
        self._topics, self._names, self._deliver, self._from_end = topics, names, deliver, from_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {names[0]}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._followed = asyncio.Event()
        self.is_following = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread."""
        self._loop = loop
        self._thread.start()

    async def following(self, timeout_s: float) -> None:
        """Wait until the topics are followed.

        Raises:
            Unavailable: they are not in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._followed.wait()
        except TimeoutError:
            raise Unavailable(f"{self._names} were not followed within {timeout_s:g} s") from None

    def stop(self, timeout_s: float) -> None:
        """Stop, and wait for the thread to end."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(self._topics.follow(self._names, from_end=self._from_end)) as follower:
                    self.is_following = True
                    self._in_loop(self._followed.set)
                    log.info("topics_followed", topics=self._names)
                    while not self._stopping.is_set():
                        if records := follower.poll(_POLL_S):
                            self._in_loop(partial(self._deliver, records))
            except Exception as error:  # noqa: BLE001 - whatever it is, answers must be followed again
                self.is_following = False
                log.warning("topics_not_followed", topics=self._names, error=f"{type(error).__name__}: {error}")
                self._stopping.wait(_RETRY_S)

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(call)
