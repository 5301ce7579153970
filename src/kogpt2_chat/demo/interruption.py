"""What to say when the demo ended early: what goes on, what is kept, how to go on."""

from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.settings import load_settings


def what_stays(ended: str = "the demo was interrupted.") -> str:
    """Look what is running and put it into sentences; in doubt, nothing is said to be stopped."""
    try:
        home, running = load_settings().home.resolve(), _is_stack_running()
    except (OSError, KogptChatError):
        return f"{ended} {_GO_ON}"
    return sentences(str(home), ended, stack_is_running=running)


def sentences(home: str, ended: str, *, stack_is_running: bool) -> str:
    """The same, from the facts.

    Args:
        home: the stack's home.
        ended: how the demo ended.
        stack_is_running: whether servers are still there.

    Returns:
        Some lines.
    """
    goes_on = (
        "the servers, and the run in Airflow that was begun, if there is one"
        if stack_is_running
        else "nothing, no server is running"
    )
    return "\n".join(
        [
            ended,
            f"  What goes on:  {goes_on}.",
            f"  What is kept:  all data, versions and trainings so far, in {home}.",
            f"  {_GO_ON}",
            *(["  `make down` stops the servers; data stays."] if stack_is_running else []),
        ]
    )


def _is_stack_running() -> bool:
    from kogpt2_chat.stack.folders import folders_of
    from kogpt2_chat.stack.supervision import find_supervision

    return find_supervision(folders_of(load_settings())) is not None


_GO_ON = "How to go on: `make demo` again takes up what is there."
