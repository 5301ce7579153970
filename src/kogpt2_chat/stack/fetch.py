"""Have Java and the jars: ``python -m kogpt2_chat.stack.fetch``, for the set-up."""

import signal
import sys

from kogpt2_chat.errors import InvalidInput, KogptChatError
from kogpt2_chat.heartbeat import Heartbeat
from kogpt2_chat.settings import load_settings
from kogpt2_chat.stack.jars import ensure_jars
from kogpt2_chat.stack.java import ensure_java


def main() -> int:
    """Install Java where it can be, fetch what is missing, print the jars' folder; give the exit code.

    A SIGTERM is treated like ctrl-C, so that Ivy ends with it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Heartbeat(_say, "looking for Java and the servers' jars") as heartbeat:
            java = ensure_java(heartbeat.say, install=True)
            folder = ensure_jars(load_settings(), java.program, heartbeat.say)
        print(folder)  # noqa: T201
    except KogptChatError as error:
        _say(str(error))
        return 2 if isinstance(error, InvalidInput) else 1
    except OSError as error:
        _say(f"the jars could not be kept: {error}; KOGPT2_CACHE names another folder for them")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
