"""What a hostile client does to the others: their echoes without it and with it, in turn at the same gateway."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.world.movement import gateway, walkers
from benchmarks.world.processes import cpu_s, load, measured, python

NOBODY: Final = "nobody"
ATTACKS: Final[dict[str, list[str]]] = {"random frames": [], "pings": ["--only-pings"]}
_LEAD_S: Final = 8.0
"""The attack begins before the players enter, and lasts longer than their walk."""


def attack(home: Path, players: int, seconds: float, rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return one row per measurement, in each round without an attack and with each of them."""
    rows = []
    for _ in range(rounds):
        for name in (NOBODY, *ATTACKS):
            with gateway(home) as (process, port):
                row = {"attack": name, **_measure(name, process, port, players, seconds)}
            say(f"attack by {name}: p95 {row['p95_ms']:.0f} ms, {row['cpu_share']:.0%} of a core, {row.get('hostile')}")
            rows.append(row)
    return rows


def _measure(name: str, process: Any, port: int, players: int, seconds: float) -> dict[str, Any]:
    command = walkers(port, players, seconds)
    if name == NOBODY:
        return measured(command, process)
    hostile = python("benchmarks.world.hostile", "--port", port, "--seconds", seconds + _LEAD_S, *ATTACKS[name])
    before_s = cpu_s(process)
    with load(hostile) as lines:
        row = measured(command, process)
        return {**row, "hostile": next(lines), "cpu_s": cpu_s(process) - before_s}
