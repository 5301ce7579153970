"""The definition of the panels, their periods and intervals, and what is computed from a response."""

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.dashboards.panels import DRILL_BY_FIELD, PANELS, Panel, load_dashboard, parse_dashboard
from kogpt2_chat.dashboards.periods import DAY, INTERVALS, Period, hours_of, interval_of, starts_of
from kogpt2_chat.dashboards.queries import panel_query
from kogpt2_chat.dashboards.results import definition, panel_result
from kogpt2_chat.dashboards.turns import MOST_TURNS, TurnFilter, turns_query, turns_result
from kogpt2_chat.domain.gate.wilson import wilson
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, SAFETY_INDEX, TURN_INDEX
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import CHECKOUT

SEOUL = ZoneInfo("Asia/Seoul")
START = datetime(2026, 11, 1, 15, tzinfo=UTC)  # midnight in Seoul
BOTH = {"ko": "수", "en": "Turns"}
PANEL: dict[str, Any] = {
    "id": "turns", "title": BOTH, "note": BOTH, "index": TURN_INDEX, "chart": "bars", "unit": "turns",
    "split": ["bot"], "metrics": [{"id": "turns", "kind": "count", "title": BOTH}],
}  # fmt: skip


def dashboard_of(*panels: dict[str, Any], **more: Any) -> str:
    fields = dict.fromkeys(("bot", "model_version", "turn_id", "outcome"), BOTH)
    return yaml.safe_dump({"title": BOTH, "note": BOTH, "fields": fields, "panels": list(panels), **more})


def panel_of(**changes: Any) -> Panel:
    return parse_dashboard(dashboard_of({**PANEL, **changes})).panels[0]


def metric(**changes: Any) -> dict[str, Any]:
    return {"metrics": [{"id": "m", "title": BOTH, **changes}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"unknown field `colour` - at `\$.panels\[0\]`"),
        ({"title": {"ko": "수"}}, r"missing required field `en` - at `\$.panels\[0\].title`"),
        ({"chart": "pie"}, "Invalid enum value 'pie'"),
        ({"index": "kogpt2-players"}, "Invalid enum value 'kogpt2-players'"),
        ({"split": ["mood"]}, "panel `turns`: index kogpt2-turns has no field `mood`"),
        ({"split": ["text"]}, "field `text` of kogpt2-turns is text, which cannot be used for `split`"),
        ({"split": ["decoding"]}, "field `decoding` of kogpt2-turns is keyword, which cannot be used for `split`"),
        ({"split": ["bot", "model_version", "outcome"]}, "at most 2 fields can split it, found 3"),
        ({"where": {"answer": ["안녕"]}}, "field `answer` of kogpt2-turns is text, which cannot be used for `where`"),
        ({"having": ["answer_token_ids"]}, "`answer_token_ids` .* cannot be used for `where`"),
        (metric(kind="median", field="latency_ms"), "Invalid value 'median'"),
        (metric(kind="mean"), "missing required field `field`"),
        (metric(kind="mean", field="bot"), "field `bot` of kogpt2-turns is keyword, which cannot be used for `number`"),
        (metric(kind="ratio", field="answer_tokens", per="answered_at"), "`answered_at` .* date, .* for `number`"),
        (metric(kind="largest", field="worker"), "`worker` .* cannot be used for `order`"),
        (metric(kind="share", where={"mood": ["sad"]}), "has no field `mood`"),
        (metric(kind="sample", field="text"), "metric `m`: a sample is for a table"),
        (metric(kind="share", where={"outcome": ["model"]}, bounds=True), "metric `m`: `bounds` are for a table"),
        ({"chart": "table"} | metric(kind="per_hour", field="answer_tokens"), "metric `m`: `per_hour` needs intervals"),
        ({"metrics": PANEL["metrics"] * 2}, "metric `turns` is defined twice"),
        ({"metrics": []}, "it needs either `metrics` or `columns`"),
        ({"columns": ["turn_id"]}, "it needs either `metrics` or `columns`"),
        ({"metrics": [], "columns": ["bot"], "chart": "table"}, "`columns` need `turn_id`"),
        ({"metrics": [], "columns": ["turn_id"]}, "`columns` are for a table, not for bars"),
        ({"chart": "numbers"}, "`numbers` cannot be split"),
        ({"chart": "table", "split": []}, "a table with `metrics` needs `split`"),
        ({"split": ["worker"]}, "`fields` has no heading for `worker`"),
        ({"drill": {"mood": "sad"}}, "`drill` has unknown parameters: mood; known are bot, version"),
    ],
)
def test_a_fault_of_the_definition_is_named(changes: dict[str, Any], message: str) -> None:
    """The message says in which panel it is, and what was expected."""
    with pytest.raises(InvalidInput, match=f"panels.yaml: .*{message}"):
        panel_of(**changes)


