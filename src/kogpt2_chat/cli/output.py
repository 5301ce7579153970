"""How every command speaks: results on stdout, progress and errors on stderr, one exit code for each outcome."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from types import FrameType
from typing import Annotated, Final

import typer

from kogpt2_chat.errors import GateRefused, InvalidInput, KogptChatError

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
_STARTED: Final = time.monotonic()
_BEAT_S: Final = 10.0


class Exit(IntEnum):
    """Exit codes of the CLI."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    INTERRUPTED = 130


class Beat:
    """Says that work goes on whenever nothing was said for a while, with or without a terminal.

    Args:
        say: prints a line.
        every_s: how long a silence may be.
    """

    def __init__(self, say: Callable[[str], None], every_s: float = _BEAT_S) -> None:
        self._say = say
        self._every_s = every_s
        self._last = "the start"
        self._heard = threading.Event()
        self._over = False

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        threading.Thread(target=self._run, daemon=True, name="beat").start()

    def heard(self, line: str) -> None:
        """Something was said: the silence begins anew."""
        self._last = line
        self._heard.set()

    def stop(self) -> None:
        """Say nothing more."""
        self._over = True
        self._heard.set()

    def _run(self) -> None:
        since = time.monotonic()
        while not self._over:
            if self._heard.wait(self._every_s):
                self._heard.clear()
                since = time.monotonic()
            else:
                self._say(f"still at work, {time.monotonic() - since:.0f} s since: {self._last}")


def progress(line: str) -> None:
    """Show a step of long work, with the seconds since the start."""
    _beat.heard(line)
    _line(line)


def follow() -> None:
    """Leave the terminal to what a command shows until it is interrupted."""
    _beat.stop()


def _line(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {line}", file=sys.stderr, flush=True)  # noqa: T201


_beat: Final = Beat(_line)


def show(result: Mapping[str, object], text: str, *, as_json: bool) -> None:
    """Print a command's result, for a machine or for a person."""
    print(json.dumps(result, ensure_ascii=False, default=str) if as_json else text, flush=True)  # noqa: T201


def run(app: Callable[[], object]) -> None:
    """Run the CLI and end the process with the right exit code.

    A SIGTERM is treated like ctrl-C, so that servers and subprocesses are cleaned up by the same code.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    _beat.start()
    leave(_code_of(app))


def leave(code: int) -> None:
    """End the process.

    deltalake's threads were seen to abort an interpreter that ends in the ordinary way after its work was
    done, and Kafka clients to wait at its end for a broker that is gone; where either was loaded, the process
    ends without running them down.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if {"deltalake", "kafka"} & sys.modules.keys():
        os._exit(code)
    sys.exit(code)


def _code_of(app: Callable[[], object]) -> int:
    try:
        app()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else Exit.FAILED
    except KeyboardInterrupt:
        return _say("interrupted: nothing of this command is left running; the same command can be run again", 130)
    except GateRefused as error:
        return _say(f"refused: {error}", Exit.REFUSED)
    except InvalidInput as error:
        return _say(str(error), Exit.USAGE)
    except KogptChatError as error:
        return _say(str(error), Exit.FAILED)
    return Exit.DONE


def _say(sentence: str, code: int) -> int:
    print(f"kogpt2-chat: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
