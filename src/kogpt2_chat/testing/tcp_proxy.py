"""A TCP proxy for fault tests: it holds chosen Kafka requests, adds latency and closes connections.

It parses only the header of a request's frame: length int32, api key int16, api version int16, correlation id int32,
all big endian (https://kafka.apache.org/protocol#protocol_messages). Responses are forwarded as bytes.
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
"""Commits or aborts a transaction."""
TXN_OFFSET_COMMIT: Final = 28
TRANSACTION_REQUESTS: Final = (ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, TXN_OFFSET_COMMIT, END_TXN)
"""Api keys of a transaction's requests other than the produce requests, in the order in which the client sends them."""

_LENGTH: Final = struct.Struct(">i")
_HEAD: Final = struct.Struct(">hhi")
_PIECE: Final = 64 * 1024
_ACCEPT_S: Final = 0.2
_KEEP_OPEN_S: Final = 2.0
Address = tuple[str, int]


@dataclass(slots=True, eq=False)
class Held:
    """A request that waits in the proxy until a test releases or drops it.

    Attributes:
        frame: the whole request, including its length.
        client: the client's connection.
        decided: set once the request is released or dropped.
        dropped: whether the request is never forwarded.
        answered: set once the broker has sent a response.
    """

    frame: bytes
    client: socket.socket
    decided: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Forward the request to the broker."""
        self.decided.set()

    def lose_client(self) -> None:
        """Close the client's side of the connection: the client resends, and this request can still arrive later."""
        _close(self.client)

    def drop(self) -> None:
        """Never forward the request; the client gets no response."""
        self.dropped = True
        self.decided.set()


class TcpProxy:
    """A proxy between clients and one broker.

    A held request blocks only its own connection. It can still be forwarded after its client has disconnected, so that
    it arrives late, as from a slow network.

    Args:
        address: the address that clients connect to.
        target: the broker's listener that is advertised as ``address``.

    Attributes:
        delay_s: delay of each request and each piece of a response.
        held: the requests that are held now, oldest first.
        seen: how many requests were received, by api key.
    """

    def __init__(self, address: Address, target: Address) -> None:
        self._target = target
        self._listener = socket.create_server(address)
        self._listener.settimeout(_ACCEPT_S)
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._to_hold: dict[int, int] = {}
        self._sockets: set[socket.socket] = set()
        self._released: dict[socket.socket, Held] = {}
        self._thread = threading.Thread(target=self._accept, name="tcp-proxy", daemon=True)
        self.delay_s = 0.0
        self.held: list[Held] = []
        self.seen: dict[int, int] = {}

    @property
    def address(self) -> Address:
        """The address that the proxy listens on, with the real port."""
        host, port = self._listener.getsockname()
        return host, port

    def start(self) -> None:
        """Start accepting connections."""
        self._thread.start()

    def hold(self, api_key: int, count: int = 1) -> None:
        """Hold the next ``count`` requests with an api key."""
        with self._changed:
            self._to_hold[api_key] = self._to_hold.get(api_key, 0) + count

    def wait_held(self, timeout_s: float) -> Held:
        """Wait for a held request and return the oldest; the caller must release or drop it.

        Raises:
            TimeoutError: no request was held in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self.held), timeout_s):
                raise TimeoutError(f"no request was held within {timeout_s:g} s; requests by api key: {self.seen}")
            return self.held.pop(0)

    def cut(self) -> None:
        """Close every connection; clients may reconnect."""
        with self._changed:
            sockets = list(self._sockets)
        for each in sockets:
            _close(each)

    def close(self) -> None:
        """Stop accepting connections, close all and drop the held requests."""
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
            except OSError:  # the broker is down: the client sees a closed connection
                _close(client)
                continue
            for each in (client, broker):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                each.settimeout(None)
            with self._changed:
                self._sockets |= {client, broker}
            for forward in (self._forward_requests, self._forward_responses):
                threading.Thread(target=self._run_until_closed, args=(forward, client, broker), daemon=True).start()

    def _run_until_closed(
        self, forward: Callable[[socket.socket, socket.socket], None], client: socket.socket, broker: socket.socket
    ) -> None:
        with suppress(OSError):
            forward(client, broker)
        for each in (client, broker):
            _close(each)
        with self._changed:
            self._sockets -= {client, broker}

    def _forward_requests(self, client: socket.socket, broker: socket.socket) -> None:
        was_held = False
        for frame in _frames(client):
            self._delay()
            held = self._count_or_hold(frame, client)
            if held is not None:
                held.decided.wait()
                was_held = True
                if held.dropped:
                    continue
                self._released[broker] = held
            broker.sendall(frame)
        if was_held:  # when a connection closes, the broker drops requests that it has not begun to process
            self._closed.wait(_KEEP_OPEN_S)

    def _forward_responses(self, client: socket.socket, broker: socket.socket) -> None:
        while piece := broker.recv(_PIECE):
            self._delay()
            if held := self._released.pop(broker, None):
                held.answered.set()
            with suppress(OSError):  # a disconnected client must not stop this loop
                client.sendall(piece)

    def _delay(self) -> None:
        if self.delay_s:
            time.sleep(self.delay_s)

    def _count_or_hold(self, frame: bytes, client: socket.socket) -> Held | None:
        """Count a request; if its api key is to be held, return it as held."""
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
    """Yield whole requests until the client disconnects."""
    reader = client.makefile("rb")
    while len(length := reader.read(_LENGTH.size)) == _LENGTH.size:
        body = reader.read(_LENGTH.unpack(length)[0])
        yield length + body


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
