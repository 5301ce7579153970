"""The panels on a real Elasticsearch: each equals an independent count, on the page and in Kibana's saved objects."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property

import pytest
import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.dashboards.kibana import ndjson
from kogpt2_chat.dashboards.kibana_aggregations import drawn_metrics
from kogpt2_chat.dashboards.logstash import LEFT_OUT, template
from kogpt2_chat.dashboards.panels import (
    Panel,
    Percentiles,
    PerHour,
    Ratio,
    Share,
    load_dashboard,
)
from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.turns import OUTCOMES_BY_GROUP, TurnFilter
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Search
from kogpt2_chat.settings import Elastic, Settings
from kogpt2_chat.testing.history import Event, History, TurnEvent, document_of
from kogpt2_chat.testing.search_server import OwnIndices
from tests.kibana_requests import leaves_of, read_ndjson, request_of, source_of
from tests.plain_counts import UNANSWERED, Counts, Near, Numbers, feedback_of, sort_of, turn_of
from tests.world.operators import Operator, OperatorPages, operator, serve_operator_pages
from world.gateway.ops.panels import SearchedPanels

END = datetime(2026, 11, 27, 15, tzinfo=UTC)
DASHBOARD = load_dashboard()
OBJECTS = read_ndjson(ndjson(DASHBOARD))
PERIODS = {
    "month": (Period(start=END - timedelta(days=30), end=END), 12),
    "two days": (Period(start=END - timedelta(days=10, minutes=7), end=END - timedelta(days=8, minutes=11)), 1),
    "one bot": (Period(start=END - timedelta(days=12), end=END, bot="ChatbotB"), 3),
}
"""Periods, and the hours of an interval."""


class Seeded:
    """A month of talk in indices of its own, and an operator of a gateway that shows it."""

    def __init__(self, own: OwnIndices, events: list[Event], page: Operator) -> None:
        self.own, self.events, self.page = own, events, page

    def panel(self, panel: Panel, period: Period) -> dict:
        """Ask the operators' pages, as a browser does."""
        asked = {"from": period.start.isoformat(), "to": period.end.isoformat()}
        reply = self.page.ask(f"api/panel/{panel.id}", asked | ({"bot": period.bot} if period.bot else {}))
        assert reply.status_code == 200, reply.text
        return reply.json()

    @cached_property
    def counts(self) -> dict[str, Counts]:
        return {
            name: Counts(self.events, period.start, period.end, period.bot, hours)
            for name, (period, hours) in PERIODS.items()
        }


@pytest.fixture(scope="module")
def seeded(stack_settings: Settings) -> Iterator[Seeded]:
    search = bootstrap.search_over_http(stack_settings, 30.0)
    own = OwnIndices(stack_settings.elastic_url, search, f"dashboards-{uuid.uuid4().hex}-")
    own.create({"number_of_shards": 1, "number_of_replicas": 0})
    events = list(History(turns=3000, start=END - timedelta(days=25), end=END).events())
    try:
        own.fill(map(document_of, events))
        with serve_operator_pages(OperatorPages(panels=panels_of(own))) as served:
            yield Seeded(own, events, operator(served))
    finally:
        own.delete()


def without_nothing(numbers: Numbers) -> Numbers:
    """Leave out zeros and nulls: the plain counts have no empty groups."""
    return {key: value for key, value in numbers.items() if value not in (None, 0, "")}


def page_numbers(panel: Panel, result: dict) -> Numbers:
    """Return the numbers of a panel's JSON."""
    if panel.chart == "numbers":
        return {(None, one["id"]): value_of(one) for one in result["numbers"]}
    if panel.columns:
        place = [column["id"] for column in result["columns"]].index("turn_id")
        return {(number, "turn_id"): row[place] for number, row in enumerate(result["rows"])}
    if panel.chart == "table":
        columns, depth = result["columns"], len(panel.split)
        return {
            (*row[:depth], None, column["id"]): value_of({"kind": column["kind"], "value": cell})
            for row in result["rows"]
            for column, cell in zip(columns[depth:], row[depth:], strict=True)
        }
    times = list(map(datetime.fromisoformat, result["times"]))
    ids = value_ids(panel)
    return {
        (*split_of(panel, series), time, ids[number % len(ids)]): value
        for number, series in enumerate(result["series"])
        for time, value in zip(times, series["values"], strict=True)
    }


