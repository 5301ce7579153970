"""A connection from each rank to the driver, which learns from it how the training goes and which rank ended first.

If a rank is killed, its system closes the connection at once, before any other rank can notice and end too. Spark only
reports which of its tasks failed first, and that may be a rank that merely lost its peer. Messages are JSON; both sides
prove that they know the run's key.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from types import TracebackType
from typing import Any, Final, Literal, Self

Why = Literal["input", "error", "peer"]
"""Why a rank failed: unusable input, an error of its own, or because another rank was lost."""
BEAT_S: Final = 1.0
SILENT_S: Final = 10.0
"""A rank that was not heard of for this long, while others waited for it, does not answer."""
_SETTLE_S: Final = 3.0


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the driver knows about a rank."""

    where: str
    last: float = field(default_factory=time.monotonic)
    done: bool = False
    why: Why | None = None
    text: str = ""


class RankWatch:
    """The driver's side.

    Args:
        host: address of this machine at which the ranks reach it.
        progress: called with each line of rank 0.

    Attributes:
        checkpoint: step of the last checkpoint that this run resumed from or wrote; 0 if there is none.
    """

    def __init__(self, host: str, progress: Callable[[str], None]) -> None:
        self._key = secrets.token_bytes(32)
        self._listener = Listener((host, 0), authkey=self._key)
        self._progress = progress
        self._by_rank: dict[int, _Seen] = {}
        self._ended: list[int] = []
        self.checkpoint = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> dict[str, Any]:
        """What a rank needs to connect, as JSON values."""
        host, port = self._listener.address
        return {"host": host, "port": port, "key": self._key.hex()}

    def close(self) -> None:
        """Accept no more connections. Ranks whose connection is still open end when this process does."""
        self._listener.close()

    def rejection(self) -> str | None:
        """Return why the input cannot be trained on; None if that is not what failed."""
        return next((seen.text for seen in self._by_rank.values() if seen.why == "input"), None)

    def first_failure(self, ranks: int) -> str | None:
        """Return which rank failed first and how, in a sentence without a full stop; None if no rank is known to.

        Args:
            ranks: number of ranks of the run.
        """
        deadline = time.monotonic() + _SETTLE_S
        while not self._ended and time.monotonic() < deadline:  # the connection may be closed a moment later
            time.sleep(0.05)
        for number, seen in self._by_rank.items():
            if seen.why == "error":
                return f"{self._name(number, ranks)} failed: {seen.text}"
        for number in self._ended:
            seen = self._by_rank[number]
            if not seen.done and seen.why is None:
                return (
                    f"{self._name(number, ranks)} ended without an error of its own: "
                    "it was killed, or its machine has no memory left or is down"
                )
        now = time.monotonic()
        for number, seen in self._by_rank.items():
            if not seen.done and seen.why is None and now - seen.last > SILENT_S:
                return f"{self._name(number, ranks)} has not answered for {now - seen.last:.0f} s"
        lost = [seen.text for seen in self._by_rank.values() if seen.why == "peer"]
        return f"the ranks lost each other, e.g. since the network failed: {lost[0]}" if lost else None

    def _name(self, number: int, ranks: int) -> str:
        return f"rank {number} (of 0 to {ranks - 1}; {self._by_rank[number].where})"

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # not one of the ranks
            except OSError:
                return  # closed
            threading.Thread(target=self._follow, args=(connection,), daemon=True).start()

    def _follow(self, connection: Connection) -> None:
        hello = json.loads(connection.recv_bytes())
        number = int(hello["rank"])
        self._by_rank[number] = seen = _Seen(where=f"process {hello['pid']} on {hello['host']}")
        try:
            while True:
                self._take(seen, json.loads(connection.recv_bytes()))
        except (EOFError, OSError):
            self._ended.append(number)

    def _take(self, seen: _Seen, message: Mapping[str, Any]) -> None:
        seen.last = time.monotonic()
        match message["kind"]:
            case "line":
                self._progress(str(message["text"]))
            case "checkpoint":
                self.checkpoint = int(message["step"])
            case "failed":
                seen.why, seen.text = message["why"], str(message["text"])
            case "done":
                seen.done = True


class RankLine:
    """A rank's side. The process ends at once if the driver does: nobody would read its result.

    Args:
        address: of the driver's :class:`RankWatch`.
        rank: number of this rank.
    """

    def __init__(self, address: Mapping[str, Any], rank: int) -> None:
        self._connection = Client((address["host"], address["port"]), authkey=bytes.fromhex(address["key"]))
        self._lock, self._left = threading.Lock(), threading.Event()
        self._send(rank=rank, pid=os.getpid(), host=socket.gethostname())

    def __enter__(self) -> Self:
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._end_with_driver, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._left.set()
        if error is None:
            self._send(kind="done")

    def line(self, text: str) -> None:
        """Show a line of progress."""
        self._send(kind="line", text=text)

    def checkpoint(self, step: int) -> None:
        """Tell that the next run would resume at this step."""
        self._send(kind="checkpoint", step=step)

    def failed(self, why: Why, error: BaseException) -> None:
        """Tell why this rank ends."""
        text = str(error) if why == "input" else f"{type(error).__name__}: {error}"
        self._send(kind="failed", why=why, text=text)

    def _send(self, **message: object) -> None:
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def _beat(self) -> None:
        while not self._left.wait(BEAT_S):
            self._send(kind="beat")

    def _end_with_driver(self) -> None:
        try:
            self._connection.recv_bytes()  # the driver sends nothing: this returns when it has ended
        except (EOFError, OSError):
            if not self._left.is_set():
                os._exit(1)
