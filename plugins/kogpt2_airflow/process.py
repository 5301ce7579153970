"""Run one command, forward its progress line by line, and end all processes that it started.

This module does not depend on Airflow.
"""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from kogpt2_chat.machine.orphans import end_with_parent
from kogpt2_chat.machine.process_groups import end_group, signal_group

Stream = Literal["stdout", "stderr"]
POLL_S: Final = 0.2
GRACE_S: Final = 3.0
"""Airflow sends SIGKILL 5 s after SIGTERM; the whole process group must end before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """The result of a command.

    Attributes:
        code: exit code; a negative number is the signal that killed the process.
        stdout: all lines of standard output.
        last_stderr_line: the last non-empty line of standard error.
    """

    code: int
    stdout: tuple[str, ...]
    last_stderr_line: str


@dataclass(slots=True)
class Command:
    """A subprocess in its own process group, together with all processes it starts."""

    argv: Sequence[str]
    say: Callable[[str], None]
    _process: subprocess.Popen[str] | None = None
    _stdout: list[str] = field(default_factory=list)
    _last_stderr_line: str = ""
    _stopped_at: float | None = None

    def run(self) -> ProcessResult:
        """Run the command to its end, and forward each line of standard error as it arrives.

        The process group is always ended, even if a timeout or an interruption raises in this method.
        """
        lines: queue.SimpleQueue[tuple[Stream, str]] = queue.SimpleQueue()
        process = subprocess.Popen(
            list(self.argv),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent(os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - it acquires no lock
            encoding="utf-8",
            errors="replace",
        )
        self._process = process
        try:
            readers = [_reader("stdout", process.stdout, lines), _reader("stderr", process.stderr, lines)]
            while process.poll() is None:
                self._read_line(lines)
                self._escalate(process)
            self.end()  # before the readers are joined: a grandchild that holds the pipes would block them
            for reader in readers:
                reader.join(timeout=GRACE_S)
            while not lines.empty():
                self._read_line(lines)
        finally:
            self.end()
        return ProcessResult(
            code=process.returncode, stdout=tuple(self._stdout), last_stderr_line=self._last_stderr_line
        )

    def stop(self) -> None:
        """Send SIGTERM to the group; :meth:`run` escalates to SIGKILL. Signal handlers can call this method."""
        if self._process is not None and self._stopped_at is None:
            self._stopped_at = time.monotonic()
            signal_group(self._process.pid, signal.SIGTERM)

    def end(self) -> None:
        """End the whole group with SIGTERM, then SIGKILL. Does nothing if all processes have ended."""
        if self._process is not None:
            end_group(
                self._process,
                GRACE_S,
                lambda: self.say(f"the command did not end within {GRACE_S:g} s of SIGTERM: killing it"),
            )

    def _escalate(self, process: subprocess.Popen[str]) -> None:
        if self._stopped_at is not None and time.monotonic() - self._stopped_at > GRACE_S:
            signal_group(process.pid, signal.SIGKILL)

    def _read_line(self, lines: "queue.SimpleQueue[tuple[Stream, str]]") -> None:
        try:
            stream, line = lines.get(timeout=POLL_S)
        except queue.Empty:
            return
        if stream == "stdout":
            self._stdout.append(line)
        elif line.strip():
            self._last_stderr_line = line.strip()
            self.say(line)


def _reader(stream: Stream, pipe: IO[str] | None, lines: "queue.SimpleQueue[tuple[Stream, str]]") -> threading.Thread:
    def pump() -> None:
        for line in pipe or ():
            lines.put((stream, line.rstrip("\n")))

    thread = threading.Thread(target=pump, name=f"read-{stream}", daemon=True)
    thread.start()
    return thread
