"""Binary frames: what is written is read, and any other bytes are refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world.gateway.protocol.frames import (
    Move,
    read_move,
    read_positions,
    write_move,
    write_player,
    write_positions,
)
from world.gateway.refused import Refused

u8, u16 = st.integers(0, 255), st.integers(0, 0xFFFF)
metres = st.integers(-32768, 32767).map(lambda cm: cm / 100)
moves = st.builds(Move, u16, metres, metres, u8, u8, st.integers(0, 3))


def test_a_frame_has_these_bytes() -> None:
    """The client in TypeScript writes the same."""
    frame = write_move(Move(sequence=258, x=1.5, z=-2.25, height=7, yaw=64, gait=2))
    assert frame.hex(" ") == "01 01 02 01 96 00 1f ff 07 40 02"
    positions = write_positions(65537, 258, write_player(3, 1.5, -2.25, 7, 64, 2))
    assert positions.hex(" ") == "01 02 01 00 02 01 03 00 96 00 1f ff 07 40 02"


@given(moves)
def test_a_move_is_read_as_it_was_written(move: Move) -> None:
    """Positions are exact to a centimetre."""
    assert read_move(write_move(move)) == move


@given(st.lists(moves, max_size=25), u16, u16)
def test_positions_are_read_as_they_were_written(players: list[Move], tick: int, sequence: int) -> None:
    """In order, with their seats."""
    body = b"".join(write_player(seat, m.x, m.z, m.height, m.yaw, m.gait) for seat, m in enumerate(players))
    read = read_positions(write_positions(tick, sequence, body))
    assert read == (tick, sequence, [(seat, m.x, m.z, m.height, m.yaw, m.gait) for seat, m in enumerate(players)])


@given(st.binary(max_size=64))
def test_other_bytes_are_refused(frame: bytes) -> None:
    """Nothing else is raised."""
    with suppress(Refused):
        assert write_move(read_move(frame)) == frame


@pytest.mark.parametrize("frame", [b"", b"\x01\x02", b"\x02" + bytes(10), bytes(11)])
def test_wrong_versions_and_sizes_are_refused(frame: bytes) -> None:
    """A later version gets another number."""
    with pytest.raises(Refused):
        read_move(frame)
