"""A WebSocket client that costs little: whole frames in, whole frames out, on asyncio's protocols.

It is no general client: it expects what a gateway sends, unfragmented frames without extensions, and masks with zeros,
which is legal and leaves the payload as it is.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_FIN: Final = 0x80
_MASK: Final = b"\0\0\0\0"
_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_OPEN_TIMEOUT_S: Final = 20.0


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame as a client sends it."""
    size = len(payload)
    if size < _TWO_BYTES:
        return bytes((_FIN | opcode, 0x80 | size)) + _MASK + payload
    return struct.pack(">BBH", _FIN | opcode, 0x80 | _TWO_BYTES, size) + _MASK + payload


def handshake(host: str, port: int, path: str, cookie: str) -> bytes:
    """Return the request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\nCookie: {cookie}\r\n\r\n"
    ).encode()


class WebSocketClient(asyncio.Protocol):
    """One connection.

    Args:
        request: the handshake.
        received: called with the opcode and the payload of each text or binary frame.

    Attributes:
        opened: done when the handshake has succeeded; fails if it was refused.
        lost: done when the connection has ended.
        close_code: the code with which the other side closed; 0 as long as it has not.
        bytes_in: bytes received.
    """

    def __init__(self, request: bytes, received: Callable[[int, bytes], None]) -> None:
        self._request, self._received = request, received
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.close_code = 0
        self.bytes_in = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that it is over."""
        del exc
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the connection ended before the handshake"))
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived apart."""
        self.bytes_in += len(data)
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if not self.opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            status = head.split(b" ", 2)[1]
            if status != b"101":
                self.opened.set_exception(ConnectionRefusedError(f"HTTP {status.decode()}"))
                return
            self.opened.set_result(None)
        self._take_frames(data)

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a frame."""
        self.write(client_frame(opcode, payload))

    def write(self, frames: bytes) -> None:
        """Send what is already framed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    def abort(self) -> None:
        """End the connection without a word, as a phone in a tunnel does."""
        if self._transport is not None:
            self._transport.abort()

    def _take_frames(self, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= 2:
            opcode, size, start = data[at] & 0x0F, data[at + 1], at + 2
            if size == _TWO_BYTES:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == _EIGHT_BYTES:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start > end or start + size > end:
                break
            self._take_frame(opcode, data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode in (TEXT, BINARY):
            self._received(opcode, payload)
        elif opcode == PING:
            self.send(PONG, payload)
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2])
            self.send(CLOSE, payload[:2])


async def open_client(
    host: str, port: int, cookie: str, received: Callable[[int, bytes], None], *, source: str = "127.0.0.1"
) -> WebSocketClient:
    """Open a connection to a gateway's world.

    Args:
        host: the gateway's address.
        port: its port.
        cookie: the guest's token.
        received: called with the opcode and the payload of each text or binary frame.
        source: the address that the gateway sees; any of 127.0.0.0/8.

    Returns:
        The client, after its handshake.
    """
    request = handshake(host, port, "/world", cookie)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: WebSocketClient(request, received), host, port, local_addr=(source, 0)
    )
    async with asyncio.timeout(_OPEN_TIMEOUT_S):
        await client.opened
    return client
