"""``python -m benchmarks.dashboards``: how long panels take on a year of history.

The history is in indices of its own on the Elasticsearch of a stack that is up (``make up``). They are removed at the
end, unless the benchmark is told to keep them.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from kogpt2_chat import bootstrap
from kogpt2_chat.dashboards.panels import Panel, load_dashboard
from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.queries import markers_query, panel_query
from kogpt2_chat.settings import load_settings
from kogpt2_chat.testing.history import History
from kogpt2_chat.testing.search_server import OwnIndices

PREFIX: Final = "bench-"
YEAR: Final = timedelta(days=365)
PERIODS: Final = {"day": timedelta(days=1), "month": timedelta(days=30), "year": YEAR}
GOAL_MS: Final = 300
INDEX_SETTINGS: Final = {"number_of_shards": 1, "number_of_replicas": 0}
_PROGRESS_S: Final = 10.0
_SEARCH_TIMEOUT_S: Final = 60.0


def main() -> int:
    """Fill the indices, measure and print; 1 if a panel misses the goal."""
    options = _options()
    settings = load_settings()
    own = OwnIndices(settings.elastic_url, bootstrap.search_over_http(settings, _SEARCH_TIMEOUT_S), PREFIX)
    end = datetime(2026, 11, 27, 15, tzinfo=UTC)
    with _indices(own, keep=options.keep, reuse=options.reuse):
        if not options.reuse:
            fill(own, History(turns=options.turns, start=end - YEAR, end=end, versions=options.versions))
        slowest = measure(own, end, options.rounds)
    print(f"slowest p95: {slowest:.0f} ms (goal {GOAL_MS} ms)")
    return 0 if slowest <= GOAL_MS else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000, help="turns in the year")
    parser.add_argument("--versions", type=int, default=50, help="versions of each bot in the year")
    parser.add_argument("--rounds", type=int, default=20, help="searches of each panel and period")
    parser.add_argument("--keep", action="store_true", help="leave the indices")
    parser.add_argument("--reuse", action="store_true", help="use the indices that a run with --keep left")
    return parser.parse_args()


@contextmanager
def _indices(own: OwnIndices, *, keep: bool, reuse: bool) -> Iterator[None]:
    if not reuse:
        own.delete()
        own.create(INDEX_SETTINGS)
    try:
        yield
    finally:
        if not keep:
            own.delete()


def fill(own: OwnIndices, history: History) -> None:
    """Write the history; documents are made as the indexer makes them."""
    began = said = time.monotonic()

    def say(count: int) -> None:
        nonlocal said
        if time.monotonic() - said > _PROGRESS_S:
            said = time.monotonic()
            print(f"{count} documents, {count / (said - began):.0f}/s", flush=True)

    count = own.fill(history.documents(), say)
    took = time.monotonic() - began
    print(f"{count} documents in {took:.0f} s, {count / took:.0f}/s, {own.megabytes():.0f} MB on disk", flush=True)


def measure(own: OwnIndices, end: datetime, rounds: int) -> float:
    """Print p50 and p95 of each panel and period, as the server takes them; return the slowest p95.

    No answer comes from the cache of searches: it is emptied before each, and each asks for a period of its own.
    """
    print(f"{'panel':18}" + "".join(f"{name + ' p50':>12}{'p95':>7}" for name in PERIODS) + "   ms")
    slowest = 0.0
    for name, panel in {**{panel.id: panel for panel in load_dashboard().panels}, "(markers)": None}.items():
        cells = []
        for length in PERIODS.values():
            times = sorted(_took_ms(own, panel, end, length, number) for number in range(rounds))
            p95 = statistics.quantiles(times, n=20, method="inclusive")[-1] if rounds > 1 else times[0]
            slowest = max(slowest, p95)
            cells.append(f"{statistics.median(times):12.0f}{p95:7.0f}")
        print(f"{name:18}" + "".join(cells), flush=True)
    return slowest


def _took_ms(own: OwnIndices, panel: Panel | None, end: datetime, length: timedelta, number: int) -> float:
    own.forget_searches()
    period = Period(start=end - length + timedelta(minutes=number), end=end)
    index, body = markers_query(period) if panel is None else panel_query(panel, period)
    return float(own.search(index, body)["took"])


if __name__ == "__main__":
    sys.exit(main())
