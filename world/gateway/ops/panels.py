"""The panels of the dashboard, computed by the search server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kogpt2_chat.dashboards.panels import Dashboard
from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.queries import markers_query, panel_query
from kogpt2_chat.dashboards.results import definition, markers_result, panel_result
from kogpt2_chat.dashboards.turns import TurnFilter, fed_back, feedback_query, turns_query, turns_result
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Search
from world.gateway.ops.ports import Json

MARKERS_KEPT_S: Final = 30.0
"""Most panels show the new versions, which are the same for all of them and for each period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedPanels:
    """The port Panels on a search server.

    Attributes:
        dashboard: what the panels show.
        search: the search server.
        clock: returns monotonic seconds.
    """

    dashboard: Dashboard
    search: Search
    clock: Callable[[], float] = time.monotonic
    _found: dict[str | None, tuple[float, Mapping[str, Any]]] = field(default_factory=dict, init=False)

    def definition(self) -> Json:
        """Return what the page needs to draw the panels, without data."""
        return definition(self.dashboard)

    def panel(self, panel_id: str, period: Period) -> Json:
        """Return a panel's data.

        Raises:
            NotFound: there is no such panel.
            Unavailable: the search server does not answer.
        """
        panel = self.dashboard.panel(panel_id)
        if panel is None:
            raise NotFound(f"there is no panel {panel_id!r}")
        markers = self._markers(period) if panel.is_over_time else []
        return panel_result(panel, self.search.search(*panel_query(panel, period)), period, markers)

    def turns(self, wanted: TurnFilter) -> Json:
        """Return single turns as a table, the newest first.

        Raises:
            Unavailable: the search server does not answer.
        """
        turn_ids = None if wanted.kind is None else fed_back(self.search.search(*feedback_query(wanted)))
        return turns_result(self.search.search(*turns_query(wanted, turn_ids)))

    def _markers(self, period: Period) -> list[dict[str, object]]:
        """Return the new versions in a period; those of all times were read a moment ago, or are read now."""
        at_s, found = self._found.get(period.bot, (float("-inf"), {}))
        if self.clock() - at_s > MARKERS_KEPT_S:
            found = self.search.search(*markers_query(period))
            self._found[period.bot] = self.clock(), found
        return markers_result(found, period)
