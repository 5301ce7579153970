"""The proxy of the fault tests: which requests it holds, and which it forwards."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from kogpt2_chat.testing.tcp_proxy import END_TXN, TcpProxy

FETCH = 1
WAIT_S = 10.0


class Echo:
    """A server in place of a broker that sends all bytes back."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.received = bytearray()
        self.changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def wait_for(self, frame: bytes) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: frame in self.received, WAIT_S)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        while piece := client.recv(4096):
            with self.changed:
                self.received += piece
                self.changed.notify_all()
            client.sendall(piece)


def request(api_key: int, number: int) -> bytes:
    body = struct.pack(">hhi", api_key, 3, number) + b"body"
    return struct.pack(">i", len(body)) + body


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    made = TcpProxy(("127.0.0.1", 0), echo.listener.getsockname())
    made.start()
    yield made
    made.close()


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address, timeout=WAIT_S) as made:
        yield made


def test_requests_and_responses_are_forwarded(client, proxy):
    """This holds for pieces of any size. Requests are counted by api key."""
    sent = request(FETCH, 1) + request(END_TXN, 2)
    for n in range(len(sent)):
        client.sendall(sent[n : n + 1])
    received = b""
    while len(received) < len(sent):
        received += client.recv(4096)
    assert received == sent
    assert proxy.seen == {FETCH: 1, END_TXN: 1}


def test_a_held_request_waits_until_it_is_released(client, proxy, echo):
    """The request before it is forwarded. Only one request is held, so the next one with its api key is forwarded."""
    proxy.hold(END_TXN)
    client.sendall(request(FETCH, 1) + request(END_TXN, 2) + request(END_TXN, 3))
    held = proxy.wait_held(WAIT_S)
    assert held.frame == request(END_TXN, 2)
    assert echo.wait_for(request(FETCH, 1))
    assert held.frame not in echo.received
    held.release()
    assert echo.wait_for(request(END_TXN, 3))
    assert held.frame in echo.received


def test_a_held_request_outlives_its_client(client, proxy, echo):
    """It arrives late, as on a slow network."""
    proxy.hold(END_TXN)
    client.sendall(request(END_TXN, 1))
    held = proxy.wait_held(WAIT_S)
    held.lose_client()
    assert client.recv(1) == b""
    held.release()
    assert echo.wait_for(held.frame)


def test_a_dropped_request_never_arrives(client, proxy, echo):
    """The request after it does."""
    proxy.hold(END_TXN)
    client.sendall(request(END_TXN, 1) + request(FETCH, 2))
    proxy.wait_held(WAIT_S).drop()
    assert echo.wait_for(request(FETCH, 2))
    assert request(END_TXN, 1) not in echo.received


def test_without_a_broker_the_connection_is_closed():
    """The client sees the same as without a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        unused = closed.getsockname()
    with closing(TcpProxy(("127.0.0.1", 0), unused)) as proxy:
        proxy.start()
        with socket.create_connection(proxy.address, timeout=WAIT_S) as client:
            assert is_closed(client)


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
