"""A gateway as a real process beside the stack's own, which remembers what earlier tests have changed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import requests

from kogpt2_chat.settings import CHECKOUT, Settings

START_S = 60.0
PORT = 8040
"""Before the offset; no server of a stack has it."""


class GatewayProcess:
    """``python -m world.gateway`` with the stack's home and keys, and a port of its own.

    Args:
        settings: the settings of the stack.
        folder: the folder for its log.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.url = f"http://{settings.stack.host}:{settings.ports.at(PORT)}"
        self._log_path = folder / "gateway.log"
        environment = {**os.environ, "KOGPT2_PORTS__GATEWAY": str(PORT)}
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "world.gateway"], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
            )

    def wait_ready(self) -> "GatewayProcess":
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            assert self._process.poll() is None, f"the gateway ended: {self._tail()}"
            assert time.monotonic() < deadline, f"not ready in {START_S} s: {self._tail()}"
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def _is_ready(self) -> bool:
        try:
            return bool(requests.get(f"{self.url}/health", timeout=5).ok)
        except (requests.ConnectionError, requests.Timeout):
            return False

    def _tail(self) -> str:
        return self._log_path.read_text(errors="replace")[-4000:]
