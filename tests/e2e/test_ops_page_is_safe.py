"""Hostile texts are texts everywhere on the operators' page: players wrote some of what it shows."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.e2e import ops_facts
from tests.e2e.ops_page import OpsPage
from tests.e2e.ops_page_server import OpsServer
from tests.e2e.test_world_in_the_browser import HOSTILE

pytestmark = pytest.mark.e2e

Operator = Callable[..., OpsPage]
KEPT = frozenset({"id", "chart", "unit", "kind", "wide", "drill", "bots", "time", "times", "took_ms", "refresh_s"})
"""Parts of the answers that are no texts but say what the others mean."""
FOREIGN = (
    "script:not([src]), img, iframe, object, embed, video, audio, marquee, math, template, x, details, base, style, "
    "body > form, body link, meta[http-equiv], [onload], [onerror], [onfocus], [autofocus], [contenteditable], "
    "a[href^='javascript'], a[href^='data']"
)
"""Elements that only a text that became HTML makes."""


def hostile(value: Any, texts: Iterator[str]) -> Any:
    """Return an answer with hostile texts in place of its own."""
    if isinstance(value, dict):
        return {name: part if name in KEPT else hostile(part, texts) for name, part in value.items()}
    if isinstance(value, list):
        return [hostile(part, texts) for part in value]
    return next(texts) if isinstance(value, str) else value


def of_all(*kinds: str) -> dict[str, Any]:
    """Return a table with a row for each hostile text, in a column of each kind."""
    columns = [
        {"id": f"c{at}", "title": dict.fromkeys(("ko", "en"), HOSTILE[at]), "kind": kind}
        for at, kind in enumerate(kinds)
    ]
    return {
        "columns": columns,
        "rows": [[text] * len(kinds) for text in HOSTILE],
        "keys": [{"question_key": text} for text in HOSTILE],
    }


def assert_harmless(page: OpsPage) -> None:
    """Check that no text has become a part of the page, and that none was run."""
    assert page.page.evaluate("window.hacked === undefined")
    assert page.page.locator(FOREIGN).evaluate_all("found => found.map(one => one.outerHTML)") == []


def shown(page: OpsPage, selector: str) -> set[str]:
    """Return the texts of elements."""
    return set(page.page.locator(selector).all_text_contents())


@pytest.fixture
def hostile_ops(ops: OpsServer) -> OpsServer:
    """The server, with hostile texts in every answer."""
    texts = itertools.cycle(HOSTILE)
    end = datetime.now(UTC)
    day = (end - timedelta(days=1), end)
    for panel in ops_facts.PANELS:
        name = panel["id"]
        ops.answers[f"/ops/api/panel/{name}"] = (200, hostile(ops_facts.panel_data(name, *day), texts))
    times = {"times": ops_facts.panel_data("turns", *day)["times"]}
    series = [
        {"name": text, "key": {"outcome": text}, "values": [at + 1] * ops_facts.BUCKETS}
        for at, text in enumerate(HOSTILE)
    ]
    markers = [
        {"time": time, "bot": text, "version": text}
        for time, text in zip(itertools.cycle(times["times"]), HOSTILE, strict=False)
    ]
    ops.answers["/ops/api/panel/turns"] = (200, {**times, "series": series, "markers": markers})
    ops.answers["/ops/api/panel/questions"] = (200, of_all("text", "number", "share", "time", "turn", "ms"))
    ops.answers["/ops/api/panel/dead"] = (503, {"reason": "unavailable", "what": HOSTILE[0]})
    ops.answers["/ops/api/turns"] = (200, of_all("text", "turn"))
    ops.answers["/ops/api/now"] = (200, hostile(ops_facts.NOW, texts))
    links = {
        HOSTILE[0]: "javascript:window.hacked=1",
        "mlflow": 'https://a.example/"><img src=x onerror=window.hacked=1>',
    }
    bots = [{"id": bot, "name": text} for bot, text in zip(HOSTILE[:3], HOSTILE[3:6], strict=True)]
    ops.answers["/ops/api/dashboard"] = (200, {**hostile(ops_facts.DASHBOARD, texts), "links": links, "bots": bots})
    return ops


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_the_dashboard_shows_hostile_texts_as_texts(hostile_ops: OpsServer, operator: Operator, locale: str) -> None:
    """Names of series, bots and versions, cells, titles, notes, failures and links; beside the pointer and as a table."""
    page = operator(locale=locale).come_in()
    assert shown(page, "[data-panel=turns] .legend-item") == set(HOSTILE)
    for kind in ("is-text", "is-turn", "is-number"):
        assert set(HOSTILE) <= shown(page, f"[data-panel=questions] td.{kind}"), kind
    assert HOSTILE[0] in page.text("[data-panel=dead] .panel-problem")
    assert page.page.locator(".servers a").count() == 1
    assert page.page.locator(".bot-choice option").all_text_contents()[1:] == list(HOSTILE[3:6])
    x, y = page.place("turns", 0, 5)
    page.page.mouse.move(x, y - 20)
    page.page.wait_for_selector("[data-panel=turns] .tip:visible")
    assert set(HOSTILE) <= shown(page, "[data-panel=turns] .tip li > span:nth-child(2)")
    page.page.click("[data-panel=turns] .as-table")
    assert set(HOSTILE) <= shown(page, "[data-panel=turns] thead th")
    assert_harmless(page)


def test_the_list_of_turns_shows_hostile_texts_as_texts(hostile_ops: OpsServer, operator: Operator) -> None:
    """What it is narrowed to as well."""
    page = operator().come_in()
    page.page.evaluate("document.querySelectorAll('[data-panel=thumbs] .row-button')[0].click()")
    page.page.wait_for_selector("dialog tbody tr")
    assert set(HOSTILE) <= shown(page, "dialog td.is-text")
    hrefs = page.page.locator("dialog .turn-link").evaluate_all(
        "links => links.map(link => new URL(link.href).pathname)"
    )
    assert len(hrefs) == len(HOSTILE)
    assert all(href.startswith("/ops/turn/") and href.count("/") == 3 for href in hrefs)
    assert_harmless(page)


def test_a_conversation_shows_hostile_texts_as_texts(hostile_ops: OpsServer, operator: Operator) -> None:
    """Its own name, which a client chose, and every text in it; links lead to the pages of turns only."""
    data = ops_facts.conversation(datetime(2026, 11, 27, tzinfo=UTC))
    hostile_ops.answers["/ops/api/turns"] = (200, data | {"rows": [[text] * len(data["columns"]) for text in HOSTILE]})
    page = operator().come_in()
    for name in HOSTILE[::4]:
        page.open(f"/ops/conversation?{urlencode({'id': name, 'at': name})}#{quote(name)}")
        page.page.wait_for_selector(".exchange")
        assert page.page.locator("h1 code").text_content() == name
    for part in (".question p", ".answer-bubble p", ".badge"):
        assert set(HOSTILE) <= shown(page, f".exchange {part}"), part
    hrefs = page.page.locator("main a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert all(href == "/ops" or href.startswith(("/ops/turn/", "/ops/conversation?")) for href in hrefs)
    assert_harmless(page)


def test_the_record_of_a_turn_shows_hostile_texts_as_texts(hostile_ops: OpsServer, operator: Operator) -> None:
    """Every text of the lineage and of the replay."""
    texts = itertools.cycle(HOSTILE)
    found = hostile(ops_facts.lineage(ops_facts.TURN), texts)
    row = ops_facts.lineage(ops_facts.TURN)["nearest_rows"][0]
    found["nearest_rows"] = [
        {**row, "question": text, "answer": text, "kind": text, "split": text, "sources": [text]} for text in HOSTILE
    ]
    found["notes"] = list(HOSTILE)
    replay = hostile(ops_facts.explanation(), texts)
    replay["changes"] = [{"rule": text, "why": text, "before": text, "after": text} for text in HOSTILE]
    path = f"/ops/api/turn/{ops_facts.TURN}"
    hostile_ops.answers |= {path: (200, found), f"{path}/replay": (200, replay)}
    page = operator().come_in()
    page.open(f"/ops/turn/{ops_facts.TURN}")
    page.page.wait_for_selector("[data-part=nearest]")
    assert set(HOSTILE) <= shown(page, "[data-part=nearest] td")
    assert set(HOSTILE) <= shown(page, "[data-part=notes] li")
    page.page.click("[data-part=replay] .primary")
    page.page.wait_for_selector("[data-part=replay] table")
    assert set(HOSTILE) <= shown(page, "[data-part=replay] td")
    assert (
        page.page.locator("[data-part=training] a, [data-part=talk] a.away").count() == 0
    )  # their addresses are no addresses
    assert_harmless(page)
