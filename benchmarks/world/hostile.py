"""A hostile client: `python -m benchmarks.world.hostile`, a process of its own.

It sends 10,000 random frames, or pings, per second from one address, and connects again at once whenever the gateway
has hung up.
At the end it prints one line of JSON.
"""

import argparse
import json
import os
import random
import socket
import struct
import time
from contextlib import suppress
from typing import Final

from benchmarks.world.client import TEXT, client_frame, handshake
from benchmarks.world.guests import cookie_of

_ADDRESS: Final = "127.0.200.1"
_POOL: Final = 4_000
_BURST: Final = 100
_TIMEOUT_S: Final = 5.0
_LARGEST: Final = 7_000
"""Larger than the gateway accepts."""
_ENTER: Final = client_frame(TEXT, json.dumps({"t": "enter", "v": 1}).encode())


def pings(draw: random.Random, count: int) -> list[bytes]:
    """Return pings, which are legal at any time, and which an application does not see."""
    return [_masked(draw, 9, b"") for _ in range(count)]


def random_frames(draw: random.Random, count: int) -> list[bytes]:
    """Return frames: some of them valid, some too large, some that are no frames at all."""
    frames = []
    for _ in range(count):
        kind, size = draw.random(), draw.choice((0, 1, 11, 11, 60, 125, 300, _LARGEST))
        if kind < 0.5:
            frames.append(_masked(draw, draw.choice((1, 2)), os.urandom(size)))
        elif kind < 0.7:  # commands without end, each of which is legal
            frames.append(_masked(draw, 1, b'{"t":"ping"}'))
        elif kind < 0.9:
            frames.append(_masked(draw, 9, os.urandom(min(size, 125))))
        else:
            frames.append(os.urandom(size + 2))
    return frames


class Hostile:
    """The client.

    Attributes:
        frames: frames sent.
        connections: handshakes that succeeded.
        refused: handshakes that the gateway refused.
    """

    def __init__(self, host: str, port: int, rate: float, *, only_pings: bool) -> None:
        self._host, self._port, self._rate = host, port, rate
        self._draw = random.Random(7)  # noqa: S311 - the same attack in each run
        self._pool = (pings if only_pings else random_frames)(self._draw, _POOL)
        self._cookie = cookie_of("훼방꾼")
        self.frames = self.connections = self.refused = 0

    def run(self, seconds: float) -> None:
        """Attack; half of the connections enter the world first."""
        began_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + seconds:
            with suppress(OSError):
                self._attack(now_s, began_s + seconds)

    def _attack(self, began_s: float, until_s: float) -> None:
        address = (self._host, self._port)
        with socket.create_connection(address, _TIMEOUT_S, source_address=(_ADDRESS, 0)) as connection:
            connection.sendall(handshake(self._host, self._port, "/world", self._cookie))
            if b" 101 " not in connection.recv(4096)[:20]:
                self.refused += 1
                return
            self.connections += 1
            if self._draw.random() < 0.5:
                connection.sendall(_ENTER)
            self._flood(connection, began_s, until_s)

    def _flood(self, connection: socket.socket, began_s: float, until_s: float) -> None:
        sent = 0
        while time.monotonic() < until_s:
            at = self._draw.randrange(_POOL - _BURST)
            connection.sendall(b"".join(self._pool[at : at + _BURST]))
            sent += _BURST
            self.frames += _BURST
            time.sleep(max(0.0, began_s + sent / self._rate - time.monotonic()))


def _masked(draw: random.Random, opcode: int, payload: bytes) -> bytes:
    mask = draw.randbytes(4)
    size = len(payload)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x80 | opcode, 0xFE, size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--only-pings", action="store_true", help="send frames that no parser can refuse")
    arguments = parser.parse_args()
    hostile = Hostile(arguments.host, arguments.port, arguments.rate, only_pings=arguments.only_pings)
    hostile.run(arguments.seconds)
    print(json.dumps({
        "frames": hostile.frames, "connections": hostile.connections, "refused": hostile.refused,
        "seconds": arguments.seconds,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
