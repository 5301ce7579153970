"""The searches that compute a panel. They only read, and their size is bounded."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, assert_never

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
    Where,
)
from kogpt2_chat.dashboards.periods import Period, interval_of
from kogpt2_chat.domain.search.fields import TIME_FIELD, TURN_INDEX

Body = dict[str, Any]
TIMES: Final = "times"
CONVERSATION: Final = "conversation"
"""The field that says which conversation a turn belongs to. Lists of turns return it beside their columns."""
TIMEOUT: Final = "10s"
TIME_ZONE: Final = "Asia/Seoul"
_PRECISE_TO: Final = 10_000
_HDR_DIGITS: Final = 2
_MANY_VALUES: Final = ("question_key", "answer_key", CONVERSATION, "player_id")
_MAX_BOTS: Final = 12
_MAX_VERSIONS: Final = 1000


def split_name(depth: int) -> str:
    """Return the name of the aggregation that splits at a depth."""
    return f"split{depth}"


def panel_query(panel: Panel, period: Period) -> tuple[str, Body]:
    """Return the index that a panel searches, and the body of the search."""
    filters = panel_filters(panel, period)
    if panel.columns:
        time = TIME_FIELD[panel.index]
        listed = {"_source": [*panel.columns, CONVERSATION], "sort": [{time: "desc"}]}
        return panel.index, _body(filters, size=panel.size) | listed
    aggregations = {name: found for metric in panel.metrics for name, found in metric_aggregations(metric).items()}
    if panel.is_over_time:
        aggregations = {TIMES: over_time(panel, period, aggregations)}
    for depth in reversed(range(len(panel.split))):
        aggregations = {split_name(depth): _split(panel, depth, aggregations)}
    if has_rest(panel):
        aggregations[TIMES] = over_time(panel, period, {})
    # The numbers of the whole period need the number of documents, which no aggregation returns.
    return panel.index, _body(filters) | {"aggs": aggregations, "track_total_hits": panel.chart == "numbers"}


def has_rest(panel: Panel) -> bool:
    """Whether stacked bars get a series of the remaining documents, so that their height is the total."""
    return panel.chart == "bars" and bool(panel.split) and all(isinstance(metric, Count) for metric in panel.metrics)


def markers_query(period: Period) -> tuple[str, Body]:
    """Return the search for the first turn of each version of each bot, at any time."""
    first = {"first": {"min": {"field": TIME_FIELD[TURN_INDEX]}}}
    versions = {"terms": {"field": "model_version", "size": _MAX_VERSIONS}, "aggs": first}
    bots = {"terms": {"field": "bot", "size": _MAX_BOTS}, "aggs": {split_name(1): versions}}
    filters = [{"range": {"model_version": {"gt": 0}}}, *_of_bot(period)]
    return TURN_INDEX, _body(filters) | {"aggs": {split_name(0): bots}}


def panel_filters(panel: Panel, period: Period) -> list[Body]:
    """Return the conditions that the documents of a panel fulfil."""
    return [
        in_time(TIME_FIELD[panel.index], period.start, period.end),
        *_of_bot(period),
        *conditions(panel.where),
        *({"bool": {"must_not": [condition]}} for condition in conditions(panel.unless)),
        *({"exists": {"field": name}} for name in panel.having),
    ]


def in_time(field: str, start: datetime, end: datetime) -> Body:
    """Return the condition that a time is in a period."""
    return {"range": {field: {"gte": start.isoformat(), "lt": end.isoformat()}}}


def _of_bot(period: Period) -> list[Body]:
    return [{"term": {"bot": period.bot}}] if period.bot else []


def conditions(where: Where) -> list[Body]:
    """Return a condition per field."""
    return [{"terms": {name: list(values)}} for name, values in where.items()]


def all_of(where: Where) -> Body:
    """Return one condition for all fields."""
    return {"bool": {"filter": conditions(where)}}


def over_time(panel: Panel, period: Period, aggregations: Mapping[str, Body]) -> Body:
    """Return the aggregation by intervals. Empty intervals are left out; the result adds them."""
    interval = interval_of(period, at_least_a_day=panel.interval == "day")
    length = {"calendar_interval" if interval.is_calendar else "fixed_interval": interval.name}
    histogram = {"field": TIME_FIELD[panel.index], "time_zone": TIME_ZONE, "min_doc_count": 1, **length}
    return {"date_histogram": histogram, **_below(aggregations)}


def _split(panel: Panel, depth: int, aggregations: Mapping[str, Body]) -> Body:
    name = panel.split[depth]
    # Of thousands of questions only the numbers of the most frequent ones are computed, in a second pass over the
    # documents. For a few bots or versions that pass costs more than it saves.
    mode = "breadth_first" if name in _MANY_VALUES else "depth_first"
    terms = {"field": name, "size": panel.size, "collect_mode": mode}
    return {"terms": terms, **_below(aggregations)}


def _below(aggregations: Mapping[str, Body]) -> Body:
    return {"aggs": dict(aggregations)} if aggregations else {}


def metric_aggregations(metric: Metric) -> dict[str, Body]:
    """Return the aggregations that a metric needs, by name. Counts need none: every bucket has its count."""
    name = metric.id
    if isinstance(metric, Count):
        return {}
    if isinstance(metric, Share):
        return {name: {"filter": all_of(metric.where)}}
    if isinstance(metric, Ratio):
        return {name: {"sum": {"field": metric.field}}, f"{name}-per": {"sum": {"field": metric.per}}}
    if isinstance(metric, Sum | PerHour):
        return {name: {"sum": {"field": metric.field}}}
    return {name: _of_field(metric)}


def _of_field(metric: Mean | Largest | Distinct | Sample | Percentiles) -> Body:
    if isinstance(metric, Mean):
        return {"avg": {"field": metric.field}}
    if isinstance(metric, Largest):
        return {"max": {"field": metric.field}}
    if isinstance(metric, Distinct):
        return {"cardinality": {"field": metric.field, "precision_threshold": _PRECISE_TO}}
    if isinstance(metric, Percentiles):
        # A histogram of fixed relative precision is ten times faster than the default, and its error is bounded.
        histogram = {"number_of_significant_value_digits": _HDR_DIGITS}
        return {"percentiles": {"field": metric.field, "percents": list(metric.percents), "hdr": histogram}}
    if isinstance(metric, Sample):
        return {"top_hits": {"size": 1, "_source": [metric.field], "sort": [{TIME_FIELD[TURN_INDEX]: "desc"}]}}
    assert_never(metric)


def _body(filters: list[Body], size: int = 0) -> Body:
    return {
        "size": size,
        "track_total_hits": False,
        "timeout": TIMEOUT,
        "query": {"bool": {"filter": filters}},
    }
