"""Waiting for somebody else's answer no longer than one wants to, whatever the library's own patience is."""

import threading
from collections.abc import Callable
from typing import TypeVar

from kogpt2_chat.errors import Unavailable

T = TypeVar("T")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """Give what a call gives, or stop waiting for it.

    A call that is given up is left behind in a thread of its own, which ends with the process at the latest: only for
    what may as well happen late, or not at all.

    Args:
        seconds: longest wait.
        what: who is asked, for the error.
        call: the call.

    Returns:
        Its result.

    Raises:
        Unavailable: no answer came in time.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    thread = threading.Thread(target=ask, name=f"waits for {what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise Unavailable(f"{what} gave no answer within {seconds:g} s: is it up, and not overloaded?")
    return results[0]
