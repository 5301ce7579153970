"""The panels of the dashboard on a search server: which searches they need, and what they are without documents."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from kogpt2_chat.dashboards.panels import load_dashboard
from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.queries import markers_query
from kogpt2_chat.dashboards.turns import TurnFilter
from kogpt2_chat.errors import NotFound
from world.gateway.ops.panels import MARKERS_KEPT_S, SearchedPanels

DASHBOARD = load_dashboard()
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)
WEEK = Period(start=START, end=END)
LATER = Period(start=datetime(2026, 3, 5, tzinfo=UTC), end=END)


class VersionsOnly:
    """A search server that only knows when the versions of a bot first answered.

    Attributes:
        searches: how often each bot's versions were searched, and everything else.
    """

    def __init__(self) -> None:
        self.searches: Counter[str] = Counter()

    def search(self, index: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        for bot in (None, "ChatbotA"):
            if (index, body) == markers_query(Period(start=START, end=END, bot=bot)):
                self.searches[f"versions of {bot}"] += 1
                return _first_turns({1: datetime(2026, 3, 2, tzinfo=UTC), 2: datetime(2026, 3, 6, tzinfo=UTC)})
        self.searches["others"] += 1
        return {"took": 1, "hits": {"total": {"value": 0}, "hits": []}}


def _first_turns(first_by_version: Mapping[int, datetime]) -> Mapping[str, Any]:
    versions = [
        {"key": version, "doc_count": 1, "first": {"value": first.timestamp() * 1000}}
        for version, first in first_by_version.items()
    ]
    bots = [{"key": "ChatbotA", "doc_count": 2, "split1": {"buckets": versions}}]
    return {"took": 1, "aggregations": {"split0": {"buckets": bots}}}


@pytest.mark.parametrize("panel", DASHBOARD.panels, ids=lambda panel: panel.id)
def test_every_panel_is_drawn_without_documents(panel: Any) -> None:
    """As right after the first start. A page can read what comes."""
    panels = SearchedPanels(dashboard=DASHBOARD, search=VersionsOnly())
    found = panels.panel(panel.id, WEEK)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["id"] == panel.id
    shape = {"lines": "series", "bars": "series", "table": "rows", "numbers": "numbers"}[panel.chart]
    assert isinstance(found[shape], list)


def test_the_definition_names_every_panel() -> None:
    """In the order of the file."""
    found: Any = SearchedPanels(dashboard=DASHBOARD, search=VersionsOnly()).definition()
    assert [panel["id"] for panel in found["panels"]] == [panel.id for panel in DASHBOARD.panels]


def test_new_versions_are_searched_once_for_all_panels() -> None:
    """For half a minute. Each panel shows those of its own period and bot."""
    now, search = [100.0], VersionsOnly()
    panels = SearchedPanels(dashboard=DASHBOARD, search=search, clock=lambda: now[0])
    over_time = [panel.id for panel in DASHBOARD.panels if panel.is_over_time]
    assert len(over_time) > 5
    versions = {period: [_versions(panels.panel(name, period)) for name in over_time] for period in (WEEK, LATER)}
    assert versions == {WEEK: [[1, 2]] * len(over_time), LATER: [[2]] * len(over_time)}
    assert search.searches == {"versions of None": 1, "others": 2 * len(over_time)}
    for _ in range(2):
        panels.panel(over_time[0], Period(start=START, end=END, bot="ChatbotA"))
    assert search.searches["versions of ChatbotA"] == 1
    now[0] += MARKERS_KEPT_S + 1
    panels.panel(over_time[0], WEEK)
    assert search.searches["versions of None"] == 2


def _versions(found: Mapping[str, Any]) -> list[int]:
    return [marker["version"] for marker in found["markers"]]


def test_a_panel_that_does_not_exist_needs_no_search() -> None:
    """Its name may be anything."""
    search = VersionsOnly()
    with pytest.raises(NotFound):
        SearchedPanels(dashboard=DASHBOARD, search=search).panel("없는 것", WEEK)
    assert search.searches == {}


def test_turns_are_a_table() -> None:
    """With a column for the page of a turn."""
    found: Any = SearchedPanels(dashboard=DASHBOARD, search=VersionsOnly()).turns(TurnFilter(start=START, end=END))
    assert "turn" in [column["kind"] for column in found["columns"]]
    assert found["rows"] == []
