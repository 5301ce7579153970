"""The supervisor of one stack: a supervisord whose Unix socket only its owner can use."""

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import psutil
from supervisor.xmlrpc import SupervisorTransport, UnixStreamHTTPConnection

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.processes import mark_of
from kogpt2_chat.stack.program import MARK, Program, clean_environment

GONE: Final = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})
_ALREADY: Final = frozenset({60, 70})
"""Fault codes ALREADY_STARTED and NOT_RUNNING of supervisor's XML-RPC: the requested state is already reached."""
ANSWER_S: Final = 5.0
"""Longest wait for an answer. A supervisor that takes longer was suspended by a signal, or the machine hangs."""
_START_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of one program as the supervisor reports it.

    Attributes:
        state: e.g. ``RUNNING``; see supervisor's process states.
        pid: the process id; None if there is no process.
        started: start time in seconds since 1970.
        exit_code: exit code of the last process that ended.
        detail: the supervisor's own description.
    """

    state: str
    pid: int | None
    started: int
    exit_code: int
    detail: str


class SupervisorTimeout(Unavailable):
    """The supervisor did not answer in time; it may still carry out the request."""


class _TimeoutConnection(UnixStreamHTTPConnection):
    """A connection with a timeout; supervisor's own waits forever."""

    def connect(self) -> None:
        """Connect within the timeout, which then applies to every answer."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socketfile)


class SupervisorClient:
    """Client of a running supervisor. Every call returns within the timeout or raises SupervisorTimeout."""

    def __init__(self, folders: Folders, answer_s: float = ANSWER_S) -> None:
        self._folders = folders
        self._answer_s = answer_s
        transport = SupervisorTransport(None, None, f"unix://{folders.socket}")
        transport._get_connection = self._connection  # noqa: SLF001 - the only way to set a timeout
        self._proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def alive(self) -> bool:
        """Return whether it answers."""
        try:
            self._call("getState")
        except Unavailable:
            return False
        return True

    def states(self) -> dict[str, State]:
        """Return the state of each program by name."""
        rows = cast("list[dict[str, object]]", self._call("getAllProcessInfo"))
        return {
            str(row["name"]): State(
                state=str(row["statename"]),
                pid=cast("int", row["pid"]) or None,
                started=cast("int", row["start"]),
                exit_code=cast("int", row["exitstatus"]),
                detail=str(row["spawnerr"] or row["description"]),
            )
            for row in rows
        }

    def start(self, name: str) -> None:
        """Start a program, without waiting until it runs."""
        self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Ask a program to stop, without waiting until it has stopped."""
        self._call("stopProcess", name, False)

    def reload(self, running: Iterable[str]) -> None:
        """Read the configuration again; running programs keep their old one."""
        added, changed, removed = cast("list[list[list[str]]]", self._call("reloadConfig"))[0]
        alive = set(running)
        for name in [*changed, *removed]:
            if name not in alive:
                self._call("removeProcessGroup", name)
        for name in [*changed, *added]:
            if name not in alive:
                self._call("addProcessGroup", name)

    def shut_down(self, timeout_s: float) -> None:
        """Stop the supervisor and all its programs; wait until its process has ended, not only its socket."""
        pid = cast("int", self._call("getPID"))
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            self._call("shutdown")
            process.wait(timeout_s)

    def _call(self, call: str, *arguments: object) -> object:
        try:
            return getattr(self._proxy.supervisor, call)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in _ALREADY:
                return None
            what = f"{call} {arguments[0]}" if arguments else call
            raise Unavailable(f"the supervisor refused {what}: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
            # The transport would reuse this connection, on which the late answer to this call may still arrive.
            self._proxy("close")()
            raise SupervisorTimeout(
                f"the supervisor at {self._folders.socket} did not answer {call}: {error or type(error).__name__}"
            ) from error

    def _connection(self) -> _TimeoutConnection:
        connection = _TimeoutConnection("localhost", timeout=self._answer_s)
        connection.socketfile = str(self._folders.socket)
        return connection


class Supervisor:
    """The supervisor of one stack; it need not be running.

    Args:
        folders: the folders of the stack.
        answer_s: the longest wait for an answer.
    """

    def __init__(self, folders: Folders, answer_s: float = ANSWER_S) -> None:
        self.folders = folders
        self._answer_s = answer_s

    def find(self) -> SupervisorClient | None:
        """Return a client of the running supervisor; None if none is running or it does not answer."""
        if not self.folders.socket.exists():
            return None
        client = SupervisorClient(self.folders, self._answer_s)
        return client if client.alive() else None

    def unresponsive(self) -> psutil.Process | None:
        """Return the process of a supervisor that does not answer: the one in the pid file, if it has this home's mark.

        After a reboot, another process may have this process id.
        """
        try:
            process = psutil.Process(int((self.folders.run / "supervisord.pid").read_text()))
        except (OSError, ValueError, psutil.Error):
            return None
        return process if mark_of(process) == f"supervisord@{self.folders.home}" else None

    def unresponsive_message(self, process: psutil.Process) -> str:
        """Return the message about the process of a supervisor that does not answer."""
        return (
            f"the supervisor (pid {process.pid}, {process.status()}) does not answer within {self._answer_s:g} s: "
            f"resume it with `kill -CONT {process.pid}`, or stop everything with `kogpt2-chat stack down`"
        )

    def start(self, text: str) -> SupervisorClient:
        """Start a supervisor that outlives this process.

        Args:
            text: the content of ``supervisord.conf``.

        Returns:
            A client, once the supervisor answers.

        Raises:
            Unavailable: it did not start; the message contains its output.
        """
        folders = self.folders
        path = self.write_configuration(text)
        folders.socket.unlink(missing_ok=True)
        environment = {**clean_environment(), MARK: f"supervisord@{folders.home}"}
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", path],
            env=environment,
            cwd=folders.run,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        client, deadline = SupervisorClient(folders, self._answer_s), time.monotonic() + _START_S
        while done.returncode == 0 and time.monotonic() < deadline:
            if client.alive():
                return client
            time.sleep(0.1)
        output = (done.stderr or done.stdout).strip() or f"no answer in {_START_S:.0f} s"
        raise Unavailable(f"the supervisor did not start: {output}")

    def write_configuration(self, text: str) -> Path:
        """Write supervisor's configuration atomically, and return its path."""
        path = self.folders.run / "supervisord.conf"
        new = path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        return new.replace(path)


def configuration(folders: Folders, programs: Iterable[Program]) -> str:
    """Return the text of ``supervisord.conf``."""
    return "\n".join([_head(folders), *(_section(folders, program) for program in programs)])


def script_path(folders: Folders, program: Program) -> str:
    """Return the path of a program's start script. If the program runs as another user, that user can read it."""
    return str(folders.conf(program.name, open_to_user=bool(program.user)) / "start.sh")


def _head(folders: Folders) -> str:
    user = "user=root\n" if os.geteuid() == 0 else ""
    return _escaped(f"""\
[unix_http_server]
file={folders.socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile={folders.log("supervisord")}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={folders.run}/supervisord.pid
childlogdir={folders.logs}
directory={folders.run}
umask=022
minfds=4096
{user}""")


def _section(folders: Folders, program: Program) -> str:
    lines = [
        f"[program:{program.name}]",
        f'command=/bin/sh "{script_path(folders, program)}"',
        "autostart=false",
        *_restarts(program),
        f"startsecs={0 if program.once else 2}",
        "startretries=5",
        f"stopasgroup={str(not program.stops_children).lower()}",
        "killasgroup=true",
        f"stopwaitsecs={program.stop_wait_s}",
        "redirect_stderr=true",
        f"stdout_logfile={folders.log(program.name)}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=2",
        *([f"user={program.user}"] if program.user else []),
        "",
    ]
    return _escaped("\n".join(lines))


def _restarts(program: Program) -> list[str]:
    """Return when to restart a program: always, never, or after any exit code except the final ones."""
    if program.once:
        return ["autorestart=false"]
    if not program.final_exit_codes:
        return ["autorestart=true"]
    return ["autorestart=unexpected", f"exitcodes={','.join(map(str, program.final_exit_codes))}"]


def _escaped(text: str) -> str:
    """Escape percent signs: supervisor expands ``%(name)s`` in every value."""
    return text.replace("%", "%%")
