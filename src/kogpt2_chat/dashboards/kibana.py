"""The dashboard as saved objects of Kibana 7.17: one JSON object per line, to import under *Saved Objects*.

The ids, the order and the spelling follow from the definition alone, so that the same definition gives the same file.
Kibana has no Wilson intervals, no ratios and no shares in a line chart. It shows the counts and sums behind them, and
shares as bars of a hundred per cent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kogpt2_chat.dashboards.kibana_aggregations import (
    OTHERS,
    Drawn,
    drawn_metrics,
    filters_agg,
    metric_agg,
    numbered,
    split_agg,
    time_agg,
)
from kogpt2_chat.dashboards.kibana_charts import chart_of
from kogpt2_chat.dashboards.panels import Dashboard, Panel, Share, Text, Where
from kogpt2_chat.domain.search.fields import TIME_FIELD, IndexName

VERSION: Final = "7.17.29"
NOT_RUN: Final = (
    "여기에서 실행해 보지 않았습니다. Kibana에서 연 적이 없습니다. "
    "Not run here: these objects were generated and checked against Elasticsearch, and never opened in Kibana."
)
DASHBOARD_ID: Final = "kogpt2-dashboard"
_MIGRATIONS: Final = {
    "index-pattern": "7.11.0", "search": "7.9.3", "visualization": "7.17.0", "dashboard": "7.17.3",
}  # fmt: skip
_INDEX_REFERENCE: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
_COUNT: Final = {"enabled": True, "type": "count", "schema": "metric", "params": {}}
_COLUMNS: Final = 48
_HEIGHT: Final = 12
Object = dict[str, Any]
Reference = dict[str, str]


def saved_objects(dashboard: Dashboard) -> list[Object]:
    """Return the saved objects: the dashboard, the index patterns, and what the dashboard shows, in its order."""
    shown = [found for panel in dashboard.panels for found in _panel_objects(panel)]
    indices = dict.fromkeys(panel.index for panel in dashboard.panels)
    wide = {panel.id for panel in dashboard.panels if panel.wide}
    return [_dashboard(dashboard, shown, wide), *(_index_pattern(index) for index in indices), *shown]


def ndjson(dashboard: Dashboard) -> str:
    """Return the file. Its last line sums it up, as in Kibana's own exports."""
    objects = saved_objects(dashboard)
    summary: Object = {
        "excludedObjects": [],
        "excludedObjectsCount": 0,
        "exportedCount": len(objects),
        "missingRefCount": 0,
        "missingReferences": [],
    }
    return "".join(f"{_compact(one)}\n" for one in (*objects, summary))


def _panel_objects(panel: Panel) -> Iterator[Object]:
    """Yield what shows a panel: a list of documents, or a chart of its plain numbers and one of each share."""
    if panel.columns:
        yield _search(panel)
        return
    plain = drawn_metrics(panel)
    if plain:
        yield _visualization(panel, panel.id, panel.title, plain, None)
    for metric in panel.metrics:
        if isinstance(metric, Share):
            is_all = len(panel.metrics) == 1
            object_id = panel.id if is_all else f"{panel.id}-{metric.id}"
            title = panel.title if is_all else _joined(panel.title, metric.title)
            yield _visualization(panel, object_id, title, (), metric)


def _joined(first: Text, second: Text) -> Text:
    return Text(ko=f"{first.ko}: {second.ko}", en=f"{first.en}: {second.en}")


def _both(text: Text) -> str:
    return f"{text.ko} ({text.en})"


def _described(text: Text) -> str:
    return f"{text.ko} {text.en}"


def _visualization(panel: Panel, object_id: str, title: Text, metrics: Sequence[Drawn], share: Share | None) -> Object:
    time_field = TIME_FIELD[panel.index]
    numbers = [metric_agg(metric, time_field) for metric in metrics] or [_COUNT]
    splits = [split_agg(panel, name) for name in panel.split]
    shares = [filters_agg(panel, _parts(share))] if share is not None else []
    times = [time_agg(panel)] if panel.is_over_time else []
    aggregations = numbered([*numbers, *splits, *shares, *times])
    kind, params = chart_of(panel, aggregations, is_share=share is not None)
    state = {"title": _both(title), "type": kind, "aggs": aggregations, "params": params}
    source, references = _search_source(panel)
    attributes = {
        "title": _both(title),
        "description": _described(panel.note),
        "visState": _compact(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _compact(source)},
    }
    return _object("visualization", f"kogpt2-{object_id}", attributes, references)


def _parts(share: Share) -> dict[str, str]:
    """Return the queries for the documents that count for a share, and for the others."""
    counted = lucene(share.where)
    return {_both(share.title): counted, _both(OTHERS): f"NOT ({counted})"}


