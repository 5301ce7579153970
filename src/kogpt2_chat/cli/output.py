"""How every command speaks: results on stdout, progress and errors on stderr, one exit code for each outcome."""

import codecs
import errno
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, TextIO

import typer

from kogpt2_chat.errors import GateRefused, InvalidInput, KogptChatError, RecordsLost
from kogpt2_chat.full_disk import full_disk
from kogpt2_chat.heartbeat import Heartbeat

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
_STARTED: Final = time.monotonic()


class Exit(IntEnum):
    """Exit codes of the CLI."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    LOST = 4
    INTERRUPTED = 130


_EXIT_BY_ERROR: Final[Mapping[type[KogptChatError], Exit]] = {
    GateRefused: Exit.REFUSED,
    RecordsLost: Exit.LOST,
    InvalidInput: Exit.USAGE,
}
_SURROUNDINGS: Final = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})
"""Faults of the disk and of rights: whoever has them needs the sentence and not our lines of code."""


def progress(line: str) -> None:
    """Show a step of long work, with the seconds since the start."""
    _heartbeat.say(line)


def wait_silently() -> None:
    """Say nothing by itself from here on: for a command that waits for others by nature."""
    _heartbeat.stop()


def _print_step(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {line}", file=sys.stderr, flush=True)  # noqa: T201


_heartbeat: Final = Heartbeat(_print_step, f"kogpt2-chat {sys.argv[1] if len(sys.argv) > 1 else ''}".strip())
"""Every command's: without it a job whose library says nothing would be silent for minutes."""


def show(result: Mapping[str, object], text: str, *, as_json: bool) -> None:
    """Print a command's result, for a machine or for a person.

    A person's terminal shows a replacement for what it cannot show; for a machine nothing is lost: it is escaped.
    """
    if as_json:
        text = json.dumps(result, ensure_ascii=not _speaks_unicode(sys.stdout), default=str)
    print(text, flush=True)  # noqa: T201


def run(app: Callable[[], object]) -> None:
    """Run the CLI and end the process with the right exit code.

    A SIGTERM, or a terminal that is closed, is treated like ctrl-C, so that servers and subprocesses are cleaned up
    by the same code.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish is kept
        signal.signal(signal.SIGHUP, _interrupt)
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with _heartbeat:
        code = _code_of(lambda: _with_readable_arguments(app))
    leave(code)


def _nowhere() -> TextIO:
    """For what is closed: otherwise Python prints to the other stream what was meant for that one."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _with_readable_arguments(app: Callable[[], object]) -> object:
    """Bytes of another encoding would end in an error of whatever uses them first."""
    for place, argument in enumerate(sys.argv[1:], start=1):
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(argument).decode(errors="replace")
            raise InvalidInput(
                f"argument {place}, {shown!r}, is not UTF-8 text: set the terminal to UTF-8, or convert it (iconv)"
            ) from error
    return app()


def _speaks_unicode(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")


def leave(code: int) -> None:
    """End the process.

    deltalake's threads were seen to abort an interpreter that ends in the ordinary way after its work was
    done, and Kafka clients to wait at its end for a broker that is gone; where either was loaded, the process
    ends without running them down.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its disk is full: said already
            stream.flush()
    if {"deltalake", "kafka"} & sys.modules.keys():
        os._exit(code)
    sys.exit(code)


def _code_of(app: Callable[[], object]) -> int:
    try:
        app()
    except SystemExit as ending:  # typer makes this of a KeyboardInterrupt too
        code = ending.code if isinstance(ending.code, int) else Exit.FAILED
        return _interrupted() if code == Exit.INTERRUPTED else code
    except KeyboardInterrupt:
        return _interrupted()
    except KogptChatError as error:
        code = next((code for kind, code in _EXIT_BY_ERROR.items() if isinstance(error, kind)), Exit.FAILED)
        words = _with_notes(str(error), error)
        return _say(f"refused: {words}" if code == Exit.REFUSED else words, code)
    except Exception as error:
        if sentence := full_disk(error):
            return _say(_with_notes(sentence, error), Exit.FAILED)
        if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
            return _say(f"{error.strerror or error}: {error.filename or 'the output'}", Exit.FAILED)
        raise
    return Exit.DONE


def _with_notes(sentence: str, error: BaseException) -> str:
    return "\n".join([sentence, *getattr(error, "__notes__", ())])


def on_interrupt(sentence: Callable[[], str]) -> None:
    """Replace what is said after ctrl-C; asked at that moment."""
    _sentences.append(sentence)


def _interrupted() -> int:
    """Say what stays. A second ctrl-C, or a terminal that is closed meanwhile, changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return _say(_sentences[-1](), Exit.INTERRUPTED)


def _nothing_stays() -> str:
    return "interrupted: nothing of this command is left running; the same command can be run again"


_sentences: Final[list[Callable[[], str]]] = [_nothing_stays]


def _say(sentence: str, code: int) -> int:
    print(f"kogpt2-chat: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
