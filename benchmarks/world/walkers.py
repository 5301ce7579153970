"""Headless players who walk in circles: `python -m benchmarks.world.walkers`, a process of its own.

It prints one line of JSON when all players have entered and the measurement begins, and one with the results. Input and
output are paced by one clock for all players, so that a player costs one frame out and one frame in per tick.
"""

import argparse
import asyncio
import json
import math
import secrets
import struct
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final

import psutil
import uvloop

from benchmarks.world.client import BINARY, TEXT, WebSocketClient, client_frame, open_client
from benchmarks.world.guests import cookie_of
from world.gateway.protocol.frames import Move, write_move

HZ: Final = 15
_GROUPS: Final = 30
"""Players of different groups send at different times, as players do; the gateway's ticks are not in step with any."""
_RADIUS_M: Final = 6.0
_CENTRE: Final = (0.0, 17.0)
"""North of the lake; nothing stands in the way."""
_WALK_M_PER_S: Final = 4.0
_STEPS: Final = round(math.tau * _RADIUS_M / _WALK_M_PER_S * HZ)
_SETTLE_S: Final = 3.0
_AT_ONCE: Final = 20
_ADDRESS_PLAYERS: Final = 20
_ACKNOWLEDGED: Final = struct.Struct("<4xH")
_HEAD_BYTES: Final = 6
RUN: Final = secrets.token_hex(3)
"""Part of the names: the seats of the last run's players may still be held."""
_SEQUENCES: Final = 0x10000


def walk() -> list[bytes]:
    """Return the payloads of one circle, without the sequence number, which is in bytes 2 and 3."""
    moves = []
    for step in range(_STEPS):
        angle = math.tau * step / _STEPS
        x, z = _CENTRE[0] + _RADIUS_M * math.sin(angle), _CENTRE[1] + _RADIUS_M * math.cos(angle)
        moves.append(write_move(Move(0, x, z, 0, round(angle / math.tau * 256) & 0xFF, 1)))
    return moves


class Walker:
    """One player.

    Attributes:
        source: the address that the gateway sees. Twenty players share one, as in a school.
        cookie: the guest's.
        resumed: what the client says in ``enter`` about the connection before.
        echoes_ms: how long each echo took.
        frames_in: positions frames received.
        events_in: other messages received.
        corrections: how often the gateway put the player elsewhere.
    """

    def __init__(self, number: int, moves: list[bytes]) -> None:
        self.number = number
        address = number // _ADDRESS_PLAYERS
        self.source = f"127.0.{1 + address // 250}.{1 + address % 250}"
        self.cookie = cookie_of(f"{RUN}걷{number}")
        self.resumed: dict[str, Any] = {}
        self._frames = [client_frame(BINARY, move) for move in moves]
        self._step = number * 7 % len(moves)
        self._sequence = 0
        self._waiting_from = 1
        self._sent_s = array("d", bytes(8 * _SEQUENCES))
        self.client: WebSocketClient | None = None
        self.echoes_ms = array("f")
        self.frames_in = self.events_in = self.corrections = 0

    async def enter(self, host: str, port: int) -> None:
        """Enter the world."""
        self.client = await open_client(host, port, self.cookie, self._receive, source=self.source)
        self.client.send(TEXT, json.dumps({"t": "enter", "v": 1, **self.resumed}).encode())

    def step(self) -> None:
        """Send the next move."""
        client = self.client
        if client is None:
            return
        self._sequence = sequence = (self._sequence + 1) & 0xFFFF
        self._step = step = (self._step + 1) % _STEPS
        frame = self._frames[step]
        self._sent_s[sequence] = time.perf_counter()
        client.write(frame[:8] + sequence.to_bytes(2, "little") + frame[10:])

    def forget(self) -> None:
        """Begin the measurement."""
        del self.echoes_ms[:]
        self.frames_in = self.events_in = self.corrections = 0
        if self.client is not None:
            self.client.bytes_in = 0

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self.events_in += 1
            self.corrections += b'"t":"moved"' in payload
            return
        self.frames_in += 1
        (acknowledged,) = _ACKNOWLEDGED.unpack_from(payload)
        # Moves that were overtaken by the next one before the tick are echoed by the same frame.
        new = (acknowledged - self._waiting_from + 1) & 0xFFFF
        if 0 < new < _SEQUENCES // 2 and acknowledged:
            now_s = time.perf_counter()
            for sequence in range(self._waiting_from, self._waiting_from + new):
                self.echoes_ms.append((now_s - self._sent_s[sequence & 0xFFFF]) * 1000)
            self._waiting_from = (acknowledged + 1) & 0xFFFF


async def enter_all(walkers: Sequence[Walker], host: str, port: int) -> None:
    """Let the players enter, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def enter(walker: Walker) -> None:
        async with gate:
            await walker.enter(host, port)

    await asyncio.gather(*(enter(walker) for walker in walkers))


async def pace(walkers: Sequence[Walker], until_s: float) -> int:
    """Let each player move 15 times per second; return how many turns came too late to be on time for the next."""
    groups = [walkers[group::_GROUPS] for group in range(_GROUPS)]
    turn_s, late, turn = 1 / HZ / _GROUPS, 0, 0
    next_s = time.perf_counter()
    while (now_s := time.perf_counter()) < until_s:
        for walker in groups[turn % _GROUPS]:
            walker.step()
        turn += 1
        next_s += turn_s
        if now_s > next_s + 1 / HZ:  # the load itself is late: it does not catch up in a burst
            late += 1
            next_s = now_s
        await asyncio.sleep(next_s - time.perf_counter())
    return late


async def run(arguments: argparse.Namespace) -> None:
    """Enter, settle, measure and print."""
    moves = walk()
    walkers = [Walker(number, moves) for number in range(arguments.players)]
    started_s = time.perf_counter()
    await enter_all(walkers, arguments.host, arguments.port)
    entered_s = time.perf_counter() - started_s
    await pace(walkers, time.perf_counter() + _SETTLE_S)
    for walker in walkers:
        walker.forget()
    process = psutil.Process()
    before, started_s = sum(process.cpu_times()[:2]), time.perf_counter()
    print(json.dumps({"measuring": arguments.seconds}), flush=True)
    late = await pace(walkers, started_s + arguments.seconds)
    seconds = time.perf_counter() - started_s
    echoes = sorted(echo for walker in walkers for echo in walker.echoes_ms)
    clients = [walker.client for walker in walkers if walker.client is not None]
    result = {
        "players": len(walkers), "seconds": seconds, "entered_s": entered_s, "late_turns": late,
        "load_cpu_share": (sum(process.cpu_times()[:2]) - before) / seconds,
        "updates_per_s": sum(walker.frames_in for walker in walkers) / seconds / len(walkers),
        "events_per_s": sum(walker.events_in for walker in walkers) / seconds / len(walkers),
        "bytes_per_s": sum(client.bytes_in for client in clients) / seconds / len(walkers),
        "corrections": sum(walker.corrections for walker in walkers),
        "lost": sum(client.lost.done() for client in clients),
        "echoes": len(echoes),
        **{f"p{share}_ms": echoes[len(echoes) * share // 100] if echoes else float("nan") for share in (50, 95, 99)},
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    for client in clients:
        client.abort()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--players", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
