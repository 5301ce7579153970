"""Whether the gateway's memory stays flat while players live in the world for a long time, with a real broker."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, Final

from benchmarks.world.processes import load, python, rss_mb
from benchmarks.world.talk import gateway_on_kafka
from kogpt2_chat.settings import Settings

_SAMPLE_S: Final = 5.0
_SAY_S: Final = 30.0
_IDS_PER_HOUR: Final = 10_000
"""Twenty players share an address, and many of them come again as new guests."""
Samples = Sequence[tuple[float, float]]


def slope_kb_per_hour(samples: Samples) -> float:
    """Return how fast memory grew in the last two thirds of the samples, each a time in s and a size in MB.

    In the first third buffers and tables fill up to their limits.
    """
    settled = samples[len(samples) // 3 :]
    if len(settled) < 2:
        return float("nan")
    return linear_regression(*zip(*settled, strict=True)).slope * 1024 * 3600


def endurance(
    settings: Settings, home: Path, players: int, minutes: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the gateway's memory.

    Args:
        settings: of the benchmark's own broker.
        home: folder for logs.
        players: players who walk, chat, ask, lose the connection, and leave and come as new guests.
        minutes: duration.
        say: called with lines of progress.

    Returns:
        The memory over time, the medians of its first and its last fifth after the first tenth, its slope, and what
        the players have done.
    """
    samples: list[tuple[float, float]] = []
    command = python("benchmarks.world.villagers", "--port", settings.ports.at(settings.ports.gateway))
    command += ["--players", str(players), "--seconds", str(minutes * 60)]
    more = {"KOGPT2_WORLD__IDS_PER_HOUR": str(_IDS_PER_HOUR)}
    with gateway_on_kafka(settings, home, say, more) as (process, _), load(command) as lines:
        next(lines)
        began_s = said_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + minutes * 60:
            samples.append((round(now_s - began_s, 1), round(rss_mb(process), 3)))
            if now_s - said_s >= _SAY_S:
                said_s = now_s
                say(f"endurance: {samples[-1][1]:.2f} MB after {samples[-1][0] / 60:.1f} minutes")
            time.sleep(_SAMPLE_S)
        lived = next(lines)
    settled = [memory for _, memory in samples[len(samples) // 10 :]]
    fifth = max(1, len(settled) // 5)
    result = {
        **lived, "minutes": minutes, "samples": samples, "kb_per_hour": slope_kb_per_hour(samples),
        "first_mb": median(settled[:fifth]), "last_mb": median(settled[-fifth:]),
    }  # fmt: skip
    say(
        f"endurance: {result['first_mb']:.1f} MB -> {result['last_mb']:.1f} MB in {minutes:g} minutes, "
        f"{result['kb_per_hour']:+.0f} kB per hour in the last two thirds; echo p95 {lived['p95_ms']:.0f} ms; "
        f"{lived['lost']} connections lost; {lived['done']}"
    )
    return result