def test_all_faults_are_reported_together() -> None:
    """Also that an id is used twice; what is not YAML is one fault."""
    with pytest.raises(InvalidInput, match="`turns` is defined twice.*no field `mood`.*cannot be split"):
        parse_dashboard(dashboard_of({**PANEL, "split": ["mood"]}, {**PANEL, "chart": "numbers"}))
    with pytest.raises(InvalidInput, match="not valid YAML"):
        parse_dashboard("panels: [")


def test_texts_of_the_panels_are_in_both_languages() -> None:
    """Korean has Hangul, English has none; no two panels have one title."""
    panels = load_dashboard().panels
    texts = [text for panel in panels for text in (panel.title, panel.note, *(one.title for one in panel.metrics))]
    hangul = [any("가" <= char <= "힣" for char in text.ko) for text in texts if text.ko != "Kafka"]
    assert all(hangul)
    assert not any("가" <= char <= "힣" for text in texts for char in text.en)
    assert len({panel.title.ko for panel in panels}) == len({panel.title.en for panel in panels}) == len(panels)


def test_no_panel_shows_a_name_or_a_person() -> None:
    """Of turns about a crisis there is nothing but counts, and nothing leads to a turn."""
    for panel in load_dashboard().panels:
        assert not {"sender", "player_id", "session_id", "conversation"} & {*panel.split, *panel.columns}
        if panel.index == SAFETY_INDEX:
            assert panel.drill is None
    assert "text" not in FIELDS_BY_INDEX[SAFETY_INDEX]


def test_the_page_gets_the_definition_without_queries() -> None:
    """In the order of the file, with the keys that the page knows."""
    found = definition(load_dashboard())["panels"]
    assert [one["id"] for one in found] == [one["id"] for one in yaml.safe_load(PANELS.read_text())["panels"]]
    assert {*found[0]} == {"id", "title", "note", "chart", "unit", "wide", "drill"}
    assert {one["id"] for one in found if not one["drill"]} == {"crisis", "dead_letters", "dead_letter_sizes"}


@pytest.mark.parametrize(
    ("length", "name"),
    [
        (timedelta(minutes=3), "1m"), (timedelta(hours=1), "1m"), (timedelta(minutes=101), "5m"),
        (timedelta(days=1), "15m"), (timedelta(days=4), "1h"), (timedelta(days=7), "3h"), (timedelta(days=30), "12h"),
        (timedelta(days=90), "1d"), (timedelta(days=365), "1w"), (timedelta(days=3000), "1M"),
        (timedelta(days=30_000), "1M"),
    ],
)  # fmt: skip
def test_intervals_follow_from_the_length_of_the_period(length: timedelta, name: str) -> None:
    """The shortest interval of which there are at most a hundred, for some panels not below a day."""
    period = Period(start=START, end=START + length)
    assert interval_of(period, at_least_a_day=False).name == name
    at_least_a_day = interval_of(period, at_least_a_day=True)
    assert at_least_a_day.name == (name if name in ("1d", "1w", "1M") else "1d")


