"""The message after a demo that ended early: what still runs, what is kept, and how to continue."""

from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.settings import load_settings


def ending_message(ended: str = "the demo was interrupted.") -> str:
    """Return the message for the current state. If the state cannot be read, return only how to continue."""
    try:
        home, running = load_settings().home.resolve(), _is_stack_running()
    except (OSError, KogptChatError):
        return f"{ended} {_CONTINUE}"
    return format_message(str(home), ended, stack_is_running=running)


def format_message(home: str, ended: str, *, stack_is_running: bool) -> str:
    """Return the message for a given state.

    Args:
        home: the stack's home folder.
        ended: how the demo ended.
        stack_is_running: whether the stack's supervisor is running.

    Returns:
        The message, several lines.
    """
    still_running = (
        "the servers, and the current Airflow run if there is one"
        if stack_is_running
        else "nothing, no server is running"
    )
    return "\n".join(
        [
            ended,
            f"  Still running:  {still_running}.",
            f"  Kept:           all data, versions and trainings so far, in {home}.",
            f"  {_CONTINUE}",
            *(["  To stop the servers: `make down`; their data is kept."] if stack_is_running else []),
        ]
    )


def _is_stack_running() -> bool:
    from kogpt2_chat.stack.folders import folders_of
    from kogpt2_chat.stack.supervision import Supervisor

    return Supervisor(folders_of(load_settings())).find() is not None


_CONTINUE = "To continue: run `make demo` again; it reuses what exists."
