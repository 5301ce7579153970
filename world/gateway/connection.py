"""One WebSocket: from the handshake to the seat, and then commands in and events out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from world.gateway.dispatch import Dispatch
from world.gateway.protocol.commands import Enter, read_command
from world.gateway.protocol.events import Refusal, numbered, write_event
from world.gateway.refused import Refused
from world.gateway.rooms.asking import Asking
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.limits import Rate, TokenBucket
from world.gateway.rules.tokens import Guest

ENTER_TIMEOUT_S: Final = 10.0
SEND_TIMEOUT_S: Final = 10.0
POLICY: Final = 1008
FORBIDDEN: Final = 4403
TRY_AGAIN: Final = 1013
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
        self._ready = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._malformed, self._frames = TokenBucket(_MALFORMED, clock()), TokenBucket(_FRAMES, clock())

    async def run(self) -> None:
        """Seat the player, and carry out what the client sends until either side closes the connection."""
        seat = await self._enter()
        if seat is None:
            return
        tasks = {asyncio.create_task(self._receive(seat)), asyncio.create_task(self._send(seat))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
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
        entry.seat.outbox.wake = self._ready.set
        self._ready.set()
        self._asking.repeat(entry.seat, command.waiting, is_resumed=entry.is_resumed)
        return entry.seat

    def _hang_up(self, code: int, reason: str) -> None:
        self._closing = self._closing or (code, reason)
        self._ready.set()

    async def _receive(self, seat: Seat) -> None:
        while True:
            message = await self._socket.receive()
            # Another connection may have taken over, and has been told what this one had received until then.
            if message["type"] == "websocket.disconnect" or seat.hang_up != self._hang_up:
                return
            now_s = self._clock()
            try:
                if (text := message.get("text")) is not None:
                    self._dispatch.command(seat, text, now_s)
                else:
                    self._dispatch.move(seat, message["bytes"], now_s)
            except Refused:
                if self._malformed.take(now_s):
                    self._hang_up(POLICY, "malformed messages")
                    return
            if self._frames.take(now_s) or seat.limits.should_close(now_s):
                self._hang_up(POLICY, "too many messages")
                return

    async def _send(self, seat: Seat) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            if seat.outbox.has_overflowed:
                self._hang_up(TRY_AGAIN, "too slow")
            if self._closing is not None:
                return
            events, positions = seat.outbox.take()
            async with asyncio.timeout(SEND_TIMEOUT_S):
                for event in events:
                    await self._socket.send_text(event.decode())
                if positions is not None:
                    await self._socket.send_bytes(positions)

    async def _close(self) -> None:
        code, reason = self._closing or (1000, "")
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
