"""Follow Kafka topics in a thread, and hand their records over to the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Final

import structlog

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Follower, Record, Topics

CHECK_EVERY_S: Final = 5.0
"""How often the brokers are asked for the topics' ends. A poll does not show whether they can be reached."""
RETRY_S: Final = 1.0
_POLL_S: Final = 0.2

log = structlog.get_logger(__name__)


class TopicThread:
    """Follows topics until it is stopped.

    While Kafka cannot be reached, the positions stay as they are, and nothing is missed. After any other error, the
    topics are opened again, from the end if it began there.

    Args:
        topics: Kafka.
        names: the topics to follow.
        deliver: called in the event loop with each record.
        from_end: whether to begin with new records instead of the first retained ones.
        clock: returns monotonic seconds.

    Attributes:
        followed_since_s: since when the topics have been followed without a break, in monotonic seconds; None if they
            are not followed now. Use it in the event loop.
    """

    def __init__(
        self,
        topics: Topics,
        names: Sequence[str],
        deliver: Callable[[Record], None],
        *,
        from_end: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics, self._names, self._deliver, self._from_end = topics, names, deliver, from_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {names[0]}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._followed = asyncio.Event()
        self._has_begun = from_end
        self._is_down = True
        self._clock = clock
        self.followed_since_s: float | None = None

    @property
    def is_following(self) -> bool:
        """Whether the topics are followed now.

        Kafka has answered lately, and, if they are read from the beginning, all records that there were have been
        delivered. Use it in the event loop.
        """
        return self.followed_since_s is not None

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
                    log.info("topics_opened", topics=self._names)
                    self._read(follower)
            except Exception as error:  # noqa: BLE001 - whatever it is, the topics must be followed again
                self._went_down(error)

    def _read(self, follower: Follower) -> None:
        checked_at_s = float("-inf")
        while not self._stopping.is_set():
            try:
                if records := follower.poll(_POLL_S):
                    self._in_loop(partial(self.hand_over, records))
                if self._is_down or time.monotonic() - checked_at_s >= CHECK_EVERY_S:
                    self._has_begun |= follower.behind() == 0
                    checked_at_s = time.monotonic()
                    self._is_down = not self._has_begun
                    if self._has_begun:
                        self._in_loop(partial(self._show, is_following=True))
            except Unavailable as error:  # the follower keeps its positions
                self._went_down(error)

    def _went_down(self, error: Exception) -> None:
        self._is_down = True
        self._in_loop(partial(self._show, is_following=False))
        log.warning("topics_not_followed", topics=self._names, error=f"{type(error).__name__}: {error}")
        self._stopping.wait(RETRY_S)

    def hand_over(self, records: Sequence[Record]) -> None:
        """Deliver records. Call it in the event loop."""
        for record in records:
            try:
                self._deliver(record)
            except Exception:  # a fault that concerns one record must not hold up the others
                log.exception("record_not_taken", topic=record.topic, partition=record.partition, offset=record.offset)

    def _show(self, *, is_following: bool) -> None:
        if not is_following:
            self.followed_since_s = None
        elif self.followed_since_s is None:
            self.followed_since_s = self._clock()
            self._followed.set()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(call)