@given(
    st.integers(0, 180 * 365 * 86_400_000).map(
        lambda ms: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    ),
    st.timedeltas(timedelta(seconds=1), timedelta(days=4000)),
)
def test_intervals_cover_the_period_without_a_gap(start: datetime, length: timedelta) -> None:
    """They begin at round times in Seoul, and only the first may begin before the period."""
    period = Period(start=start, end=start + length)
    interval = interval_of(period, at_least_a_day=False)
    starts = starts_of(period, interval)
    assert starts[0] <= start
    assert all(start < one < period.end for one in starts[1:])
    for one, following in zip(starts, [*starts[1:], None], strict=True):
        end = one + timedelta(hours=hours_of(one, interval))
        assert end == following if following else end >= period.end
        local = one.astimezone(SEOUL)
        if interval.length >= DAY.length:
            assert (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
        if interval.name == "1w":
            assert local.weekday() == 0
        if interval.name == "1M":
            assert local.day == 1


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (START, START, "before it begins"),
        (START.replace(tzinfo=None), START, "`start` 2026-11-01T15:00:00 has no offset"),
        (START, datetime(3026, 1, 1, tzinfo=UTC), "`end` 3026-01-01T00:00:00.00:00 is not a plausible time"),
    ],
)
def test_a_period_that_cannot_be_is_an_error(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Period(start=start, end=end)


def test_a_list_of_turns_is_bounded() -> None:
    """In number and in time."""
    with pytest.raises(InvalidInput, match=f"`limit` must be from 1 to {MOST_TURNS}, found 101"):
        TurnFilter(start=START, end=START + timedelta(days=1), limit=101)
    with pytest.raises(InvalidInput, match="is not a period"):
        TurnFilter(start=START, end=START)


def test_a_conversation_is_listed_as_it_was_spoken() -> None:
    """Whatever else narrows it. The other lists begin with the newest turn."""
    period = {"start": START, "end": START + timedelta(days=1)}
    for bot in (None, "ChatbotA"):
        _, body = turns_query(TurnFilter(**period, conversation="s-1", bot=bot))
        assert {"term": {"conversation": "s-1"}} in body["query"]["bool"]["filter"]
        assert body["sort"] == [{"received_at": "asc"}]
    _, body = turns_query(TurnFilter(**period))
    assert body["sort"] == [{"received_at": "desc"}]
    assert "conversation" not in str(body["query"])


def test_single_turns_lead_to_their_conversations() -> None:
    """In the list and in panels that list turns. Documents without one, as of another index, lead nowhere."""
    sources = [{"turn_id": "bot_question-1-2", "conversation": "s-1"}, {"turn_id": "bot_question-1-3"}]
    found = {"hits": {"hits": [{"_source": source} for source in sources]}}
    period = Period(start=START, end=START + timedelta(days=1))
    listing = next(panel for panel in load_dashboard().panels if panel.columns)
    for result in (turns_result(found), panel_result(listing, found, period)):
        assert result["keys"] == [{"conversation": "s-1"}, {}]
    for _, body in (turns_query(TurnFilter(start=START, end=period.end)), panel_query(listing, period)):
        assert "conversation" in body["_source"]


def test_wilsons_interval() -> None:
    """Values of Wilson (1927), as R's `prop.test(correct=FALSE)` gives them."""
    assert wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.16113), abs=1e-4)
    assert wilson(20, 20) == pytest.approx((0.83887, 1.0), abs=1e-4)
    assert wilson(640, 1000) == pytest.approx((0.60977, 0.66914), abs=1e-4)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilsons_interval_holds_the_share(positive: int, more: int) -> None:
    """It is within 0 and 1, and narrower with ten times the observations."""
    count = positive + more
    low, high = wilson(positive, count)
    assert 0 <= low <= positive / count <= high <= 1
    narrow_low, narrow_high = wilson(10 * positive, 10 * count)
    assert narrow_high - narrow_low < high - low


def response(**aggregations: Any) -> dict[str, Any]:
    return {"took": 5, "hits": {"total": {"value": 3}, "hits": []}, "aggregations": aggregations}


def bucket(key: object, count: int, **more: Any) -> dict[str, Any]:
    return {"key": key, "doc_count": count, **more}


