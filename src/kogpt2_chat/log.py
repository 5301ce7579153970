"""Structured logs for entry points (cli, serving, spark jobs, DAGs); the library itself does not log."""

import logging
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog


class _Unfailing:
    """A stream that loses what cannot be written: its reader has gone, the disk is full, or it was closed.

    A process that works must not end for want of somebody who reads what it says.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send it on if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(form: Literal["console", "json"] = "console", level: int = logging.INFO) -> None:
    """Send events to stderr, so that stdout stays free for results. To log never raises for want of a reader.

    Args:
        form: ``console`` for people, ``json`` for one object a line.
        level: events below it are dropped.
    """
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
    )
