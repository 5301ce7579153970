"""`python -m serving`: one worker, until SIGTERM."""

import os
import sys
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client import disable_created_metrics

from kogpt2_chat.errors import Fenced, InvalidInput, KogptChatError
from kogpt2_chat.log import configure_logging
from kogpt2_chat.settings import load_settings
from serving.app import Outside, WorkerApp
from serving.lease import lease_ordinal
from serving.stopping import STOPPED, Stop, end_at_once

SETTINGS_WRONG: Final = 2
FENCED: Final = 3
"""Exit code that a supervisor must not answer with a restart: two processes would fence each other forever."""

_log = structlog.get_logger("serving")


def main(outside: Outside | None = None) -> int:
    """Answer questions until asked to stop.

    Args:
        outside: what the worker takes from outside; benchmarks bring their own.

    Returns:
        The exit code: 0 stopped on request, 1 failed (also: the ordinal is taken on this machine), 2 unusable
        settings, 3 another machine's process has taken this worker's ordinal.
    """
    end_at_once()
    configure_logging("json")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the process's own start time says it for all counters
    try:
        settings = load_settings()
    except KogptChatError as error:
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    stop = Stop()
    try:
        lease = lease_ordinal(settings.home, settings.serving.ordinal)
        structlog.contextvars.bind_contextvars(worker=f"worker-{lease.ordinal}")
        WorkerApp(settings=settings, ordinal=lease.ordinal, stop=stop, outside=outside or Outside()).run()
    except Fenced as error:
        _log.critical("slot_lost", error=str(error), todo="give every worker a number of its own")
        return FENCED
    except InvalidInput as error:  # found before the group is joined; a restart would find the same
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    except (KogptChatError, OSError) as error:
        if stop.event.is_set():  # it was asked to end, and whatever fails then, it ends
            _log.warning("stopped_unclean", error=f"{type(error).__name__}: {error}")
            return STOPPED
        _log.error("worker_failed", error=f"{type(error).__name__}: {error}")
        return 1
    return STOPPED


def run(outside: Outside | None = None) -> None:
    """Run a worker and end the process."""
    exit_code = main(outside)
    with suppress(OSError, ValueError):  # nobody may be reading
        sys.stdout.flush()
        sys.stderr.flush()
    # All that matters is closed. The interpreter's own end would wait for a transaction that a lost broker holds.
    os._exit(exit_code)


if __name__ == "__main__":
    run()
