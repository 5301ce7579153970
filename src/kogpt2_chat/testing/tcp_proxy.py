"""A TCP proxy for fault tests: holds chosen Kafka requests, adds latency, cuts connections.

Of Kafka it knows the start of a request's frame and nothing else: length int32, api key int16, api version int16,
correlation id int32, all big endian (https://kafka.apache.org/protocol#protocol_messages). Answers pass as bytes.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

ADD_PARTITIONS_TO_TXN: Final = 24
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26
"""Commit or abort of a transaction."""
TXN_OFFSET_COMMIT: Final = 28
TRANSACTION_REQUESTS: Final = (ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, TXN_OFFSET_COMMIT, END_TXN)
"""Api keys of what a transaction consists of besides its records, in the order in which they are sent."""

_LENGTH: Final = struct.Struct(">i")
_HEAD: Final = struct.Struct(">hhi")
_PIECE: Final = 64 * 1024
_ACCEPT_S: Final = 0.2
_LINGER_S: Final = 2.0
Address = tuple[str, int]


@dataclass(slots=True, eq=False)
class Held:
    """One request that does not go on until it is told to.

    Attributes:
        frame: the whole request, length included.
        client: the connection that it came over.
        decided: set once it is known what becomes of it.
        dropped: never to be sent.
        answered: set once the broker has said something to it.
    """

    frame: bytes
    client: socket.socket
    decided: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Send it after all."""
        self.decided.set()

    def lose_client(self) -> None:
        """End its connection on the client's side only: the client tries again, and this one may still arrive."""
        _end(self.client)

    def drop(self) -> None:
        """Never send it; its client waits for an answer in vain."""
        self.dropped = True
        self.decided.set()


class TcpProxy:
    """Forwards between clients and one broker.

    A held request holds up its own connection and no other. It can still be sent when its client has given up and
    gone, so that it arrives late, as from a slow network.

    Args:
        address: where clients connect.
        target: the broker's listener that is advertised as ``address``.

    Attributes:
        delay_s: how long each piece waits, in both directions.
        held: requests waiting now, oldest first.
        seen: how many requests of each api key went past or were held.
    """

    def __init__(self, address: Address, target: Address) -> None:
        self._target = target
        self._listener = socket.create_server(address)
        self._listener.settimeout(_ACCEPT_S)
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._to_hold: dict[int, int] = {}
        self._sockets: set[socket.socket] = set()
        self._let_go: dict[socket.socket, Held] = {}
        self._thread = threading.Thread(target=self._accept, name="tcp-proxy", daemon=True)
        self.delay_s = 0.0
        self.held: list[Held] = []
        self.seen: dict[int, int] = {}

    @property
    def address(self) -> Address:
        """Where it really listens."""
        host, port = self._listener.getsockname()
        return host, port

    def start(self) -> None:
        """Begin to take connections."""
        self._thread.start()

    def hold(self, api_key: int, count: int = 1) -> None:
        """Hold the next requests of a kind."""
        with self._changed:
            self._to_hold[api_key] = self._to_hold.get(api_key, 0) + count

    def wait_held(self, timeout_s: float) -> Held:
        """The oldest request held now; it is the caller's to decide on.

        Raises:
            TimeoutError: none came.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self.held), timeout_s):
                raise TimeoutError(f"no request to hold came in {timeout_s:g} s; seen by api key: {self.seen}")
            return self.held.pop(0)

    def cut(self) -> None:
        """End every connection; clients may connect again."""
        with self._changed:
            sockets = list(self._sockets)
        for each in sockets:
            _end(each)

    def close(self) -> None:
        """Take no more connections and end all; held requests are dropped."""
        self._closed.set()
        with self._changed:
            waiting, self.held = self.held, []
        for one in waiting:
            one.drop()
        self._thread.join(timeout=2.0)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                broker = socket.create_connection(self._target, timeout=5.0)
            except OSError:  # the broker is away: the client sees what it would see without a proxy
                _end(client)
                continue
            for each in (client, broker):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                each.settimeout(None)
            with self._changed:
                self._sockets |= {client, broker}
            for work in (self._requests, self._answers):
                threading.Thread(target=self._carry, args=(work, client, broker), daemon=True).start()

    def _carry(
        self, work: Callable[[socket.socket, socket.socket], None], client: socket.socket, broker: socket.socket
    ) -> None:
        with suppress(OSError):
            work(client, broker)
        for each in (client, broker):
            _end(each)
        with self._changed:
            self._sockets -= {client, broker}

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        was_held = False
        for frame in _frames(client):
            self._wait()
            held = self._look(frame, client)
            if held is not None:
                held.decided.wait()
                was_held = True
                if held.dropped:
                    continue
                self._let_go[broker] = held
            broker.sendall(frame)
        if was_held:  # the broker drops what it has not begun on when the connection ends
            self._closed.wait(_LINGER_S)

    def _answers(self, client: socket.socket, broker: socket.socket) -> None:
        while piece := broker.recv(_PIECE):
            self._wait()
            if held := self._let_go.pop(broker, None):
                held.answered.set()
            with suppress(OSError):  # a client that has gone does not keep a held request from being sent
                client.sendall(piece)

    def _wait(self) -> None:
        if self.delay_s:
            time.sleep(self.delay_s)

    def _look(self, frame: bytes, client: socket.socket) -> Held | None:
        """Count a request; give it back as held where its kind is to be held."""
        api_key, _, _ = _HEAD.unpack_from(frame, _LENGTH.size)
        with self._changed:
            self.seen[api_key] = self.seen.get(api_key, 0) + 1
            if not self._to_hold.get(api_key):
                return None
            self._to_hold[api_key] -= 1
            self.held.append(Held(frame, client))
            self._changed.notify_all()
            return self.held[-1]


def _frames(client: socket.socket) -> Iterator[bytes]:
    """Whole requests, until the client has gone."""
    reader = client.makefile("rb")
    while len(length := reader.read(_LENGTH.size)) == _LENGTH.size:
        body = reader.read(_LENGTH.unpack(length)[0])
        yield length + body


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
