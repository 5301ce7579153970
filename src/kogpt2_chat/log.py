"""Structured logs for entry points (cli, serving, spark jobs, DAGs); the library itself does not log."""

import logging
import sys
from typing import Literal

import structlog


def configure_logging(form: Literal["console", "json"] = "console", level: int = logging.INFO) -> None:
    """Send events to stderr, so that stdout stays free for results.

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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
