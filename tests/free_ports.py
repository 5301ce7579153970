"""Find ports for the servers of a test."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from kogpt2_chat.stack.folders import short_hash
from kogpt2_chat.stack.processes import port_is_free


def free_offset(offsets: range, ports: Iterable[int], home: Path | None = None) -> int:
    """Return an offset at which all ports are free.

    Args:
        offsets: those to try.
        ports: the ports without an offset.
        home: where the servers store their data. Tests with other homes begin their search elsewhere.
    """
    wanted, order = list(ports), deque(offsets)
    if home is not None:
        order.rotate(int(short_hash(home), 16) % len(order))
    for offset in order:
        if all(port_is_free("127.0.0.1", port + offset) for port in wanted):
            return offset
    raise RuntimeError(f"no free block of ports in {offsets}")
