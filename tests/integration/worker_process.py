"""A worker as a real process, in the same consumer group as the stack's workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from kogpt2_chat.settings import CHECKOUT, Settings

START_S = 180.0


class WorkerProcess:
    """`python -m serving` with its own ordinal and its own home.

    Args:
        settings: the settings of the stack.
        ordinal: its number; no other process may have the same.
        home: the folder for its crash log and its models.
        failpoint: see :class:`serving.watchdog.Failpoint`.
        more: further environment variables.
        folder: the checkout whose code runs.
        ordinal_name: the environment variable from which that code reads the ordinal.
    """

    def __init__(
        self,
        settings: Settings,
        ordinal: int,
        home: Path,
        failpoint: str = "",
        more: Mapping[str, str] | None = None,
        *,
        folder: Path = CHECKOUT,
        ordinal_name: str = "KOGPT2_SERVING__ORDINAL",
    ) -> None:
        self.url = (
            f"http://{settings.stack.host}:{settings.ports.at(settings.ports.worker_metrics) + ordinal - 1}/health"
        )
        self.log_path = home / f"worker-{ordinal}.log"
        environment = {
            **os.environ,
            "KOGPT2_PORTS__OFFSET": str(settings.ports.offset),
            "KOGPT2_HOME": str(home),
            ordinal_name: str(ordinal),
            "KOGPT2_SERVING__FAILPOINT": failpoint,
            "KOGPT2_SERVING__SESSION_TIMEOUT_S": "6",
            "KOGPT2_MODEL__THREADS": "1",
            "PYTHONFAULTHANDLER": "1",
            **(more or {}),
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving"], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def wait_ready(self) -> "WorkerProcess":
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            assert self.process.poll() is None, f"the worker ended: {self.tail()}"
            assert time.monotonic() < deadline, f"not ready in {START_S} s: {self.tail()}"
            time.sleep(0.1)
        return self

    def health(self) -> dict:
        return requests.get(self.url, timeout=5).json()

    def terminate(self) -> float:
        """Send SIGTERM, wait for the end, and return the seconds it took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGABRT)  # writes the threads' stacks to the log
                self.process.wait(timeout=10)
                raise AssertionError(f"SIGTERM did not end the worker: {self.tail()}") from None
        return time.monotonic() - started

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)

    def tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    def is_ready(self) -> bool:
        try:
            return requests.get(self.url, timeout=5).status_code == requests.codes.ok
        except (requests.ConnectionError, requests.Timeout):
            return False
