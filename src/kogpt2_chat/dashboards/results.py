"""The JSON of the page, from the responses of the searches."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from kogpt2_chat.dashboards.panels import (
    DRILL_BY_FIELD,
    Count,
    Dashboard,
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
    load_dashboard,
)
from kogpt2_chat.dashboards.periods import Period, hours_of, interval_of, starts_of
from kogpt2_chat.dashboards.queries import CONVERSATION, TIMES, has_rest, split_name
from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.gate.wilson import wilson
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX

Response = Mapping[str, Any]
Cell = str | int | float | bool | None
_KIND_BY_FIELD: Final = {"turn_id": "turn", "latency_ms": "ms"}
_REST: Final = Text(ko="그 밖", en="others")
_BOUNDS: Final = (
    ("low", Text(ko="아래 한계", en="lower bound"), "share"),
    ("high", Text(ko="위 한계", en="upper bound"), "share"),
    ("count", Text(ko="받은 수", en="number"), "number"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One number or text of a metric.

    Attributes:
        id: unique in its panel.
        title: what it is.
        kind: how the page writes it.
        content: the value; None if there is none.
    """

    id: str
    title: Text
    kind: str
    content: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    """A part of the documents: its values of the split fields, and what the search computed for it."""

    values: tuple[Cell, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)


def definition(dashboard: Dashboard) -> dict[str, object]:
    """Return what the page needs to know of the panels before their numbers."""
    return {
        "title": _both(dashboard.title),
        "panels": [
            {
                "id": panel.id,
                "title": _both(panel.title),
                "note": _both(panel.note),
                "chart": panel.chart,
                "unit": panel.unit,
                "wide": panel.wide,
                "drill": panel.drill is not None,
            }
            for panel in dashboard.panels
        ],
    }


def panel_result(
    panel: Panel, response: Response, period: Period, markers: Sequence[Mapping[str, object]] = ()
) -> dict[str, object]:
    """Return the JSON of a panel.

    Args:
        panel: the panel.
        response: what Elasticsearch answered to its search. Without its aggregations, such as from a missing index, the
            panel is empty.
        period: the period of the search.
        markers: the new versions in the period, of :func:`markers_result`.
    """
    head = {"id": panel.id, "took_ms": response.get("took", 0)}
    found = response.get("aggregations", {})
    if panel.columns:
        return head | _documents(panel, response)
    if panel.chart == "numbers":
        hits = response.get("hits", {}).get("total", {})
        total = hits.get("value", 0) if isinstance(hits, Mapping) else 0
        values = _values(panel, {**found, "doc_count": total})
        return head | {"numbers": [{**_heading(value), "value": value.content} for value in values]}
    if panel.is_over_time:
        return head | _series(panel, found, period) | {"markers": list(markers)}
    return head | _rows(panel, found)


def markers_result(response: Response, period: Period) -> list[dict[str, object]]:
    """Return the versions whose first turn is in the period, oldest first."""
    found: list[dict[str, object]] = []
    for bucket in _buckets(response.get("aggregations", {}), depth=2):
        first = _time(bucket.found["first"]["value"])
        if first is not None and period.start <= first < period.end:
            bot, version = bucket.values
            found.append({"time": first.isoformat(), "bot": bot, "version": version})
    return sorted(found, key=lambda marker: (str(marker["time"]), str(marker["bot"])))


