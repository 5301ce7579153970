"""Servers and loads as processes on cores of their own, and what the operating system counts for them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from kogpt2_chat.settings import CHECKOUT

START_S: Final = 60.0
_STOP_S: Final = 15.0
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1


def python(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this checkout."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process so far, of all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def rss_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process."""
    return float(process.memory_info().rss) / 2**20


@contextmanager
def server(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    core: int | None = SERVER_CORE,
    environment: Mapping[str, str] | None = None,
    is_ready: Callable[[], bool] = lambda: True,
) -> Iterator[psutil.Popen]:
    """Run a server until the context ends.

    Args:
        command: how to start it.
        port: where it listens once it has started.
        log: file for its output.
        core: the core that it may use; None for any.
        environment: further environment variables.
        is_ready: returns whether it can be used, once it listens.

    Yields:
        The process.

    Raises:
        RuntimeError: it does not start.
    """
    with log.open("wb") as output:
        process = _start(command, core, environment, stdout=output, stderr=output)
        try:
            deadline_s = time.monotonic() + START_S
            while not (_listens(port) and is_ready()):
                if time.monotonic() > deadline_s or process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} has not started: see {log}")
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                process.kill()


@contextmanager
def load(
    command: Sequence[str], *, core: int | None = LOAD_CORE, environment: Mapping[str, str] | None = None
) -> Iterator[Iterator[Mapping[str, Any]]]:
    """Run a load; it prints lines of JSON.

    Yields:
        The lines. The load has ended after the last one.
    """
    process = _start(command, core, environment, stdout=subprocess.PIPE, text=True)
    try:
        yield (json.loads(line) for line in process.stdout)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(_STOP_S)


def measured(command: Sequence[str], process: psutil.Process) -> dict[str, Any]:
    """Run a load, and count what a server uses meanwhile.

    Args:
        command: the load. Its first line says that the measurement begins, its second one has the results.
        process: the server.

    Returns:
        The results of the load, with the server's CPU time, its memory and the machine's load average.

    Raises:
        RuntimeError: the load has failed.
    """
    with load(command) as lines:
        if next(lines, None) is None:
            raise RuntimeError(f"{' '.join(command)} has failed")
        before_s, began_s = cpu_s(process), time.monotonic()
        result = next(lines, None)
        if result is None:
            raise RuntimeError(f"{' '.join(command)} has failed")
        seconds = time.monotonic() - began_s
        return {
            **result,
            "cpu_share": (cpu_s(process) - before_s) / seconds,
            "rss_mb": rss_mb(process),
            "load_average": psutil.getloadavg()[0],
        }


def _start(
    command: Sequence[str], core: int | None, environment: Mapping[str, str] | None, **options: Any
) -> psutil.Popen:
    # A gateway must not take the settings of another stack from the caller's environment.
    own = {name: value for name, value in os.environ.items() if not name.startswith("KOGPT2_")}
    process = psutil.Popen(list(command), cwd=CHECKOUT, env={**own, **(environment or {})}, **options)
    if core is not None and core < (os.cpu_count() or 1):
        process.cpu_affinity([core])
    return process


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