def value_of(cell: dict) -> object:
    value = cell["value"]
    return datetime.fromisoformat(value) if cell["kind"] == "time" and value else value


def split_of(panel: Panel, series: dict) -> tuple:
    if len(panel.split) == 2:
        return series["key"]["bot"], series["key"]["version"]
    return (series["name"],) if panel.split else ()


def value_ids(panel: Panel) -> list[str]:
    ids = []
    for metric in panel.metrics:
        several = isinstance(metric, Percentiles)
        ids += [f"{metric.id}-p{percent}" for percent in metric.percents] if several else [metric.id]
    return ids


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("panel", DASHBOARD.panels, ids=lambda panel: panel.id)
def test_a_panel_equals_an_independent_count(seeded: Seeded, panel: Panel, period: str) -> None:
    """Every number of every interval and row, and none more."""
    expected = without_nothing(seeded.counts[period].numbers(panel.id))
    found = without_nothing(page_numbers(panel, seeded.panel(panel, PERIODS[period][0])))
    assert expected
    assert found.keys() == expected.keys()
    for key, number in expected.items():
        is_float = isinstance(number, float) and not isinstance(number, Near)
        assert found[key] == (pytest.approx(number, rel=1e-4) if is_float else number), key


@pytest.mark.parametrize("period", ["month", "two days"])
@pytest.mark.parametrize(
    "name", [name for kind, name in OBJECTS if kind == "visualization"], ids=lambda name: name.removeprefix("kogpt2-")
)
def test_what_kibana_draws_equals_the_panel(seeded: Seeded, name: str, period: str) -> None:
    """The aggregation is taken out of the file, and run as Kibana runs it."""
    period, hours = PERIODS[period]
    panel, share = panel_of(name)
    one = OBJECTS["visualization", name]
    index, body = request_of(one, OBJECTS, period.start, period.end, [], f"{hours}h")
    drawn = kibana_numbers(panel, share, leaves_of(one, seeded.own.search(index, body)), hours)
    shown = page_numbers(panel, seeded.panel(panel, period))
    if panel.chart == "bars":  # Kibana asks for the rest of the series in a second search
        shown = {key: value for key, value in shown.items() if key[0] != "others"}
    ids = {key[-1] for key in drawn}
    expected = without_nothing({key: value for key, value in shown.items() if key[-1] in ids})
    assert expected
    assert without_nothing(drawn) == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()
    }


def panel_of(name: str) -> tuple[Panel, Share | None]:
    panel_id, _, metric_id = name.removeprefix("kogpt2-").partition("-")
    panel = DASHBOARD.panel(panel_id)
    assert panel is not None
    only = panel.metrics[0].id if len(panel.metrics) == 1 else ""
    shares = {metric.id: metric for metric in panel.metrics if isinstance(metric, Share)}
    return panel, shares.get(metric_id or only)


def kibana_numbers(panel: Panel, share: Share | None, leaves: Iterator, hours: int) -> Numbers:
    """Return the numbers that Kibana's cells stand for, named as on the page."""
    found: Numbers = {}
    counts: dict[tuple, dict[str, int]] = {}
    for key, values in leaves:
        split, time = key[: len(panel.split)], key[-1] if panel.is_over_time else None
        at = (*split, datetime.fromtimestamp(time / 1000, UTC)) if time is not None else (*split, None)
        if share is not None:
            counts.setdefault(at, {})[key[len(panel.split)]] = values[0]
        else:
            found |= {(*at, name): value for name, value in named_values(panel, values, hours)}
    for at, parts in counts.items():
        found[*at, share.id] = parts.get(f"{share.title.ko} ({share.title.en})", 0) / (sum(parts.values()) or 1)
    return found