def lucene(where: Where) -> str:
    """Return a condition as a query of Lucene."""
    values_by_field = {name: " OR ".join(json.dumps(str(value)) for value in values) for name, values in where.items()}
    return " AND ".join(f"{name}:({values})" for name, values in values_by_field.items())


def _search(panel: Panel) -> Object:
    source, references = _search_source(panel)
    attributes = {
        "title": _both(panel.title),
        "description": _described(panel.note),
        "hits": 0,
        "columns": list(panel.columns),
        "sort": [[TIME_FIELD[panel.index], "desc"]],
        "grid": {},
        "hideChart": True,
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _compact({**source, "highlightAll": True, "version": True})},
    }
    return _object("search", f"kogpt2-{panel.id}", attributes, references)


def _search_source(panel: Panel) -> tuple[Object, list[Reference]]:
    """Return what a chart or list searches, with references to its index."""
    references = [_reference(_INDEX_REFERENCE, "index-pattern", panel.index)]
    filters = []
    for place, one in enumerate(_panel_filters(panel)):
        name = f"kibanaSavedObjectMeta.searchSourceJSON.filter[{place}].meta.index"
        one["meta"]["indexRefName"] = name
        filters.append(one)
        references.append(_reference(name, "index-pattern", panel.index))
    query = {"query": "", "language": "kuery"}
    return {"query": query, "filter": filters, "indexRefName": _INDEX_REFERENCE}, references


def _panel_filters(panel: Panel) -> Iterator[Object]:
    yield from (_phrases(name, values, negate=False) for name, values in panel.where.items())
    yield from (_phrases(name, values, negate=True) for name, values in panel.unless.items())
    for name in panel.having:
        meta = {"alias": None, "disabled": False, "negate": False, "type": "exists", "key": name, "value": "exists"}
        yield {"$state": {"store": "appState"}, "meta": meta, "query": {"exists": {"field": name}}}


def _phrases(name: str, values: Sequence[str | int], *, negate: bool) -> Object:
    meta = {
        "alias": None, "disabled": False, "negate": negate, "type": "phrases", "key": name,
        "params": list(values), "value": ", ".join(map(str, values)),
    }  # fmt: skip
    phrases = [{"match_phrase": {name: value}} for value in values]
    query = {"bool": {"should": phrases, "minimum_should_match": 1}}
    return {"$state": {"store": "appState"}, "meta": meta, "query": query}


def _index_pattern(index: IndexName) -> Object:
    attributes = {
        "title": index,
        "timeFieldName": TIME_FIELD[index],
        "fields": "[]",
        "fieldAttrs": "{}",
        "fieldFormatMap": "{}",
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return _object("index-pattern", index, attributes, [])


def _dashboard(dashboard: Dashboard, shown: Sequence[Object], wide: set[str]) -> Object:
    panels, references = [], []
    places = _places([one["id"].removeprefix("kogpt2-") in wide for one in shown])
    for number, (one, place) in enumerate(zip(shown, places, strict=True), start=1):
        name = f"panel_{number}"
        panels.append(
            {
                "version": VERSION,
                "type": one["type"],
                "gridData": {**place, "i": str(number)},
                "panelIndex": str(number),
                "embeddableConfig": {"enhancements": {}},
                "panelRefName": name,
            }
        )
        references.append(_reference(f"{number}:{name}", one["type"], one["id"]))
    attributes = {
        "title": _both(dashboard.title),
        "description": f"{NOT_RUN} {_described(dashboard.note)}",
        "hits": 0,
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-24h",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 30_000},
        "optionsJSON": _compact({"useMargins": True, "syncColors": False, "hidePanelTitles": False}),
        "panelsJSON": _compact(panels),
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": _compact({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    }
    return _object("dashboard", DASHBOARD_ID, attributes, references)


def _places(are_wide: Sequence[bool]) -> Iterator[dict[str, int]]:
    """Yield where each chart is: wide ones take a row, two others share one."""
    x = y = 0
    for is_wide in are_wide:
        width = _COLUMNS if is_wide else _COLUMNS // 2
        if x + width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        yield {"x": x, "y": y, "w": width, "h": _HEIGHT}
        x += width


def _reference(name: str, kind: str, object_id: str) -> Reference:
    return {"name": name, "type": kind, "id": object_id}


def _object(kind: str, object_id: str, attributes: Mapping[str, Any], references: list[Reference]) -> Object:
    return {
        "attributes": dict(attributes),
        "coreMigrationVersion": VERSION,
        "id": object_id,
        "migrationVersion": {kind: _MIGRATIONS[kind]},
        "references": references,
        "type": kind,
    }


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
