"""Install Java and fetch the jars: ``python -m kogpt2_chat.stack.fetch``, used by the set-up."""

import signal
import sys
from collections.abc import Callable

from kogpt2_chat.errors import InvalidInput, KogptChatError
from kogpt2_chat.progress_thread import ProgressThread
from kogpt2_chat.settings import load_settings
from kogpt2_chat.stack.jars import ensure_jars
from kogpt2_chat.stack.java import Java, ensure_java


def _ensure_java(progress: Callable[[str], None]) -> Java:
    return ensure_java(progress, install=True)


def main(find_java: Callable[[Callable[[str], None]], Java] = _ensure_java) -> int:
    """Install Java if possible, fetch missing jars, print the folder of the jars, and return the exit code.

    SIGTERM is treated like Ctrl-C, so that Ivy ends too.

    Args:
        find_java: finds the runtime that runs Ivy.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ProgressThread(_say, "looking for Java and the servers' jars") as progress_thread:
            java = find_java(progress_thread.say)
            folder = ensure_jars(load_settings(), java.program, progress_thread.say)
        print(folder)  # noqa: T201
    except KogptChatError as error:
        _say(str(error))
        return 2 if isinstance(error, InvalidInput) else 1
    except OSError as error:
        _say(f"the jars could not be stored: {error}; set KOGPT2_CACHE to another folder")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