def named_values(panel: Panel, values: list, hours: int) -> Iterator[tuple[str, object]]:
    cells = iter(values)
    for metric in panel.metrics:
        if isinstance(metric, Share):
            continue
        value = next(cells)
        if isinstance(metric, Percentiles):
            yield from zip((f"{metric.id}-p{percent}" for percent in metric.percents), value, strict=True)
        elif isinstance(metric, Ratio):
            per = next(cells)
            yield metric.id, value / per * metric.factor if per else None
        elif isinstance(metric, PerHour):
            yield metric.id, value / hours
        elif metric.id == "last":
            yield metric.id, datetime.fromtimestamp(value / 1000, UTC)
        else:
            yield metric.id, value
    assert not list(cells)
    assert drawn_metrics(panel)


def test_kibanas_list_has_the_turns_of_the_page(seeded: Seeded) -> None:
    """The saved search of unanswered questions."""
    period, _ = PERIODS["month"]
    for (kind, name), one in OBJECTS.items():
        if kind != "search":
            continue
        pattern, filters = source_of(one, OBJECTS)
        ((field, order),) = one["attributes"]["sort"]
        time = {"range": {field: {"gte": period.start.isoformat(), "lt": period.end.isoformat()}}}
        body = {"size": 20, "sort": [{field: order}], "query": {"bool": {"filter": [time, *filters]}}}
        hits = seeded.own.search(pattern["title"], body)["hits"]["hits"]
        rows = seeded.panel(panel_of(name)[0], period)["rows"]
        assert [[hit["_source"].get(column) for column in one["attributes"]["columns"]] for hit in hits] == rows


def test_new_versions_are_marked_in_every_time_series(seeded: Seeded) -> None:
    """A version is marked at its first turn ever, so a version that answered before the period has no mark in it."""
    first: dict[tuple, datetime] = {}
    for event in seeded.events:
        if isinstance(event, TurnEvent) and event.row["model_version"]:
            first.setdefault((event.row["bot"], event.row["model_version"]), event.row["received_at"])
    for period, _ in PERIODS.values():
        expected = {
            (bot, version, at)
            for (bot, version), at in first.items()
            if period.start <= at < period.end and period.bot in (None, bot)
        }
        for panel in DASHBOARD.panels:
            result = seeded.panel(panel, period)
            assert ("markers" in result) == panel.is_over_time
            if panel.is_over_time:
                found = {(one["bot"], one["version"], datetime.fromisoformat(one["time"])) for one in result["markers"]}
                assert found == expected
    assert len(first) == 18


def panels_of(search: Search) -> SearchedPanels:
    return SearchedPanels(dashboard=DASHBOARD, search=search)


def ids_of(seeded: Seeded, **wanted: object) -> list[str]:
    period, _ = PERIODS["month"]
    result = panels_of(seeded.own).turns(TurnFilter(start=period.start, end=period.end, **wanted))  # type: ignore[arg-type]
    place = [column["id"] for column in result["columns"]].index("turn_id")
    return [row[place] for row in result["rows"]]


def test_the_list_of_turns_is_narrowed_by_each_filter(seeded: Seeded) -> None:
    """The newest turns first, at most as many as asked for."""
    turns = [turn_of(event) for event in seeded.events if isinstance(event, TurnEvent)]
    feedback = [feedback_of(event) for event in seeded.events if hasattr(event, "turn") and event.turn]
    last = {(row["turn_id"], row["player_id"], sort_of(row)): row for row in feedback}
    downs = sorted((row for row in last.values() if row["kind"] == "down"), key=lambda row: row["at"])[-100:]
    key = "은하광장축제언제해"
    expected = {
        ("outcome", "unanswered"): lambda row: row["fallback"] in UNANSWERED,
        ("outcome", "unknown"): lambda row: row["fallback"] in (*UNANSWERED, "unsure"),
        ("outcome", "model"): lambda row: row["fallback"] is None,
        ("bot", "ChatbotC"): lambda row: row["bot"] == "ChatbotC",
        ("version", 3): lambda row: row["model_version"] == 3,
        ("fault", "cut"): lambda row: row["fault"] == "cut",
        ("question_key", key): lambda row: row["text"] == "은하광장 축제 언제 해?",
        ("kind", "down"): lambda row: row["turn_id"] in {one["turn_id"] for one in downs},
    }
    for (name, value), is_wanted in expected.items():
        wanted = [row["turn_id"] for row in turns if is_wanted(row)]
        assert wanted
        assert ids_of(seeded, **{name: value}) == wanted[::-1][:100], name
    assert len(ids_of(seeded, limit=7)) == 7


