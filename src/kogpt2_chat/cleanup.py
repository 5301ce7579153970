"""Cleaning up after an error, without hiding it."""

from collections.abc import Callable

from kogpt2_chat.errors import KogptChatError


def clean_up_after(error: BaseException, clean: Callable[[], object], left: str) -> None:
    """Clean up after an error; if that fails too, add a note to the error.

    A full disk, or a server that went away, often fails both the work and the cleaning up after it.

    Args:
        error: what ended the work; the caller raises it again.
        clean: the cleaning up.
        left: what stays behind if it fails.
    """
    try:
        clean()
    except KogptChatError as trouble:
        error.add_note(f"{left} ({trouble})")
