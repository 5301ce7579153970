"""Call a function with a time limit, for client libraries whose own timeout is longer."""

import threading
from collections.abc import Callable
from typing import TypeVar

from kogpt2_chat.errors import Unavailable

T = TypeVar("T")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """Return the result of a call, or stop waiting for it after the time limit.

    A call that exceeds the limit keeps running in a daemon thread, which ends with the process at the latest. Use this
    only if it does not matter that the call takes effect late or not at all.

    Args:
        seconds: time limit.
        what: name of the server or library, for the error.
        call: function to call.

    Returns:
        The call's result.

    Raises:
        Unavailable: the call did not return in time.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name=f"waits for {what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise Unavailable(f"{what} did not answer within {seconds:g} s; check that it is running and not overloaded")
    return results[0]
