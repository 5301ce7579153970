"""`python -m serving`: run one worker until SIGTERM."""

import os
import sys
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client import disable_created_metrics

from kogpt2_chat.errors import Fenced, InvalidInput, KogptChatError
from kogpt2_chat.log import configure_logging
from kogpt2_chat.settings import load_settings
from serving.app import WorkerApp, WorkerParts
from serving.lease import lease_ordinal
from serving.stopping import STOPPED, Stop, exit_on_signal

SETTINGS_WRONG: Final = 2
FENCED: Final = 3
"""A supervisor must not restart the worker after this exit code: the two processes would fence each other forever."""

_log = structlog.get_logger("serving")


def main(parts: WorkerParts | None = None) -> int:
    """Answer questions until asked to stop.

    Args:
        parts: replaceable parts of the worker; benchmarks pass their own.

    Returns:
        The exit code: 0 stopped on request, 1 failed (or the ordinal is taken on this machine), 2 unusable
        settings, 3 a process on another machine has taken this worker's ordinal.
    """
    exit_on_signal()
    configure_logging("json")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the process start time already says when every counter began
    try:
        settings = load_settings()
    except KogptChatError as error:
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    stop = Stop()
    try:
        lease = lease_ordinal(settings.home, settings.serving.ordinal)
        structlog.contextvars.bind_contextvars(worker=f"worker-{lease.ordinal}")
        WorkerApp(settings=settings, ordinal=lease.ordinal, stop=stop, parts=parts or WorkerParts()).run()
    except Fenced as error:
        _log.critical("ordinal_taken", error=str(error), todo="give each worker its own ordinal")
        return FENCED
    except InvalidInput as error:  # found before the worker joins its group; a restart would fail in the same way
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    except (KogptChatError, OSError) as error:
        if stop.event.is_set():  # an error during shutdown does not change the exit code
            _log.warning("stopped_unclean", error=f"{type(error).__name__}: {error}")
            return STOPPED
        _log.error("worker_failed", error=f"{type(error).__name__}: {error}")
        return 1
    return STOPPED


def run(parts: WorkerParts | None = None) -> None:
    """Run a worker and end the process."""
    exit_code = main(parts)
    with suppress(OSError, ValueError):  # the reader of the output may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    # Everything that matters is closed. A normal exit would wait for the publisher's thread, which may be stuck in a
    # transaction without a broker.
    os._exit(exit_code)


if __name__ == "__main__":
    run()
