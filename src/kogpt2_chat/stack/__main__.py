"""The stack without the rest of the platform: ``python -m kogpt2_chat.stack up|down|status|logs``."""

import argparse
import json
import sys

from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.settings import load_settings
from kogpt2_chat.stack.stack import down, logs, up
from kogpt2_chat.stack.status import status


def main() -> int:
    """Run one command; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kogpt2_chat.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "logs"])
    parser.add_argument("--only", default="", help="services or groups, with commas")
    parser.add_argument("--wipe", action="store_true", help="with down: remove the data")
    arguments = parser.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    try:
        settings = load_settings()
        if arguments.command == "up":
            up(settings, only, progress=_say)
        elif arguments.command == "down":
            down(settings, progress=_say, wipe=arguments.wipe)
        elif arguments.command == "logs":
            for service in only:
                print(*logs(settings, service), sep="\n")  # noqa: T201
        if arguments.command in ("up", "status"):
            print(json.dumps(status(settings).as_json(), indent=1, ensure_ascii=False))  # noqa: T201
    except KogptChatError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
