"""Answers of the operators' page, read through the port of the search server."""

from kogpt2_chat.dashboards.panels import Panel
from kogpt2_chat.dashboards.queries import markers_query, panel_query
from kogpt2_chat.dashboards.results import markers_result, panel_result
from kogpt2_chat.dashboards.turns import TurnFilter, fed_back, feedback_query, turns_query, turns_result
from kogpt2_chat.dashboards.windows import Window
from kogpt2_chat.ports import Search


def read_panel(search: Search, panel: Panel, window: Window) -> dict[str, object]:
    """Return the JSON of a panel, with the new versions if it is over time.

    Raises:
        Unavailable: the server does not answer.
    """
    markers = markers_result(search.search(*markers_query(window)), window) if panel.is_over_time else []
    return panel_result(panel, search.search(*panel_query(panel, window)), window, markers)


def read_turns(search: Search, wanted: TurnFilter) -> dict[str, object]:
    """Return the JSON of the list of single turns.

    Raises:
        Unavailable: the server does not answer.
    """
    turn_ids = None if wanted.kind is None else fed_back(search.search(*feedback_query(wanted)))
    return turns_result(search.search(*turns_query(wanted, turn_ids)))