def test_empty_intervals_are_zeros_for_counts_and_nulls_for_percentiles() -> None:
    """A percentile, mean, share or ratio of nothing is not zero."""
    period = Period(start=START, end=START + timedelta(minutes=3))
    at_ms = int((START + timedelta(minutes=1)).timestamp() * 1000)
    metrics = [
        {"id": "n", "kind": "count", "title": BOTH},
        {"id": "tokens", "kind": "per_hour", "field": "answer_tokens", "title": BOTH},
        {"id": "wait", "kind": "percentiles", "field": "latency_ms", "percents": [50], "title": BOTH},
        {"id": "length", "kind": "mean", "field": "answer_chars", "title": BOTH},
        {"id": "own", "kind": "share", "where": {"outcome": ["model"]}, "title": BOTH},
        {"id": "speed", "kind": "ratio", "field": "answer_tokens", "per": "decode_ms", "factor": 1000, "title": BOTH},
    ]
    panel = panel_of(chart="lines", metrics=metrics)
    full = bucket(
        at_ms, 4, tokens={"value": 6.0}, wait={"values": {"50.0": 7.5}}, length={"value": 12.5},
        own={"doc_count": 3}, speed={"value": 6.0}, **{"speed-per": {"value": 300.0}},
    )  # fmt: skip
    found = panel_result(
        panel, response(split0={"buckets": [bucket("ChatbotA", 4, times={"buckets": [full]})]}), period
    )
    values = [series["values"] for series in found["series"]]
    assert values == [
        [0, 4, 0], [0, 360, 0], [None, 7.5, None], [None, 12.5, None], [None, 0.75, None], [None, 20, None],
    ]  # fmt: skip
    assert found["times"] == [(START + timedelta(minutes=minute)).isoformat() for minute in range(3)]
    assert found["series"][2]["title"] == {"ko": "ChatbotA 수 p50", "en": "ChatbotA Turns p50"}


def test_stacked_bars_add_up_to_all_documents() -> None:
    """What is in none of the series, because there are too many of them, is one more."""
    period = Period(start=START, end=START + timedelta(minutes=2))
    at_ms = int(START.timestamp() * 1000)
    one = bucket("ChatbotA", 4, times={"buckets": [bucket(at_ms, 4)]})
    times = {"buckets": [bucket(at_ms, 6)]}
    found = panel_result(panel_of(), response(split0={"buckets": [one]}, times=times), period)
    assert [(series["name"], series["values"]) for series in found["series"]] == [
        ("ChatbotA", [4, 0]),
        ("others", [2, 0]),
    ]
    assert found["series"][1]["key"] == {}


def test_a_key_leads_to_the_turns_behind_a_number() -> None:
    """By the parameters of the list of turns; without `drill` there is none."""
    period = Period(start=START, end=START + timedelta(minutes=2))
    inner = bucket(3, 4, times={"buckets": []})
    found = response(split0={"buckets": [bucket("ChatbotA", 4, split1={"buckets": [inner]})]})
    panel = panel_of(split=["bot", "model_version"], drill={"outcome": "unanswered"})
    (series,) = panel_result(panel, found, period)["series"]
    assert series["key"] == {"bot": "ChatbotA", "version": 3, "outcome": "unanswered"}
    assert series["name"] == "마루 v3"
    (series,) = panel_result(panel_of(split=["bot", "model_version"]), found, period)["series"]
    assert series["key"] == {}
    assert set(DRILL_BY_FIELD.values()) <= {field.name for field in fields(TurnFilter)}


def test_a_search_only_reads_and_is_bounded() -> None:
    """It has a period, a timeout and sizes; the documents themselves are returned by lists only."""
    period = Period(start=START, end=START + timedelta(days=1), bot="ChatbotA")
    for panel in load_dashboard().panels:
        index, body = panel_query(panel, period)
        assert index == panel.index
        assert {"term": {"bot": "ChatbotA"}} in body["query"]["bool"]["filter"]
        assert body["timeout"] == "10s"
        assert body["size"] == (panel.size if panel.columns else 0) <= MOST_TURNS
        assert "script" not in str(body)


def test_intervals_are_in_order() -> None:
    """The choice takes the first that fits."""
    lengths = [interval.length for interval in INTERVALS]
    assert lengths == sorted(lengths)


def test_the_documentation_names_every_panel() -> None:
    """In the table of `docs/dashboards.md`, and no other."""
    table = (CHECKOUT / "docs" / "dashboards.md").read_text("utf-8").split("## Panels")[1].split("\n- ")[0]
    named = [
        name for line in table.splitlines() if line[:1] == "|" for name in re.findall("`([a-z_]+)`", line.split("|")[1])
    ]
    assert sorted(named) == sorted(panel.id for panel in load_dashboard().panels)
