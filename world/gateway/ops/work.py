"""Blocking work beside the event loop, for which the world's ticks never wait: few threads, a short queue, a limit."""

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import structlog

from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from world.gateway.ops.denied import Denied

T = TypeVar("T")
_BUSY_S: Final = 2.0
log = structlog.get_logger(__name__)

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class CallThreads:
    """A few threads that run calls one after the other. They end with the process, whatever they wait for.

    Use it from the event loop.

    Args:
        name: what the calls need, as an error names it.
        threads: how many calls run at the same time.
        waiting: how many more may wait for a thread.
        limit_s: how long a call may take, its waiting included.
    """

    def __init__(self, name: str, *, threads: int = 2, waiting: int = 40, limit_s: float = 15.0) -> None:
        self._name, self._threads, self._most, self._limit_s = name, threads, threads + waiting, limit_s
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._unfinished = 0
        self._has_started = False

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns.

        A call that is too late goes on in its thread, and counts until it ends.

        Raises:
            Denied: ``busy``, or ``unavailable`` if it raises :class:`Unavailable` or takes too long, ``not_found`` or
                ``failed``.
        """
        if self._unfinished >= self._most:
            raise Denied("busy", f"{self._name}: too many requests at once", _BUSY_S)
        self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._unfinished += 1
        self._jobs.put((loop, future, call))
        try:
            return await asyncio.wait_for(future, self._limit_s)
        except TimeoutError:
            raise Denied("unavailable", f"{self._name}: no answer within {self._limit_s:g} s") from None
        except Unavailable as error:
            raise Denied("unavailable", str(error)) from error
        except NotFound as error:
            raise Denied("not_found", str(error)) from error
        except InvalidInput as error:  # the request has been checked, so the fault is this program's
            log.exception("ops_work_failed", what=self._name)
            raise Denied("failed", str(error)) from error

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            for number in range(self._threads):
                threading.Thread(target=self._work, name=f"ops {self._name} {number}", daemon=True).start()

    def _work(self) -> None:
        while True:
            loop, future, call = self._jobs.get()
            result, error = None, None
            try:
                if not future.cancelled():  # otherwise nobody waits for it any more
                    result = call()
            except Exception as raised:  # noqa: BLE001 - whatever it is, it belongs to who waits
                error = raised
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._finish, future, result, error)

    def _finish(self, future: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
        self._unfinished -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


class ResultCache(Generic[T]):
    """Keeps results for a few seconds. Who asks for one that is being made waits for the same.

    Use it from the event loop.

    Args:
        keep_s: how long a result is kept.
        most: how many are kept; the oldest go first.
        clock: returns monotonic seconds.
    """

    def __init__(self, keep_s: float = 5.0, most: int = 64, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s, self._most, self._clock = keep_s, most, clock
        self._made: OrderedDict[Hashable, tuple[float, asyncio.Task[T]]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Return the result for a key, made now unless there is one. An error is not kept, but shared by who waits."""
        began_s, task = self._made.get(key, (float("-inf"), None))
        if task is None or (task.done() and (_has_failed(task) or self._clock() - began_s > self._keep_s)):
            task = asyncio.ensure_future(_awaited(make))
            task.add_done_callback(_has_failed)  # an error that nobody waits for any more is no news
            self._made[key] = (self._clock(), task)
            self._made.move_to_end(key)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return await asyncio.shield(task)  # a browser that hangs up must not end it for the others


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


def _has_failed(task: "asyncio.Task[Any]") -> bool:
    return task.cancelled() or task.exception() is not None
