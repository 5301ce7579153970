"""`python -m indexer`: fill the search server from Kafka until SIGTERM."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Final

import structlog
from prometheus_client import disable_created_metrics

from indexer.documents import DocumentWriter
from indexer.loop import Indexer, Stopping
from indexer.report import Progress
from kogpt2_chat import bootstrap
from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.health_server import HealthServer
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.log import configure_logging
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.world_keys import signing_keys

STOPPED: Final = 0
FAILED: Final = 1
SETTINGS_WRONG: Final = 2
END_S: Final = 4.0
"""How long the indexing thread may take to end. After that the process ends without it: what is written but not stored
as done is written again."""
_LOOK_S: Final = 0.5
_UNUSED: Final = ("aiohttp", "numpy", "opentelemetry", "pandas", "pyarrow")
"""Libraries that Elasticsearch's client loads if they are installed. This process does not need them."""

_log = structlog.get_logger("indexer")


def main() -> int:
    """Index until asked to stop.

    Returns:
        The exit code: 0 stopped on request, 1 failed, 2 unusable settings.
    """
    leave_out_unused()
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    configure_logging("json")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the process start time already says it
    try:
        settings = load_settings()
        progress = Progress(monotonic=time.monotonic)
        indexer = make_indexer(settings, progress, stop)
    except KogptChatError as error:
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    try:
        health = HealthServer(
            settings.stack.host, settings.ports.at(settings.ports.indexer), progress.report, progress.page
        )
    except OSError as error:
        _log.error("port_taken", port=settings.ports.at(settings.ports.indexer), error=str(error))
        return FAILED
    health.start()
    thread = threading.Thread(target=_run, args=(indexer,), name="indexer", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.wait(_LOOK_S):
        pass
    thread.join(END_S)
    return STOPPED if stop.is_set() else FAILED


def leave_out_unused() -> None:
    """Let imports of the libraries that the clients do not need here fail, as if they were not installed."""
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def make_indexer(settings: Settings, progress: Progress, stop: threading.Event) -> Indexer:
    """Return an indexer on the servers of the settings.

    Args:
        settings: the servers, and the keys of those who may vouch for the author of a feedback.
        progress: gets the counters and the lag.
        stop: ends the indexer when it is set, also while it waits for a server.

    Raises:
        InvalidInput: the keys cannot be used.
    """

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopping

    index = bootstrap.index(settings, sleep=pause)
    # The time of ingest is only in the lake; the indexer leaves it out.
    reader = RecordReader(ingested_at=datetime.now(UTC), keys=signing_keys(settings))
    return Indexer(
        topics=bootstrap.topics(settings),
        index=index,
        writer=DocumentWriter(index=index, reader=reader, progress=progress),
        progress=progress,
        stop=stop,
        feedback_wait_s=settings.indexer.feedback_wait_s,
    )


def _run(indexer: Indexer) -> None:
    try:
        indexer.run()
    except Exception:  # noqa: BLE001 - the process ends, and its supervisor starts it again
        _log.exception("indexer_failed")


def run() -> None:
    """Run the indexer and end the process."""
    exit_code = main()
    with suppress(OSError, ValueError):  # the reader of the output may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)  # the indexing thread may be in a call that does not return


if __name__ == "__main__":
    run()
