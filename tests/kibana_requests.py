"""The searches that Kibana 7.17 makes of saved objects, as far as the generated ones use it, and what it reads from them."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Objects = Mapping[tuple[str, str], Mapping[str, Any]]
Leaf = tuple[tuple[Any, ...], list[Any]]


def read_ndjson(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects by type and id."""
    lines = [json.loads(line) for line in text.splitlines()]
    return {(one["type"], one["id"]): one for one in lines if "type" in one}


def source_of(one: Mapping[str, Any], objects: Objects) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Return the index pattern of a saved object and its filters in Elasticsearch's language."""
    source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    named = {reference["name"]: objects[reference["type"], reference["id"]] for reference in one["references"]}
    filters = []
    for found in source["filter"]:
        assert named[found["meta"]["indexRefName"]] is named[source["indexRefName"]]
        query = found["query"]
        filters.append({"bool": {"must_not": [query]}} if found["meta"]["negate"] else query)
    assert source["query"]["query"] == ""
    return named[source["indexRefName"]]["attributes"], filters


def request_of(
    one: Mapping[str, Any], objects: Objects, start: datetime, end: datetime, more: list[dict[str, Any]], interval: str
) -> tuple[str, dict[str, Any]]:
    """Return the index and the body of a visualization's search.

    Args:
        one: the visualization.
        objects: all saved objects.
        start: beginning of the time that the dashboard shows.
        end: its end.
        more: filters that an operator added on the dashboard.
        interval: what Kibana chooses for the interval ``auto``.
    """
    pattern, filters = source_of(one, objects)
    time = {"range": {pattern["timeFieldName"]: {"gte": start.isoformat(), "lt": end.isoformat()}}}
    aggregations = json.loads(one["attributes"]["visState"])["aggs"]
    metrics = {one["id"]: _metric(one) for one in aggregations if one["schema"] == "metric" and one["type"] != "count"}
    below: dict[str, Any] = metrics
    for bucket in reversed([one for one in aggregations if one["schema"] != "metric"]):
        below = {bucket["id"]: {**_bucket(bucket, interval), **({"aggs": below} if below else {})}}
    body = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": [time, *filters, *more]}}, "aggs": below}
    return pattern["title"], body


def _metric(one: Mapping[str, Any]) -> dict[str, Any]:
    params = one["params"]
    if one["type"] == "top_hits":
        order = {params["sortField"]: {"order": params["sortOrder"]}}
        return {"top_hits": {"size": params["size"], "_source": params["field"], "sort": [order]}}
    percents = {"percents": params["percents"], "keyed": False} if one["type"] == "percentiles" else {}
    return {one["type"]: {"field": params["field"], **percents, **json.loads(params.get("json", "{}"))}}


def _bucket(one: Mapping[str, Any], interval: str) -> dict[str, Any]:
    params = one["params"]
    if one["type"] == "terms":
        assert (params["orderBy"], params["orderAgg"]["type"]) == ("custom", "count")
        return {"terms": {"field": params["field"], "size": params["size"], "order": {"_count": params["order"]}}}
    if one["type"] == "filters":
        queries = {entry["label"]: entry["input"] for entry in params["filters"]}
        assert all(query["language"] == "lucene" for query in queries.values())
        return {
            "filters": {
                "filters": {
                    label: {"query_string": {"query": query["query"], "analyze_wildcard": True}}
                    for label, query in queries.items()
                }
            }
        }
    assert one["type"] == "date_histogram"
    chosen = {"d": "1d"}.get(params["interval"], interval)
    length = {"calendar_interval" if chosen == "1d" else "fixed_interval": chosen}
    same = {name: params[name] for name in ("field", "time_zone", "min_doc_count")}
    return {"date_histogram": {**same, **length}}


def leaves_of(one: Mapping[str, Any], response: Mapping[str, Any]) -> Iterator[Leaf]:
    """Yield the cells that Kibana draws: the values of the splits, and those of the metrics in their order."""
    aggregations = json.loads(one["attributes"]["visState"])["aggs"]
    metrics = [one for one in aggregations if one["schema"] == "metric"]
    buckets = [one["id"] for one in aggregations if one["schema"] != "metric"]
    found = {"doc_count": response["hits"]["total"]["value"], **response.get("aggregations", {})}
    for key, bucket in _walk(found, buckets):
        yield key, [_read(one, bucket) for one in metrics]


def _walk(
    bucket: Mapping[str, Any], ids: list[str], key: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not ids:
        yield key, bucket
        return
    found = bucket.get(ids[0], {}).get("buckets", [])
    named = found.items() if isinstance(found, dict) else ((one["key"], one) for one in found)
    for value, one in named:
        yield from _walk(one, ids[1:], (*key, value))


def _read(one: Mapping[str, Any], bucket: Mapping[str, Any]) -> Any:
    if one["type"] == "count":
        return bucket["doc_count"]
    found = bucket[one["id"]]
    if one["type"] == "percentiles":
        return [entry["value"] for entry in found["values"]]
    if one["type"] == "top_hits":
        return found["hits"]["hits"][0]["_source"][one["params"]["field"]]
    return found["value"]
