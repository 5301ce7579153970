"""Output of all commands: results on stdout, progress and errors on stderr, and an exit code for each outcome."""

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

from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.errors import GateRefused, InvalidInput, KogptChatError, RecordsLost
from kogpt2_chat.machine.full_disk import full_disk
from kogpt2_chat.progress_thread import ProgressThread

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
_DISK_ERRORS: Final = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})
"""Disk and permission errors: the user needs one sentence, not a traceback."""


def progress(line: str) -> None:
    """Print a progress line, with the number of seconds since the start."""
    _progress_thread.say(line)


def wait_silently() -> None:
    """Stop the progress thread; for commands whose purpose is to wait."""
    _progress_thread.stop()


def _print_step(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {line}", file=sys.stderr, flush=True)  # noqa: T201


_progress_thread: Final = ProgressThread(_print_step, f"kogpt2-chat {sys.argv[1] if len(sys.argv) > 1 else ''}".strip())
"""Every command has one, because some libraries print nothing for minutes."""


def show(result: object, text: str, *, as_json: bool) -> None:
    """Print a command's result as JSON, with the names of its fields, or as text.

    If stdout's encoding lacks a character, JSON escapes it and text replaces it.
    """
    if as_json:
        text = json.dumps(fields_of(result), ensure_ascii=not _is_unicode(sys.stdout), default=str)
    print(text, flush=True)  # noqa: T201


def run(app: Callable[[], object]) -> None:
    """Run the CLI and exit with the right code.

    SIGTERM and SIGHUP (a closed terminal) are handled like ctrl-C, so that the same code cleans up servers and
    subprocesses.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # started with nohup: keep ignoring it
        signal.signal(signal.SIGHUP, _interrupt)
    sys.stdout, sys.stderr = (stream or _null_stream() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with _progress_thread:
        code = _code_of(lambda: _with_readable_arguments(app))
    leave(code)


def _null_stream() -> TextIO:
    """Return a stream that replaces a closed one; otherwise its output would go to the other stream."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _with_readable_arguments(app: Callable[[], object]) -> object:
    """Run the app if all arguments are UTF-8; otherwise raise a clear error here instead of an obscure one later."""
    for number, argument in enumerate(sys.argv[1:], start=1):
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(argument).decode(errors="replace")
            raise InvalidInput(
                f"argument {number}, {shown!r}, is not UTF-8 text: set the terminal to UTF-8, or convert it (iconv)"
            ) from error
    return app()


def _is_unicode(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")


def leave(code: int) -> None:
    """Exit the process.

    During a normal interpreter shutdown, deltalake's threads have aborted the finished process, and Kafka clients have
    waited for a broker that no longer existed. If either library is loaded, skip the shutdown with ``os._exit``.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the disk is full; this was reported before
            stream.flush()
    if {"deltalake", "kafka"} & sys.modules.keys():
        os._exit(code)
    sys.exit(code)


def _code_of(app: Callable[[], object]) -> int:
    try:
        app()
    except SystemExit as error:  # typer also raises this for a KeyboardInterrupt
        code = error.code if isinstance(error.code, int) else Exit.FAILED
        return _interrupted() if code == Exit.INTERRUPTED else code
    except KeyboardInterrupt:
        return _interrupted()
    except KogptChatError as error:
        code = next((code for kind, code in _EXIT_BY_ERROR.items() if isinstance(error, kind)), Exit.FAILED)
        message = _with_notes(str(error), error)
        return _fail(f"refused: {message}" if code == Exit.REFUSED else message, code)
    except Exception as error:
        if sentence := full_disk(error):
            return _fail(_with_notes(sentence, error), Exit.FAILED)
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            return _fail(f"{error.strerror or error}: {error.filename or 'the output'}", Exit.FAILED)
        raise
    return Exit.DONE


def _with_notes(sentence: str, error: BaseException) -> str:
    return "\n".join([sentence, *getattr(error, "__notes__", ())])


def on_interrupt(sentence: Callable[[], str]) -> None:
    """Set the function that returns the message to print after ctrl-C."""
    _interrupt_messages.append(sentence)


def _interrupted() -> int:
    """Print what is still running. Ignore another ctrl-C and a closed terminal while doing so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return _fail(_interrupt_messages[-1](), Exit.INTERRUPTED)


def _nothing_left_running() -> str:
    return "interrupted: the command left nothing running and can be run again"


_interrupt_messages: Final[list[Callable[[], str]]] = [_nothing_left_running]


def _fail(sentence: str, code: int) -> int:
    print(f"kogpt2-chat: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
