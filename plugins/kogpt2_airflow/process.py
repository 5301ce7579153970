"""Run one command to its end, show its progress line by line, and leave nothing of it behind.

Knows nothing of Airflow.
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

from kogpt2_chat.machine.orphans import ended_with

Stream = Literal["stdout", "stderr"]
POLL_S: Final = 0.2
GRACE_S: Final = 3.0
"""Airflow sends SIGKILL 5 s after SIGTERM: the whole group must be gone before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """How a command ended.

    Attributes:
        code: exit code; negative: the signal that killed it.
        stdout: all lines of its standard output.
        last_stderr_line: the last line of its standard error that was not empty.
    """

    code: int
    stdout: tuple[str, ...]
    last_stderr_line: str


@dataclass(slots=True)
class Command:
    """A subprocess in a process group of its own, with all it starts."""

    words: Sequence[str]
    say: Callable[[str], None]
    _process: subprocess.Popen[str] | None = None
    _stdout: list[str] = field(default_factory=list)
    _last_stderr_line: str = ""
    _stopped_at: float | None = None

    def run(self) -> ProcessResult:
        """Run to the end, handing each line of standard error on as it comes.

        The group is ended on every way out: a timeout or an interruption raises in here.
        """
        lines: queue.SimpleQueue[tuple[Stream, str]] = queue.SimpleQueue()
        process = subprocess.Popen(
            list(self.words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=ended_with(os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - it takes no lock
            encoding="utf-8",
            errors="replace",
        )
        self._process = process
        try:
            readers = [_reader("stdout", process.stdout, lines), _reader("stderr", process.stderr, lines)]
            while process.poll() is None:
                self._take(lines)
                self._escalate(process)
            self.end()  # first, or a grandchild that still holds the pipes would keep the readers waiting
            for reader in readers:
                reader.join(timeout=GRACE_S)
            while not lines.empty():
                self._take(lines)
        finally:
            self.end()
        return ProcessResult(
            code=process.returncode, stdout=tuple(self._stdout), last_stderr_line=self._last_stderr_line
        )

    def stop(self) -> None:
        """Ask the group to end; :meth:`run` then sees to it. Only signals: this may be called by a signal's handler."""
        if self._process is not None and self._stopped_at is None:
            self._stopped_at = time.monotonic()
            _signal_group(self._process.pid, signal.SIGTERM)

    def end(self) -> None:
        """End the command and everything it started: SIGTERM, then SIGKILL. Harmless when all are gone."""
        process = self._process
        if process is None:
            return
        if _signal_group(process.pid, signal.SIGTERM) and process.poll() is None:
            try:
                process.wait(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                self.say(f"the command did not end within {GRACE_S:g} s of SIGTERM: killing it")
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    def _escalate(self, process: subprocess.Popen[str]) -> None:
        if self._stopped_at is not None and time.monotonic() - self._stopped_at > GRACE_S:
            _signal_group(process.pid, signal.SIGKILL)

    def _take(self, lines: "queue.SimpleQueue[tuple[Stream, str]]") -> None:
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


def _signal_group(group: int, number: signal.Signals) -> bool:
    """Whether there was still somebody to signal."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
