"""How Kibana draws its charts: the part of a visualization that has no data."""

from collections.abc import Sequence
from typing import Any

from kogpt2_chat.dashboards.kibana_aggregations import Aggregation
from kogpt2_chat.dashboards.panels import Panel

Params = dict[str, Any]


def chart_of(panel: Panel, aggregations: Sequence[Aggregation], *, is_share: bool) -> tuple[str, Params]:
    """Return the type of a visualization and its parameters.

    Args:
        panel: the panel.
        aggregations: the visualization's own.
        is_share: whether it shows a share: bars of a hundred per cent.
    """
    if panel.is_over_time:
        is_line = panel.chart == "lines" and not is_share
        return ("line" if is_line else "histogram"), _over_time(panel, aggregations, is_line=is_line, is_share=is_share)
    if panel.chart == "numbers" and not is_share:
        return "metric", _numbers()
    return "table", _table(panel)


def _over_time(panel: Panel, aggregations: Sequence[Aggregation], *, is_line: bool, is_share: bool) -> Params:
    kind = "line" if is_line else "histogram"
    scale = {"type": "linear", "mode": "percentage" if is_share else "normal"}
    axis = {"show": True, "style": {}, "labels": {"show": True, "filter": True, "truncate": 100}}
    return {
        "type": kind,
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {**axis, "id": "CategoryAxis-1", "type": "category", "position": "bottom", "title": {},
             "scale": {"type": "linear"}},
        ],
        "valueAxes": [
            {**axis, "id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left",
             "title": {"text": panel.unit}, "scale": scale},
        ],
        "seriesParams": [
            _series(one, kind, "normal" if is_line else "stacked")
            for one in aggregations if one["schema"] == "metric"
        ],
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "detailedTooltip": True,
        "fittingFunction": "none",
        "palette": {"type": "palette", "name": "default"},
        "times": [],
        "addTimeMarker": False,
        "labels": {},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
    }  # fmt: skip


def _series(aggregation: Aggregation, kind: str, mode: str) -> Params:
    return {
        "show": True,
        "type": kind,
        "mode": mode,
        "data": {"id": aggregation["id"], "label": aggregation["params"].get("customLabel", "Count")},
        "valueAxis": "ValueAxis-1",
        "drawLinesBetweenPoints": True,
        "lineWidth": 2,
        "interpolate": "linear",
        "showCircles": True,
    }


def _numbers() -> Params:
    return {
        "addTooltip": True,
        "addLegend": False,
        "type": "metric",
        "metric": {
            "percentageMode": False,
            "useRanges": False,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{"from": 0, "to": 10000}],
            "labels": {"show": True},
            "invertColors": False,
            "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 24},
        },
    }


def _table(panel: Panel) -> Params:
    return {
        "perPage": panel.size,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "showToolbar": False,
        "totalFunc": "sum",
        "percentageCol": "",
    }
