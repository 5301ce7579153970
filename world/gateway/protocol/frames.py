"""Binary frames for movement. All numbers are little-endian; positions are in centimetres.

A client sends one frame per change, at most 15 times per second::

    byte 0    version (1)         byte 1    kind (1 = moved)
    byte 2-3  sequence, u16       byte 4-5  x, i16       byte 6-7  z, i16
    byte 8    height of the jump, u8, in 2 cm            byte 9    yaw, u8, 256 steps per turn
    byte 10   gait, u8: 0 stands, 1 walks, 2 runs, 3 in the air

The gateway sends one frame per tick to every client of a room, if anything has changed::

    byte 0    version (1)         byte 1    kind (2 = positions)
    byte 2-3  tick, u16           byte 4-5  the last sequence of this client's moves, u16
    then per player, 9 bytes: seat u16, x i16, z i16, height u8, yaw u8, gait u8
"""

import struct
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from world.gateway.refused import Refused

VERSION: Final = 1
MOVED: Final = 1
POSITIONS: Final = 2
TICK_HZ: Final = 15
_MOVED: Final = struct.Struct("<BBHhhBBB")
_HEAD: Final = struct.Struct("<BBHH")
_PLAYER: Final = struct.Struct("<HhhBBB")
_CM: Final = 100
_MOST_GAIT: Final = 3


class Move(Struct, frozen=True):
    """Where a client says that its player is.

    Attributes:
        sequence: counts the client's frames, modulo 65,536.
        x: metres to the east.
        z: metres to the south.
        height: height of a jump, in units of 2 cm.
        yaw: direction, 256 steps per turn.
        gait: 0 stands, 1 walks, 2 runs, 3 in the air.
    """

    sequence: int
    x: float
    z: float
    height: int
    yaw: int
    gait: int


def read_move(frame: bytes) -> Move:
    """Read a client's frame.

    Raises:
        Refused: it is not a movement frame of this version.
    """
    if len(frame) != _MOVED.size:
        raise Refused("message", f"a movement frame has {_MOVED.size} bytes, found {len(frame)}")
    version, kind, sequence, x, z, height, yaw, gait = _MOVED.unpack(frame)
    if version != VERSION or kind != MOVED or gait > _MOST_GAIT:
        raise Refused("message", f"expected version {VERSION}, kind {MOVED} and a gait up to {_MOST_GAIT}")
    return Move(sequence, x / _CM, z / _CM, height, yaw, gait)


def write_move(move: Move) -> bytes:
    """Return the frame of a move, as a client sends it."""
    x, z = round(move.x * _CM), round(move.z * _CM)
    return _MOVED.pack(VERSION, MOVED, move.sequence, x, z, move.height, move.yaw, move.gait)


def write_player(seat: int, x: float, z: float, height: int, yaw: int, gait: int) -> bytes:
    """Return one player's part of a positions frame."""
    return _PLAYER.pack(seat, round(x * _CM), round(z * _CM), height, yaw, gait)


def write_positions(tick: int, acknowledged: int, players: bytes) -> bytes:
    """Return a positions frame.

    Args:
        tick: number of the tick; only its lowest 16 bits are sent.
        acknowledged: the last sequence number of the receiver's own moves.
        players: the joined parts of :func:`write_player`, shared by all receivers of a room.
    """
    return _HEAD.pack(VERSION, POSITIONS, tick & 0xFFFF, acknowledged) + players


def read_positions(frame: bytes) -> tuple[int, int, list[tuple[int, float, float, int, int, int]]]:
    """Read a positions frame, for clients in Python.

    Returns:
        The tick, the acknowledged sequence, and of each player seat, x, z, height, yaw and gait.

    Raises:
        Refused: it is not a positions frame of this version.
    """
    if len(frame) < _HEAD.size or (len(frame) - _HEAD.size) % _PLAYER.size or frame[:2] != bytes((VERSION, POSITIONS)):
        raise Refused("message", "expected a positions frame")
    _, _, tick, acknowledged = _HEAD.unpack_from(frame)
    parts: Iterable[tuple[int, int, int, int, int, int]] = _PLAYER.iter_unpack(frame[_HEAD.size :])
    return tick, acknowledged, [(seat, x / _CM, z / _CM, *rest) for seat, x, z, *rest in parts]  # type: ignore[misc]
