"""The saved objects of Kibana, as far as they can be checked without Kibana."""

import json
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kogpt2_chat.dashboards.kibana import DASHBOARD_ID, ndjson
from kogpt2_chat.dashboards.panels import load_dashboard
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX
from kogpt2_chat.settings import CHECKOUT
from tests.kibana_requests import read_ndjson

TEXT = ndjson(load_dashboard())
OBJECTS = read_ndjson(TEXT)
SUMMARY = json.loads(TEXT.splitlines()[-1])
JSON_TEXT = {"type": "string", "contentMediaType": "application/json"}
SOURCE = {
    "type": "object", "required": ["searchSourceJSON"], "additionalProperties": False,
    "properties": {"searchSourceJSON": JSON_TEXT},
}  # fmt: skip


def attributes(required: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required, "additionalProperties": False}


SCHEMA_BY_TYPE = {
    "index-pattern": attributes({
        "title": {"enum": list(FIELDS_BY_INDEX)}, "timeFieldName": {"type": "string"}, "fields": {"const": "[]"},
        **dict.fromkeys(("fieldAttrs", "fieldFormatMap", "runtimeFieldMap", "typeMeta", "sourceFilters"), JSON_TEXT),
    }),
    "visualization": attributes({
        "title": {"type": "string"}, "description": {"type": "string"}, "visState": JSON_TEXT, "uiStateJSON": JSON_TEXT,
        "version": {"const": 1}, "kibanaSavedObjectMeta": SOURCE,
    }),
    "search": attributes({
        "title": {"type": "string"}, "description": {"type": "string"}, "hits": {"const": 0}, "grid": {"type": "object"},
        "columns": {"type": "array", "items": {"type": "string"}, "minItems": 1}, "hideChart": {"type": "boolean"},
        "sort": {"type": "array", "items": {"type": "array", "prefixItems": [{"type": "string"}, {"enum": ["asc", "desc"]}]}},
        "version": {"const": 1}, "kibanaSavedObjectMeta": SOURCE,
    }),
    "dashboard": attributes({
        "title": {"type": "string"}, "description": {"type": "string"}, "hits": {"const": 0}, "version": {"const": 1},
        "timeRestore": {"const": True}, "timeFrom": {"type": "string"}, "timeTo": {"const": "now"},
        "refreshInterval": attributes({"pause": {"type": "boolean"}, "value": {"type": "integer", "minimum": 1000}}),
        "optionsJSON": JSON_TEXT, "panelsJSON": JSON_TEXT, "kibanaSavedObjectMeta": SOURCE,
    }),
}  # fmt: skip
OBJECT = attributes({
    "type": {"enum": list(SCHEMA_BY_TYPE)}, "id": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
    "attributes": {"type": "object"}, "coreMigrationVersion": {"const": "7.17.29"},
    "migrationVersion": {"type": "object", "minProperties": 1, "maxProperties": 1},
    "references": {"type": "array", "items": attributes({
        "name": {"type": "string"}, "type": {"enum": list(SCHEMA_BY_TYPE)}, "id": {"type": "string"},
    })},
})  # fmt: skip
AGGREGATION = attributes({
    "id": {"type": "string", "pattern": "^[0-9]+$"}, "enabled": {"const": True}, "params": {"type": "object"},
    "schema": {"enum": ["metric", "group", "segment", "bucket"]},
    "type": {"enum": [
        "count", "sum", "avg", "max", "cardinality", "percentiles", "top_hits", "terms", "filters", "date_histogram",
    ]},
})  # fmt: skip
VIS_STATE = attributes({
    "title": {"type": "string"}, "type": {"enum": ["line", "histogram", "table", "metric"]},
    "aggs": {"type": "array", "items": AGGREGATION, "minItems": 1}, "params": {"type": "object"},
})  # fmt: skip


