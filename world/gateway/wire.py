"""A player's WebSocket in uvicorn, with a short way in and out: no queue, task or coroutine per message.

Players' movement is 30 frames per second each, so what a frame costs decides how many players a gateway carries. On the
usual way of a web application, each frame wakes a task through a queue, and reading from the socket is paused and
resumed. Here a message is handled as soon as it is read, and sent as soon as it is written.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from starlette.websockets import WebSocket
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import State

from world.gateway.rules.limits import Rate, TokenBucket

_INVALID_TEXT: Final = 1007
_ABNORMAL: Final = 1006
_NAME: Final = "wire"
_PART_BYTES: Final = 4096
"""How much of a read is taken apart before the limits are looked at."""
_GONE_AFTER_S: Final = 1.0
_BYTES: Final = Rate(per_s=8 * 1024, burst=64 * 1024)
"""What a client may send, with the frames that only the protocol sees, such as pings. A walk needs 255 B/s."""


def wire_of(socket: WebSocket) -> "Wire":
    """Return the wire of a WebSocket of an application that uvicorn serves with it."""
    wire: Wire = socket.scope["state"][_NAME]
    return wire


class Wire(WebSocketsSansIOProtocol):
    """The protocol of uvicorn for WebSockets. Until :meth:`listen` is called, any application can use it as usual.

    Attributes:
        is_deaf: whether nothing is read any more, because the client sends too much.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, _NAME: self}, _loop)
        self._received: Callable[[str | bytes], None] | None = None
        self._drained: Callable[[], None] = lambda: None
        self._stuck_since_s: float | None = None
        self._bytes = TokenBucket(_BYTES, time.monotonic())
        self.is_deaf = False

    @property
    def is_writable(self) -> bool:
        """Whether the client takes what is sent to it. If not, it would wait in this process."""
        return self._stuck_since_s is None

    @property
    def stuck_s(self) -> float:
        """For how many seconds the client has not taken what was sent to it."""
        return 0.0 if self._stuck_since_s is None else time.monotonic() - self._stuck_since_s

    def listen(self, received: Callable[[str | bytes], None], drained: Callable[[], None]) -> None:
        """Hand over messages from now on.

        Args:
            received: called with each text or binary message. The application gets only the end of the connection.
            drained: called when the client takes again what is sent to it.
        """
        self._received, self._drained = received, drained
        waiting = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        for message in waiting:
            if message["type"] == "websocket.receive":
                received(message.get("text") or message.get("bytes") or b"")
            else:
                self.queue.put_nowait(message)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def send_now(self, message: bytes, *, is_text: bool) -> None:
        """Send a message, unless the connection is ending."""
        # The library reads a whole segment before it hands over messages: it may know of a close frame already.
        is_ending = self.close_sent or self.disconnected or self.conn.state is not State.OPEN
        if is_ending or self.transport.is_closing():
            return
        (self.conn.send_text if is_text else self.conn.send_binary)(message)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def end(self) -> None:
        """Let the application see the end of the connection, which it then closes."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _ABNORMAL})

    def deafen(self) -> None:
        """Read nothing more: a client that is being closed costs nothing until it is gone, and is gone soon."""
        if not self.is_deaf and not self.transport.is_closing():
            self.is_deaf = True
            self.close_timeout = _GONE_AFTER_S
            self.transport.pause_reading()

    def abort(self) -> None:
        """End the connection at once, without what the client has not taken yet."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what was read: uvicorn calls this."""
        if self._bytes.take(time.monotonic(), len(data)):
            self.deafen()
            self.end()
        for start in range(0, len(data), _PART_BYTES):
            if self.is_deaf:
                return
            super().data_received(data[start : start + _PART_BYTES])

    def send_receive_event_to_app(self) -> None:
        """Take a complete message: uvicorn calls this."""
        if self._received is None:
            super().send_receive_event_to_app()
            return
        message = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.curr_msg_data_type == "bytes":
            self._received(message)
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            if self.conn.state is State.OPEN:  # the library may have read a close frame behind it already
                self.conn.send_close(_INVALID_TEXT)
                self.handle_parser_exception()
            return
        self._received(text)

    def pause_writing(self) -> None:
        """Remember since when the client takes nothing."""
        super().pause_writing()
        self._stuck_since_s = time.monotonic()

    def resume_writing(self) -> None:
        """Send what has waited."""
        super().resume_writing()
        self._stuck_since_s = None
        self._drained()
