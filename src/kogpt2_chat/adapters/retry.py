"""Retry calls to a server after transient errors."""

import math
from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.nap import sleep as default_sleep

T = TypeVar("T")


def call_with_retries(
    call: Callable[[], T],
    *,
    is_transient: Callable[[BaseException], bool],
    attempts: int,
    first_delay_s: float,
    longest_delay_s: float = math.inf,
    sleep: Callable[[float], object] = default_sleep,
) -> T:
    """Call until a call succeeds or the attempts run out; the pauses between attempts double, up to a maximum.

    Args:
        call: called without arguments.
        is_transient: whether the next attempt may succeed after an error; any other error is raised immediately.
        attempts: maximum number of calls, at least 1.
        first_delay_s: pause before the second attempt.
        longest_delay_s: maximum pause.
        sleep: waits for some seconds. An exception that it raises ends the attempts.

    Returns:
        The result of the first successful call.

    Raises:
        BaseException: the error of the last attempt, unchanged.
    """

    def pause(seconds: float) -> None:
        sleep(seconds)

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=first_delay_s, max=longest_delay_s),
        reraise=True,
        sleep=pause,
    )
    return retrying(call)
