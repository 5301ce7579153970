"""One WebSocket: from the handshake to the seat, and then commands in and events out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from world.gateway.dispatch import Dispatch
from world.gateway.protocol.close_codes import FAULT, FORBIDDEN, NORMAL, POLICY, TRY_AGAIN
from world.gateway.protocol.commands import Enter, read_command
from world.gateway.protocol.events import Refusal, numbered, write_event
from world.gateway.refused import Refused
from world.gateway.rooms.asking import Asking
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.limits import Rate, TokenBucket
from world.gateway.rules.tokens import Guest
from world.gateway.wire import wire_of

ENTER_TIMEOUT_S: Final = 10.0
SEND_TIMEOUT_S: Final = 10.0
log = structlog.get_logger(__name__)
_MALFORMED: Final = Rate(per_s=0.2, burst=5)
_FRAMES: Final = Rate(per_s=60, burst=600)
"""Frames of any kind. A client sends fewer than 20 per second, and a pause of the network may bunch those of 30 s."""


class Connection:
    """A player's connection.

    Args:
        socket: an accepted WebSocket.
        guest: who connects.
        rooms: the players.
        asking: their questions.
        dispatch: carries out commands.
        claim: reserves the guest's name at other gateways, or raises ``Refused``.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        socket: WebSocket,
        guest: Guest,
        rooms: Rooms,
        asking: Asking,
        dispatch: Dispatch,
        claim: Callable[[Guest], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket, self._guest, self._clock = socket, guest, clock
        self._rooms, self._asking, self._dispatch, self._claim = rooms, asking, dispatch, claim
        self._wire = wire_of(socket)
        self._closing: tuple[int, str] | None = None
        self._malformed, self._frames = TokenBucket(_MALFORMED, clock()), TokenBucket(_FRAMES, clock())

    async def run(self) -> None:
        """Seat the player, and carry out what the client sends until either side closes the connection."""
        seat = await self._enter()
        if seat is None:
            return
        send = partial(self._send, seat)
        seat.outbox.wake = send
        try:
            self._wire.listen(partial(self._receive, seat), send)
            send()
            await self._socket.receive()  # returns at the end: messages go to `_receive`
        finally:
            if seat.hang_up == self._hang_up:  # not taken over by another connection
                self._rooms.drop(seat, self._clock())
        await self._close()

    async def _enter(self) -> Seat | None:
        try:
            async with asyncio.timeout(ENTER_TIMEOUT_S):
                command = _read_enter(await self._socket.receive_text())
            await self._claim(self._guest)
            entry = self._rooms.enter(self._guest, command, self._clock(), self._hang_up)
        except (TimeoutError, KeyError):
            self._closing = POLICY, "expected enter"
            await self._close()
            return None
        except Refused as refused:
            await self._socket.send_text(
                numbered(write_event(Refusal("enter", refused.reason, refused.wait_s)), 0).decode()
            )
            self._closing = POLICY, refused.reason
            await self._close()
            return None
        except WebSocketDisconnect:
            return None
        self._asking.repeat(entry.seat, command.waiting, self._clock(), is_resumed=entry.is_resumed)
        return entry.seat

    def _hang_up(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = code, reason
            if code == POLICY:
                self._wire.deafen()
            self._wire.end()

    def _receive(self, seat: Seat, message: str | bytes) -> None:
        # Another connection may have taken over, and has been told what this one had received until then.
        if self._closing is not None or seat.hang_up != self._hang_up:
            return
        now_s = self._clock()
        try:
            if isinstance(message, str):
                self._dispatch.command(seat, message, now_s)
            else:
                self._dispatch.move(seat, message, now_s)
        except Refused:
            if self._malformed.take(now_s):
                self._hang_up(POLICY, "malformed messages")
        except Exception:  # a fault must not take the event loop's protocol down, and others do not notice it
            log.exception("command_failed")
            self._hang_up(FAULT, "a fault in the gateway")
        if self._frames.take(now_s) or seat.limits.should_close:
            self._hang_up(POLICY, "too many messages")

    def _send(self, seat: Seat) -> None:
        if self._closing is not None:
            return
        if seat.outbox.has_overflowed or self._wire.stuck_s > SEND_TIMEOUT_S:
            self._hang_up(TRY_AGAIN, "too slow")
        elif self._wire.is_writable:
            events, positions = seat.outbox.take()
            for event in events:
                self._wire.send_now(event, is_text=True)
            if positions is not None:
                self._wire.send_now(positions, is_text=False)

    async def _close(self) -> None:
        if not self._wire.is_writable:  # it would not read why
            self._wire.abort()
            return
        code, reason = self._closing or ((POLICY, "too many bytes") if self._wire.is_deaf else (NORMAL, ""))
        with suppress(Exception):  # the other side may have closed it already
            await self._socket.close(code, reason)


async def refuse(socket: WebSocket, refused: Refused) -> None:
    """Refuse a connection.

    A page cannot see why a handshake fails, so a guest without a valid token, or a banned one, is told in an event.
    Other origins and floods are not worth a handshake.
    """
    if refused.reason in ("session", "banned"):
        await socket.accept()
        refusal = Refusal("enter", refused.reason, refused.wait_s)
        await socket.send_text(numbered(write_event(refusal), 0).decode())
    await socket.close(FORBIDDEN, refused.reason)


def _read_enter(text: str) -> Enter:
    command = read_command(text)
    if not isinstance(command, Enter):
        raise Refused("message", "the first command is `enter`")
    return command
