"""Ask the operating system for the processes of a stack and for the owners of ports."""

import errno
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import psutil

from kogpt2_chat.stack.program import MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that listens on a port.

    Attributes:
        pid: None if the operating system does not show it.
        command: its shortened command line, or a description if that is unknown.
    """

    pid: int | None
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else self.command


def stack_processes(home: Path) -> list[psutil.Process]:
    """Return all processes with this home's mark, regardless of their parent, and their descendants."""
    return [process for family in processes_by_name(home).values() for process in family]


def processes_by_name(home: Path) -> dict[str, list[psutil.Process]]:
    """Return the stack's processes by the name in their mark; a descendant without a mark belongs to its ancestor."""
    marked = [(process, mark_of(process).partition("@")) for process in psutil.process_iter()]
    ours = {process.pid: (mark[0], process) for process, mark in marked if mark[2] == str(home)}
    for name, process in list(ours.values()):
        for one in _family(process.pid):
            ours.setdefault(one.pid, (name, one))
    found: dict[str, list[psutil.Process]] = {}
    for name, process in ours.values():
        found.setdefault(name, []).append(process)
    return found


def stop_processes(processes: Iterable[psutil.Process], grace_s: float) -> int:
    """Terminate processes, kill those that still run after ``grace_s``, and return how many were killed.

    psutil checks that a process id was not reused.
    """
    alive = [process for process in processes if process.pid != os.getpid()]
    for process in alive:
        with suppress(psutil.Error):
            process.terminate()
    _, remaining = psutil.wait_procs(alive, timeout=grace_s)
    for process in remaining:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(remaining, timeout=5)
    return len(remaining)


def missing_ports(pid: int, ports: Collection[int]) -> set[int]:
    """Return the ports on which neither the process nor a descendant listens. Check the parent first, to save time."""
    missing = set(ports)
    for process in _family(pid):
        if not missing:
            break
        missing -= {address[1] for address in _listens(process)}
    return missing


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, its descendants and its reaped children; 0 if the process has ended."""
    return sum(_used(process) for process in _family(pid))


def port_is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on a port now; connections left by an earlier server do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def port_owner(port: int) -> Owner:
    """Return the process that listens on a port, as far as the operating system shows it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return Owner(pid=connection.pid, command=_command(connection.pid))
    return Owner(pid=None, command="a process of another user")


def wait_until(condition: Callable[[], bool], deadline: float, pause_s: float = 0.2) -> bool:
    """Poll ``condition()`` until it holds or the monotonic clock passes ``deadline``; return whether it holds."""
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def _family(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _used(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _listens(process: psutil.Process) -> list[tuple[str, int]]:
    with suppress(psutil.Error):
        found = process.net_connections("tcp")
        return [(one.laddr[0], one.laddr[1]) for one in found if one.laddr and one.status == psutil.CONN_LISTEN]
    return []


def mark_of(process: psutil.Process) -> str:
    """Return the mark ``NAME@HOME`` of a process that a stack started; empty for other processes."""
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARK, "")
    return ""


def _command(pid: int) -> str:
    with suppress(psutil.Error):
        return shorten(" ".join(psutil.Process(pid).cmdline()), 120)
    return "already ended"
