"""The aggregations of Kibana's charts, in the format of its aggregation-based visualizations."""

import json
from typing import Any, Final

from kogpt2_chat.dashboards.panels import (
    Count,
    Distinct,
    Largest,
    Mean,
    Metric,
    Panel,
    Percentiles,
    PerHour,
    Ratio,
    Sample,
    Share,
    Sum,
    Text,
)
from kogpt2_chat.dashboards.queries import TIME_ZONE, has_rest, metric_aggregations
from kogpt2_chat.domain.search.fields import TIME_FIELD

Aggregation = dict[str, Any]
Drawn = Count | Sum | Mean | Largest | Distinct | PerHour | Sample | Percentiles
"""The metrics that Kibana has as well."""
_SIMPLE: Final = {Sum: "sum", PerHour: "sum", Mean: "avg", Largest: "max"}
OTHERS: Final = Text(ko="그 밖", en="others")


def drawn_metrics(panel: Panel) -> tuple[Drawn, ...]:
    """Return the numbers of a panel that one chart of Kibana can show; a ratio becomes its two sums."""
    found: list[Drawn] = []
    for metric in panel.metrics:
        if isinstance(metric, Ratio):
            found += [_sum(metric, metric.field), _sum(metric, metric.per)]
        elif not isinstance(metric, Share):
            found.append(metric)
    return tuple(found)


def _sum(metric: Ratio, field: str) -> Sum:
    return Sum(id=f"{metric.id}-{field}", field=field, title=Text(ko=f"{metric.title.ko}: {field}", en=field))


def metric_agg(metric: Drawn, time_field: str) -> Aggregation:
    """Return a number of a chart; its id is set later."""
    label = {"customLabel": f"{metric.title.ko} ({metric.title.en})"}
    kind, params = _kind(metric, time_field)
    return {"enabled": True, "type": kind, "schema": "metric", "params": {**params, **label}}


def _kind(metric: Drawn, time_field: str) -> tuple[str, dict[str, Any]]:
    if isinstance(metric, Count):
        return "count", {}
    field = {"field": metric.field}
    if isinstance(metric, Distinct):
        return "cardinality", field | _also(metric, "precision_threshold")
    if isinstance(metric, Percentiles):
        return "percentiles", field | {"percents": list(metric.percents)} | _also(metric, "hdr")
    if isinstance(metric, Sample):
        return "top_hits", field | {"aggregate": "concat", "size": 1, "sortField": time_field, "sortOrder": "desc"}
    return _SIMPLE[type(metric)], field


def _also(metric: Metric, name: str) -> dict[str, str]:
    """Return an option of the page's search that Kibana has no field for, as its *JSON input*."""
    ((options,),) = (tuple(one.values()) for one in metric_aggregations(metric).values())
    return {"json": json.dumps({name: options[name]}, sort_keys=True)}


def split_agg(panel: Panel, name: str) -> Aggregation:
    """Return a split by the values of a field, those with the most documents first."""
    by_count = {"enabled": True, "type": "count", "schema": "orderAgg", "params": {}}
    params = {
        "field": name,
        "orderBy": "custom",
        "orderAgg": by_count,
        "order": "desc",
        "size": panel.size,
        "otherBucket": has_rest(panel),
        "otherBucketLabel": f"{OTHERS.ko} ({OTHERS.en})",
        "missingBucket": False,
        "missingBucketLabel": "없음 (missing)",
    }
    return {"enabled": True, "type": "terms", "schema": split_schema(panel), "params": params}


def split_schema(panel: Panel) -> str:
    """Return where Kibana puts a split: in the rows of a table, or in the series of a chart."""
    return "group" if panel.is_over_time else "bucket"


def filters_agg(panel: Panel, query_by_label: dict[str, str]) -> Aggregation:
    """Return a split by queries of Lucene."""
    entries = [
        {"input": {"query": query, "language": "lucene"}, "label": label} for label, query in query_by_label.items()
    ]
    return {"enabled": True, "type": "filters", "schema": split_schema(panel), "params": {"filters": entries}}


def time_agg(panel: Panel) -> Aggregation:
    """Return the intervals of a chart, in Korean time."""
    params = {
        "field": TIME_FIELD[panel.index],
        "timeRange": {"from": "now-24h", "to": "now"},
        "useNormalizedEsInterval": True,
        "scaleMetricValues": False,
        "interval": "d" if panel.interval == "day" else "auto",
        "time_zone": TIME_ZONE,
        "drop_partials": False,
        "min_doc_count": 1,
        "extended_bounds": {},
    }
    return {"enabled": True, "type": "date_histogram", "schema": "segment", "params": params}


def numbered(aggregations: list[Aggregation]) -> list[Aggregation]:
    """Return the aggregations with their ids, which count from 1."""
    found = []
    for number, one in enumerate(aggregations, start=1):
        params = dict(one["params"])
        if "orderAgg" in params:
            params["orderAgg"] = {**params["orderAgg"], "id": f"{number}-orderAgg"}
        found.append({**one, "id": str(number), "params": params})
    return found
