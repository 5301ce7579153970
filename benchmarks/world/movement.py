"""Movement: players who walk, at a gateway on Kafka's double and at Colyseus, in turn."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.world.colyseus import FOLDER, node
from benchmarks.world.processes import free_port, measured, python, rss_mb, server

GATEWAY: Final = "gateway"
COLYSEUS: Final = "Colyseus"
Rows = list[dict[str, Any]]


@contextmanager
def gateway(home: Path, spawn: Sequence[float] = ()) -> Iterator[tuple[psutil.Process, int]]:
    """Run a gateway on Kafka's double; yield the process and its port. Everybody enters at `spawn`, if given."""
    port = free_port()
    with server(python("benchmarks.world.gateway", port, *spawn), port, home / "gateway.log") as process:
        yield process, port


@contextmanager
def colyseus(home: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Run Colyseus; yield the process and its port."""
    port = free_port()
    with server([str(node()), str(FOLDER / "server.mjs"), str(port)], port, home / "colyseus.log") as process:
        yield process, port


def walkers(port: int, players: int, seconds: float) -> list[str]:
    """Return the command of the gateway's players."""
    return python("benchmarks.world.walkers", "--port", port, "--players", players, "--seconds", seconds)


def movement(
    home: Path, players: Sequence[int], seconds: float, rounds: int, say: Callable[[str], None], *, with_colyseus: bool
) -> Rows:
    """Measure each number of players, in each round at each subject on a new server.

    Args:
        home: folder for logs.
        players: the numbers of players.
        seconds: duration of each measurement.
        rounds: number of repetitions.
        say: called with lines of progress.
        with_colyseus: whether to measure Colyseus too.

    Returns:
        One row per measurement.
    """
    rows: Rows = []
    for number in range(rounds):
        for count in players:
            subjects = [GATEWAY, COLYSEUS] if with_colyseus else [GATEWAY]
            for subject in subjects[:: -1 if number % 2 else 1]:
                row = _measure(subject, home, count, seconds)
                say(json.dumps({name: _short(value) for name, value in row.items()}))
                rows.append(row)
    return rows


def _measure(subject: str, home: Path, players: int, seconds: float) -> dict[str, Any]:
    if subject == GATEWAY:
        with gateway(home) as (process, port):
            empty_mb = rss_mb(process)
            row = measured(walkers(port, players, seconds), process)
    else:
        with colyseus(home) as (process, port):
            empty_mb = rss_mb(process)
            command = [str(node()), str(FOLDER / "players.mjs"), str(port), str(players), str(seconds)]
            row = measured(command, process)
    return {"subject": subject, **row, "empty_mb": empty_mb}


def _short(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