def test_a_conversation_is_listed_with_all_bots_as_it_was_spoken(seeded: Seeded) -> None:
    """The longest sessions, and players without one, through the key that the list of turns gives."""
    by_conversation: dict[str, list[str]] = {}
    for row in (turn_of(event) for event in seeded.events if isinstance(event, TurnEvent)):
        by_conversation.setdefault(row["conversation"], []).append(row["turn_id"])
    longest = sorted(by_conversation, key=lambda name: -len(by_conversation[name]))
    asked = longest[:3] + [name for name in longest if not name.startswith("s-")][:2]
    assert len(asked) == 5
    for name in asked:
        assert ids_of(seeded, conversation=name) == by_conversation[name][:100]
    period, _ = PERIODS["month"]
    result = panels_of(seeded.own).turns(TurnFilter(start=period.start, end=period.end, conversation=asked[0], limit=3))
    assert result["keys"] == [{"conversation": asked[0]}] * 3


def test_the_groups_of_outcomes_are_those_of_the_panels() -> None:
    """The number of a panel and the list behind it mean the same turns."""
    for panel in DASHBOARD.panels:
        if panel.where.keys() == {"outcome"} and (group := (panel.drill or {}).get("outcome")) in OUTCOMES_BY_GROUP:
            assert set(panel.where["outcome"]) == set(OUTCOMES_BY_GROUP[group])


def test_logstashs_index_templates_take_the_documents(seeded: Seeded, stack_settings: Settings) -> None:
    """An index that Logstash creates has the platform's mapping: it takes the documents, and refuses other fields."""
    url, name = stack_settings.elastic_url, f"logstash-{uuid.uuid4().hex}"
    documents = {index: document for index, _, document in map(document_of, seeded.events)}
    for index in LEFT_OUT:
        body = json.loads(template(index)) | {"index_patterns": [f"{name}-{index}"]}
        try:
            assert requests.put(f"{url}/_template/{name}-{index}", json=body, timeout=30).json() == {
                "acknowledged": True
            }
            posted = requests.post(f"{url}/{name}-{index}/_doc", json=documents[index], timeout=30)
            assert posted.json()["result"] == "created"
            refused = requests.post(f"{url}/{name}-{index}/_doc", json={"message": "비밀"}, timeout=30)
            assert refused.json()["error"]["type"] == "strict_dynamic_mapping_exception"
        finally:
            requests.delete(f"{url}/_template/{name}-{index}", timeout=30)
            requests.delete(f"{url}/{name}-{index}", timeout=30)


def test_missing_indices_are_empty_panels(stack_settings: Settings) -> None:
    """Before the first turn: charts have their intervals and no series, tables have no rows."""
    search = bootstrap.search_over_http(stack_settings, 30.0)
    missing = OwnIndices(stack_settings.elastic_url, search, f"missing-{uuid.uuid4().hex}-")
    period, _ = PERIODS["month"]
    for panel in DASHBOARD.panels:
        result = panels_of(missing).panel(panel.id, period)
        assert not without_nothing(page_numbers(panel, result)), panel.id
    assert panels_of(missing).turns(TurnFilter(start=period.start, end=period.end, kind="down"))["rows"] == []


def test_a_search_that_cannot_be_done_is_an_error(stack_settings: Settings) -> None:
    """Not an empty panel."""
    search = bootstrap.search_over_http(stack_settings, 30.0)
    with pytest.raises(InvalidInput, match="kogpt2-turns"):
        search.search("kogpt2-turns", {"query": {"no_such_query": {}}})
    away = bootstrap.search_over_http(Settings(elastic=Elastic(url="http://127.0.0.1:9")), 1.0)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        panels_of(away).panel(DASHBOARD.panels[0].id, PERIODS["month"][0])
