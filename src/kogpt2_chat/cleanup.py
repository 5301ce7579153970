"""Clean up after an error without hiding it."""

from collections.abc import Callable

from kogpt2_chat.errors import KogptChatError


def clean_up_after(error: BaseException, clean: Callable[[], object], left: str) -> None:
    """Clean up after an error; if the cleanup fails too, add a note to the error.

    The same cause, such as a full disk or a stopped server, often makes both the work and the cleanup fail.

    Args:
        error: the error of the work; the caller raises it again.
        clean: function that cleans up.
        left: sentence about what remains if the cleanup fails.
    """
    try:
        clean()
    except KogptChatError as second:
        error.add_note(f"{left} ({second})")