def cell(index_field: str, value: object) -> Cell:
    """Return a field's value as a cell of a table."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    raise TypeError(f"field `{index_field}` is {type(value).__name__}")


def columns_of(names: Sequence[str], index: str) -> list[dict[str, object]]:
    """Return the columns of fields, with their headings."""
    titles = load_dashboard().fields
    types = {name: entry["type"] for name, entry in FIELDS_BY_INDEX[index].items()}  # type: ignore[index]
    return [
        {"id": name, "title": _both(titles[name]), "kind": _KIND_BY_FIELD.get(name, _kind(str(types[name])))}
        for name in names
    ]


def conversation_key(source: Mapping[str, Any]) -> dict[str, object]:
    """Return the key of a single document: the conversation of a turn, for the list of its turns."""
    return {CONVERSATION: source[CONVERSATION]} if source.get(CONVERSATION) else {}


def _kind(field_type: str) -> str:
    return {"date": "time", "long": "number", "float": "number"}.get(field_type, "text")


def _documents(panel: Panel, response: Response) -> dict[str, object]:
    sources = [hit["_source"] for hit in response.get("hits", {}).get("hits", [])]
    rows = [[cell(name, source.get(name)) for name in panel.columns] for source in sources]
    return {
        "columns": columns_of(panel.columns, panel.index),
        "rows": rows,
        "keys": list(map(conversation_key, sources)),
    }


def _rows(panel: Panel, found: Mapping[str, Any]) -> dict[str, object]:
    buckets = list(_buckets(found, len(panel.split)))
    if len(panel.split) > 1:  # versions side by side: the newest one of each bot first
        buckets.sort(key=lambda bucket: (str(bucket.values[0]), *(_descending(value) for value in bucket.values[1:])))
    metrics = [_heading(value) for value in _values(panel, {})]
    return {
        "columns": [*columns_of(panel.split, panel.index), *metrics],
        "rows": [[*bucket.values, *(value.content for value in _values(panel, bucket.found))] for bucket in buckets],
        "keys": [_key(panel, bucket.values) for bucket in buckets],
    }


def _descending(value: Cell) -> float | str:
    return -value if isinstance(value, int | float) else str(value)


def _series(panel: Panel, found: Mapping[str, Any], period: Period) -> dict[str, object]:
    interval = interval_of(period, at_least_a_day=panel.interval == "day")
    starts = starts_of(period, interval)
    hours = [hours_of(start, interval) for start in starts]
    series = []
    for bucket in _buckets(found, len(panel.split)):
        by_time = _by_time(bucket.found)
        at_times = [
            list(_values(panel, by_time.get(start, {}), hours=length))
            for start, length in zip(starts, hours, strict=True)
        ]
        for place, value in enumerate(_values(panel, {})):
            values = [values[place].content for values in at_times]
            series.append({**_name(panel, bucket.values, value), "key": _key(panel, bucket.values), "values": values})
    if has_rest(panel):
        series += _rest(starts, found, series)
    return {"times": [start.isoformat() for start in starts], "series": series}


def _rest(starts: Sequence[datetime], found: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return a series of the documents that are in none of the others, if there are any."""
    by_time = _by_time(found)
    shown = [sum(values) for values in zip(*(one["values"] for one in series), strict=True)] or [0] * len(starts)
    totals = [by_time.get(start, {}).get("doc_count", 0) for start in starts]
    rest = [max(0, total - part) for total, part in zip(totals, shown, strict=True)]
    return [{"name": _REST.en, "title": _both(_REST), "key": {}, "values": rest}] if any(rest) else []


def _by_time(found: Mapping[str, Any]) -> dict[datetime, Mapping[str, Any]]:
    buckets = found.get(TIMES, {}).get("buckets", ())
    return {datetime.fromtimestamp(bucket["key"] / 1000, UTC): bucket for bucket in buckets}


def _buckets(found: Mapping[str, Any], depth: int, values: tuple[Cell, ...] = ()) -> Iterator[_Bucket]:
    """Yield the innermost buckets of nested splits."""
    if len(values) == depth:
        yield _Bucket(values=values, found=found)
        return
    for bucket in found.get(split_name(len(values)), {}).get("buckets", ()):
        yield from _buckets(bucket, depth, (*values, bucket["key"]))


def _key(panel: Panel, values: Sequence[Cell]) -> dict[str, Cell]:
    """Return the parameters of the list of turns behind a series or row; empty if there is none."""
    if panel.drill is None:
        return {}
    own = {
        DRILL_BY_FIELD[name]: value for name, value in zip(panel.split, values, strict=True) if name in DRILL_BY_FIELD
    }
    return {**panel.drill, **own}


def _name(panel: Panel, values: Sequence[Cell], value: Value) -> dict[str, object]:
    """Return what a series is called: its split, and which number of which metric it shows if there are several."""
    split = " ".join(_part(name, part, alone=len(values) == 1) for name, part in zip(panel.split, values, strict=True))
    several = len(list(_values(panel, {}))) > 1
    if split and not several:
        return {"name": split}
    title = Text(ko=f"{split} {value.title.ko}".strip(), en=f"{split} {value.title.en}".strip())
    return {"name": title.en, "title": _both(title)}


