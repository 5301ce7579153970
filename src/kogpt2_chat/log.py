"""Structured logging for entry points (CLI, worker, Spark jobs, DAGs). The library itself does not log."""

import logging
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog


class _LossyStream:
    """A stream that drops text it cannot write: the reader has exited, the disk is full, or the stream is closed.

    A process must not die because its log cannot be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text if possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(form: Literal["console", "json"] = "console", level: int = logging.INFO) -> None:
    """Send log events to stderr, so that stdout carries only results. Logging never raises if the stream is broken.

    Args:
        form: ``console`` for people, ``json`` for one object per line.
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
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _LossyStream(sys.stderr))),
    )