def valid(value: object, schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("one", OBJECTS.values(), ids=lambda one: one["id"])
def test_an_object_has_the_form_of_its_type(one: dict[str, Any]) -> None:
    """Every text that holds JSON can be parsed."""
    valid(one, OBJECT)
    valid(one["attributes"], SCHEMA_BY_TYPE[one["type"]])
    assert one["migrationVersion"].keys() == {one["type"]}
    texts = [text for name, text in one["attributes"].items() if name.endswith(("JSON", "Map", "Attrs", "State"))]
    source = one["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}")
    for text in (*texts, source):
        json.loads(text)
    if one["type"] == "visualization":
        valid(json.loads(one["attributes"]["visState"]), VIS_STATE)


def test_references_are_closed() -> None:
    """Every reference has its object, every name in the JSON its reference, and no reference is without use."""
    for one in OBJECTS.values():
        assert all((reference["type"], reference["id"]) in OBJECTS for reference in one["references"])
        names = [reference["name"] for reference in one["references"]]
        assert len(set(names)) == len(names)
        source = json.loads(one["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
        used = [source["indexRefName"]] if "indexRefName" in source else []
        used += [found["meta"]["indexRefName"] for found in source.get("filter", [])]
        for panel in json.loads(one["attributes"].get("panelsJSON", "[]")):
            used.append(f"{panel['panelIndex']}:{panel['panelRefName']}")
        assert sorted(used) == sorted(names)


def test_the_dashboard_shows_every_object_once_and_none_overlap() -> None:
    """Each panel of the page is there."""
    dashboard = OBJECTS["dashboard", DASHBOARD_ID]
    shown = [(reference["type"], reference["id"]) for reference in dashboard["references"]]
    assert sorted(shown) == sorted(key for key in OBJECTS if key[0] in ("visualization", "search"))
    names = [name.removeprefix("kogpt2-") for _, name in shown]
    for panel in load_dashboard().panels:
        assert any(name == panel.id or name.startswith(f"{panel.id}-") for name in names), panel.id
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
        place = panel["gridData"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells
        assert max(x for x, _ in own) < 48
        cells |= own


def test_every_field_is_in_the_index_and_can_be_aggregated() -> None:
    """Kibana shows an error in the place of a chart with another field."""
    count = 0
    for (kind, _), one in OBJECTS.items():
        if kind not in ("visualization", "search"):
            continue
        fields = FIELDS_BY_INDEX[one["references"][0]["id"]]  # type: ignore[index]
        source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        for found in source["filter"]:
            assert fields[found["meta"]["key"]].get("index", True) is True
        assert set(one["attributes"].get("columns", [])) <= fields.keys()
        for aggregation in json.loads(one["attributes"].get("visState", '{"aggs": []}'))["aggs"]:
            field = aggregation["params"].get("field")
            if field is None:
                continue
            count += 1
            if aggregation["type"] != "top_hits":
                assert fields[field]["type"] != "text"
                assert fields[field].get("doc_values", True) is True
    assert count > 50


def test_the_same_definition_gives_the_same_file() -> None:
    """In another process with another order of hashes; ids are unique."""
    code = (
        "from kogpt2_chat.dashboards.kibana import ndjson; from kogpt2_chat.dashboards.panels import load_dashboard;"
        "import sys; sys.stdout.buffer.write(ndjson(load_dashboard()).encode())"
    )
    environment = {"PYTHONHASHSEED": "7", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=True)
    assert done.stdout.decode() == TEXT
    assert len(OBJECTS) == SUMMARY["exportedCount"] == len(TEXT.splitlines()) - 1
    assert SUMMARY["missingRefCount"] == 0


def test_the_first_line_says_that_it_was_not_run() -> None:
    """NDJSON has no comments, so the dashboard is first, and its description says it."""
    first = json.loads(TEXT.splitlines()[0])
    assert (first["type"], first["id"]) == ("dashboard", DASHBOARD_ID)
    assert "Not run here" in first["attributes"]["description"]
    assert (CHECKOUT / "docker" / "kibana" / "dashboard.ndjson").read_text("utf-8") == TEXT
