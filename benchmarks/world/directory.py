"""What the directory that gateways share costs each of them: the records of all gateways, read and folded by each.

It needs no broker: bytes and CPU time follow from the records. How fast Kafka carries them is measured by the talk.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from world.gateway.protocol.events import RoomList, write_event
from world.gateway.rooms.directory import Claim, DirectoryLog, State, read_entry, write_entry
from world.gateway.shared import STATE_EVERY_S

_SEATS: Final = 20
_STATES: Final = 10
STAY_S: Final = 600.0
"""How long a player stays, for the number of claims and releases per second."""


def directory(players: int, gateways: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the directory of a world with so many players costs, for each number of gateways."""
    return [_cost(players, count) for count in gateways]


def _cost(players: int, gateways: int) -> dict[str, Any]:
    each = players // gateways
    states = [write_entry(_state(number, each)) for number in range(gateways)]
    log, offset = DirectoryLog(), 0
    for state in states:  # the names are known before the measurement
        offset = _read(log, state, offset)
    began_s = time.process_time()
    for _ in range(_STATES):
        for state in states:
            offset = _read(log, state, offset)
    state_ms = (time.process_time() - began_s) / _STATES / gateways * 1000
    began_s = time.process_time()
    for number in range(1000):
        claim = Claim(id="c" * 32, gateway="gateway-1", name=f"새이름{number}", guest=f"w-{number:016d}")
        offset = _read(log, write_entry(claim), offset)
    claim_ms = time.process_time() - began_s
    began_s = time.process_time()
    for _ in range(_STATES):
        write_entry(_state(1, each))
    write_ms = (time.process_time() - began_s) / _STATES * 1000
    entering_per_s = 2 * players / STAY_S
    return {
        "players": players,
        "gateways": gateways,
        "state_bytes": len(states[0]),
        "bytes_per_s": gateways * len(states[0]) / STATE_EVERY_S,
        "read_state_ms": state_ms,
        "write_state_ms": write_ms,
        "claim_ms": claim_ms,
        "room_list_bytes": len(write_event(RoomList(log.rooms_elsewhere("gateway-0")))),
        "cpu_share": (gateways * state_ms + write_ms) / 1000 / STATE_EVERY_S + entering_per_s * claim_ms / 1000,
    }


def _read(log: DirectoryLog, record: bytes, offset: int) -> int:
    entry = read_entry(record)
    if entry is not None:
        log.read(entry, offset, int(time.time() * 1000))
    return offset + 1


def _state(number: int, players: int) -> State:
    first = number * players
    return State(
        gateway=f"gateway-{number}",
        url=f"https://world-{number}.example",
        seen=1 << 30,
        names={f"플레이어{first + index}": f"w-{first + index:016d}" for index in range(players)},
        rooms=[(first // _SEATS + room, _SEATS, _SEATS) for room in range(players // _SEATS)],
    )