def _part(name: str, value: Cell, *, alone: bool) -> str:
    if alone:
        return str(value)
    if name == "bot" and value in BOT_BY_ID:
        return BOT_BY_ID[str(value)].name
    return f"v{value}" if name == "model_version" else str(value)


def _heading(value: Value) -> dict[str, object]:
    return {"id": value.id, "title": _both(value.title), "kind": value.kind}


def _both(text: Text) -> dict[str, str]:
    return {"ko": text.ko, "en": text.en}


def _values(panel: Panel, bucket: Mapping[str, Any], hours: float = 1) -> Iterator[Value]:
    """Yield all values of a bucket; those of an empty one if nothing was found."""
    for metric in panel.metrics:
        yield from _metric_values(metric, panel, bucket, hours)


def _metric_values(metric: Metric, panel: Panel, bucket: Mapping[str, Any], hours: float) -> Iterator[Value]:
    name, title = metric.id, metric.title
    part = bucket.get(name, {})
    number = part.get("value") if isinstance(part, Mapping) else None
    if isinstance(metric, Count):
        yield Value(id=name, title=title, kind="number", content=bucket.get("doc_count", 0))
    elif isinstance(metric, Sum | Distinct):
        yield Value(id=name, title=title, kind="number", content=_whole(number or 0))
    elif isinstance(metric, PerHour):
        yield Value(id=name, title=title, kind="number", content=(number or 0) / hours)
    elif isinstance(metric, Mean):
        yield Value(id=name, title=title, kind=_kind_of_number(metric.field), content=number)
    elif isinstance(metric, Largest):
        yield _largest(metric, panel, number)
    elif isinstance(metric, Percentiles):
        yield from _percentiles(metric, part.get("values", {}))
    elif isinstance(metric, Share):
        yield from _shares(metric, bucket)
    elif isinstance(metric, Ratio):
        per = bucket.get(f"{name}-per", {}).get("value") or 0
        yield Value(id=name, title=title, kind="number", content=(number or 0) / per * metric.factor if per else None)
    elif isinstance(metric, Sample):
        hits = part.get("hits", {}).get("hits", [])
        text = hits[0]["_source"].get(metric.field) if hits else None
        yield Value(id=name, title=title, kind="text", content=cell(metric.field, text))
    else:
        assert_never(metric)


def _kind_of_number(name: str) -> str:
    return "ms" if name.endswith("_ms") else "number"


def _largest(metric: Largest, panel: Panel, number: float | None) -> Value:
    if FIELDS_BY_INDEX[panel.index][metric.field]["type"] != "date":
        return Value(id=metric.id, title=metric.title, kind=_kind_of_number(metric.field), content=_whole(number))
    time = _time(number)
    return Value(id=metric.id, title=metric.title, kind="time", content=time.isoformat() if time else None)


def _percentiles(metric: Percentiles, values: Mapping[str, float | None]) -> Iterator[Value]:
    for percent in metric.percents:
        title = Text(ko=f"{metric.title.ko} p{percent}", en=f"{metric.title.en} p{percent}")
        found = values.get(f"{percent:.1f}")
        yield Value(
            id=f"{metric.id}-p{percent}", title=title, kind=_kind_of_number(metric.field), content=_finite(found)
        )


def _shares(metric: Share, bucket: Mapping[str, Any]) -> Iterator[Value]:
    positive = bucket.get(metric.id, {}).get("doc_count", 0)
    count = bucket.get("doc_count", 0)
    yield Value(id=metric.id, title=metric.title, kind="share", content=positive / count if count else None)
    if metric.bounds:
        low, high = wilson(positive, count) if count else (None, None)
        for (name, title, kind), content in zip(_BOUNDS, (low, high, count), strict=True):
            yield Value(id=f"{metric.id}-{name}", title=title, kind=kind, content=content)


def _whole(number: float | None) -> int | float | None:
    return int(number) if number is not None and float(number).is_integer() else number


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _time(milliseconds: float | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
