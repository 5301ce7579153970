"""Whether the gateway's memory stays flat while players walk for a long time."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.world.movement import gateway, walkers
from benchmarks.world.processes import load, rss_mb

_SAMPLE_S: Final = 5.0


def endurance(home: Path, players: int, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the memory over time, and the medians of its first and its last fifth after the first tenth."""
    samples: list[tuple[float, float]] = []
    with gateway(home) as (process, port), load(walkers(port, players, minutes * 60)) as lines:
        next(lines)
        began_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + minutes * 60:
            samples.append((round(now_s - began_s, 1), round(rss_mb(process), 2)))
            time.sleep(_SAMPLE_S)
        walked = next(lines)
    settled = [memory for _, memory in samples[len(samples) // 10 :]]
    fifth = max(1, len(settled) // 5)
    result = {
        "players": players, "minutes": minutes, "samples": samples, "p95_ms": walked["p95_ms"],
        "first_mb": median(settled[:fifth]), "last_mb": median(settled[-fifth:]),
    }  # fmt: skip
    say(f"endurance: {result['first_mb']:.1f} MB -> {result['last_mb']:.1f} MB in {minutes:g} minutes")
    return result
