"""The operators' page on a server with invented numbers: login, panels, refreshing, failures, single turns."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e import ops_facts
from tests.e2e.conftest import Visitors
from tests.e2e.ops_page import OpsPage
from tests.e2e.ops_page_server import OpsServer

pytestmark = pytest.mark.e2e

Operator = Callable[..., OpsPage]
AWAY = (503, {"reason": "unavailable", "what": "Elasticsearch does not answer"})
PANEL = "/ops/api/panel/"


def asked(path: str) -> dict[str, str]:
    """Return the query of a request."""
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def length(query: dict[str, str]) -> timedelta:
    """Return how long the asked time is."""
    start, end = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
    return end - start


def last(ops: OpsServer, start: str) -> dict[str, str]:
    """Return the query of the last request to a path."""
    return asked(next(path for path in reversed(ops.asked) if path.startswith(start)))


def test_a_login_is_needed_and_a_wrong_one_says_so(ops: OpsServer, operator: Operator) -> None:
    """The form keeps the name, and too many tries say how long to wait; nothing was asked for before the login."""
    page = operator()
    page.page.wait_for_selector("#ops-user")
    assert page.page.url.endswith("/ops/login")
    page.log_in(password="틀림")
    page.until("document.querySelector('#ops-login-problem').textContent.includes('맞지 않아요')")
    assert page.page.input_value("#ops-user") == "operator"
    assert page.page.evaluate("document.activeElement.id") == "ops-password"
    ops.answers["/ops/login"] = (429, {"reason": "rate", "wait_s": 17})
    page.log_in()
    page.until("document.querySelector('#ops-login-problem').textContent.includes('17초')")
    assert ops.asked == []
    ops.answers.clear()
    page.log_in()
    page.until_loaded()
    assert page.page.url == f"{ops.url}/ops"


def test_signing_out_ends_it(ops: OpsServer, operator: Operator) -> None:
    """Also in this browser's memory, so that the world asks the gateway no more."""
    page = operator().come_in()
    assert page.page.evaluate("localStorage['byeolmaru.operator']") == "1"
    page.page.click(".sign-out")
    page.page.wait_for_selector("#ops-user")
    assert page.page.evaluate("localStorage['byeolmaru.operator'] === undefined")
    assert not [cookie for cookie in page.context.cookies() if cookie["name"] == "kogpt2_ops"]
    page.open("/ops")
    page.page.wait_for_selector("#ops-user")


def test_a_login_that_ends_meanwhile_hides_everything(ops: OpsServer, operator: Operator) -> None:
    """The form appears in place of the numbers and of an open list; after it, the dashboard is back."""
    page = operator().come_in()
    page.page.click("[data-panel=questions] .row-button >> nth=0")
    page.page.wait_for_selector("dialog tbody tr")
    ops.is_open = False
    page.page.evaluate("document.querySelector('.again').click()")
    page.page.wait_for_selector("#ops-user")
    assert "거울동굴" not in page.text()
    assert page.page.locator("dialog").count() == 0
    page.log_in()
    page.until_loaded()
    assert "거울동굴" in page.text()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts_are_drawn_in_the_colours_of_the_theme(operator: Operator, theme: str) -> None:
    """Each bot has its own. The theme follows the system, and the operator's choice comes before it."""
    page = operator(color_scheme=theme, reduced_motion="reduce").come_in()
    place = page.place("turns", 0, 3)
    before = page.style("--series-1")
    page.until_coloured("turns", place, "--series-1")
    page.page.select_option(".theme", "light" if theme == "dark" else "dark")
    page.until(f"getComputedStyle(document.documentElement).getPropertyValue('--series-1').trim() !== '{before}'")
    page.until_coloured("turns", place, "--series-1")
    page.page.reload()
    page.until_loaded()
    assert page.style("--series-1") != before


@pytest.mark.parametrize("panel", ["turns", "latency", "fallbacks", "share"])
def test_a_chart_is_a_table_too(operator: Operator, panel: str) -> None:
    """With all values, the newest interval first."""
    page = operator(locale="en-US").come_in()
    page.page.click(f"[data-panel={panel}] .as-table")
    now = datetime.now().astimezone()
    series = ops_facts.panel_data(panel, now, now)["series"]
    values = zip(*(one["values"] for one in series), strict=True)
    expected = [[written(panel, value) for value in at_once] for at_once in values]
    assert [row[1:] for row in page.table(panel)] == expected[::-1]
    names = page.page.locator(f"[data-panel={panel}] thead th").all_inner_texts()
    assert names[0] == "Time"
    assert {"turns": "Maru", "latency": "p50", "fallbacks": "Nearest known answer", "share": "Maru"}[panel] == names[1]


def written(panel: str, value: float | None) -> str:
    """Return a value as the page writes it in English."""
    if value is None:
        return "–"
    if panel == "share":
        return f"{value * 100:.1f}".removesuffix(".0") + "%"
    if panel == "latency":
        return f"{value} ms" if value < 1000 else f"{(value + 5) // 10 / 100:g} s"
    return str(value)


def test_tables_and_numbers_follow_the_language(operator: Operator) -> None:
    """Shares, durations and times as well; the choice is kept."""
    page = operator(locale="ko-KR").come_in()
    assert page.table("questions")[1][1:4] == ["812", "31%", "1.51초"]
    assert page.table("questions")[0][4] == "11월 27일 19:20:30"
    assert page.table("questions")[2][2:5] == ["–", "–", "–"]
    assert page.table("thumbs")[0][:6] == ["마루", "3", "90%", "82.1%", "94.6%", "90"]
    page.page.click(".language[lang=en]")
    assert page.table("questions")[1][3] == "1.51 s"
    assert page.table("questions")[0][4] == "27 Nov, 19:20:30"
    assert page.table("thumbs")[0][0] == "Maru"
    assert "Turns in the last hour\n1,234" in page.text(".now")
    page.page.reload()
    page.until_loaded()
    assert page.page.evaluate("document.documentElement.lang") == "en"
    assert "Nothing in this period" in page.text("[data-panel=nothing]")


def test_new_versions_are_named(operator: Operator) -> None:
    """Below the chart in words, with bot and version; the line itself has the colour of the accent."""
    page = operator(locale="ko-KR", reduced_motion="reduce").come_in()
    assert "마루 v3" in page.text("[data-panel=turns] .chart-view")
    assert "온유 v2" in page.text("[data-panel=turns] .chart-view")


def test_values_are_shown_beside_the_pointer(operator: Operator) -> None:
    """With their sum, but without what the legend hides."""
    page = operator(reduced_motion="reduce").come_in()
    page.page.mouse.move(*page.place("turns", 0, 4))
    page.page.wait_for_selector("[data-panel=turns] .tip:visible")
    values = ops_facts.panel_data("turns", *[datetime.now().astimezone()] * 2)["series"]
    total = round(sum(one["values"][4] for one in values))
    assert page.text("[data-panel=turns] .tip").endswith(f"합계\n{total}")
    page.page.click("[data-panel=turns] .legend-item >> nth=2")
    assert page.page.get_attribute("[data-panel=turns] .legend-item >> nth=2", "aria-pressed") == "false"
    page.page.mouse.move(*page.place("turns", 0, 5))
    page.page.wait_for_selector("[data-panel=turns] .tip:visible")
    assert "설이" not in page.text("[data-panel=turns] .tip")


def test_a_time_and_a_bot_narrow_all_panels_and_stay_in_the_address(ops: OpsServer, operator: Operator) -> None:
    """After a reload as well; an own range must be in the right order."""
    page = operator().come_in()
    assert length(last(ops, PANEL)) == timedelta(hours=24)
    page.page.click(".segment >> nth=2")
    page.page.select_option(".bot-choice select", "ChatbotB")
    page.page.reload()
    page.until_loaded()
    found = [asked(path) for path in ops.asked[-len(ops_facts.PANELS) :] if path.startswith(PANEL)]
    assert {query["bot"] for query in found} == {"ChatbotB"}
    assert {length(query) for query in found} == {timedelta(days=7)}
    assert page.page.get_attribute(".segment >> nth=2", "aria-pressed") == "true"
    page.page.click(".segment >> nth=5")
    page.page.fill(".custom-range input >> nth=0", "2026-03-02T00:00")
    page.page.fill(".custom-range input >> nth=1", "2026-03-01T00:00")
    page.page.press(".custom-range input >> nth=1", "Enter")
    page.until("document.querySelector('.custom-range .problem').textContent !== ''")
    page.page.fill(".custom-range input >> nth=1", "2026-03-05T12:00")
    page.page.press(".custom-range input >> nth=1", "Enter")
    page.until("location.search.includes('from=2026-03-01T15')")  # Seoul is nine hours ahead
    page.until_loaded()
    assert length(last(ops, PANEL)) == timedelta(days=3, hours=12)


def test_the_panels_are_loaded_again_until_somebody_pauses_it(ops: OpsServer, operator: Operator) -> None:
    """With the browser's clock set forward: every 30 s, not while paused, and at once when it goes on."""
    page = operator()
    page.page.clock.install()
    page.come_in()
    rounds = ops.count(f"{PANEL}turns")
    page.page.clock.fast_forward(31_000)
    page.until_loaded()
    assert ops.count(f"{PANEL}turns") == rounds + 1
    page.page.click(".pause")
    assert "멈춤" in page.text(".updated")
    page.page.clock.fast_forward(300_000)
    page.page.click(".again")
    page.until_loaded()
    assert ops.count(f"{PANEL}turns") == rounds + 2
    page.page.clock.fast_forward(300_000)
    page.page.click(".pause")
    page.page.clock.fast_forward(1)
    page.until_loaded()
    assert ops.count(f"{PANEL}turns") == rounds + 3


def test_what_is_shown_stays_until_newer_numbers_are_there(ops: OpsServer, operator: Operator) -> None:
    """Also if they do not come; then the panel says so, and can be tried again alone."""
    page = operator().come_in()
    ops.held[f"{PANEL}questions"] = threading.Event()
    ops.answers[f"{PANEL}questions"] = AWAY
    page.page.click(".again")
    page.page.wait_for_selector("[data-panel=questions][aria-busy]")
    assert "거울동굴" in page.text("[data-panel=questions]")
    ops.held[f"{PANEL}questions"].set()
    page.page.wait_for_selector("[data-panel=questions] .panel-problem button")
    assert "Elasticsearch does not answer" in page.text("[data-panel=questions]")
    assert "거울동굴" in page.text("[data-panel=questions]")
    page.until_loaded()
    assert page.page.locator(".panel-problem button").count() == 1
    ops.answers.clear()
    before = ops.count(PANEL)
    page.page.click("[data-panel=questions] .panel-problem button")
    page.until("document.querySelectorAll('.panel-problem button').length === 0")
    assert ops.count(PANEL) == before + 1


def test_without_any_numbers_the_page_says_why(ops: OpsServer, operator: Operator) -> None:
    """The panels and the numbers of now each; without the panels' definition, the page as a whole."""
    ops.answers |= {f"{PANEL}turns": AWAY, "/ops/api/now": AWAY}
    page = operator().come_in()
    for part in ("[data-panel=turns]", ".now"):
        assert "Elasticsearch does not answer" in page.text(part)
    ops.answers |= {"/ops/api/dashboard": AWAY}
    page.page.reload()
    page.page.wait_for_selector(".failure button")
    assert "Elasticsearch does not answer" in page.text(".failure")
    ops.answers.clear()
    page.page.click(".failure button")
    page.until_loaded()
    assert page.page.locator("[data-panel]").count() == len(ops_facts.PANELS)


def test_a_bar_leads_to_its_turns_and_they_to_their_records(ops: OpsServer, operator: Operator) -> None:
    """With the bot and the time of the bar; empty space of the chart leads to all turns of the time."""
    page = operator().come_in()
    page.page.mouse.click(*page.place("turns", 0, 3))
    page.page.wait_for_selector("dialog tbody tr")
    query = last(ops, "/ops/api/turns")
    assert (query["bot"], length(query), query["limit"]) == ("ChatbotA", timedelta(hours=1), "100")
    assert page.page.get_attribute("dialog .turn-link >> nth=0", "href") == f"/ops/turn/{ops_facts.TURN}"
    page.page.keyboard.press("Escape")
    x, _ = page.place("turns", 0, 11)  # nothing happened then
    top = page.page.locator("[data-panel=turns] canvas").bounding_box()
    assert top
    page.page.mouse.click(x, top["y"] + top["height"] / 2)
    page.page.wait_for_selector("dialog tbody tr")
    assert "bot" not in last(ops, "/ops/api/turns")


def test_a_row_leads_to_its_turns(ops: OpsServer, operator: Operator) -> None:
    """Of the whole time, with the row's own filter; a failure can be tried again."""
    page = operator().come_in()
    ops.answers["/ops/api/turns"] = AWAY
    page.page.click("[data-panel=thumbs] .row-button >> nth=1")
    page.page.wait_for_selector("dialog .problem")
    ops.answers.clear()
    page.page.click("dialog .turns-body button")
    page.page.wait_for_selector("dialog tbody tr")
    query = last(ops, "/ops/api/turns")
    assert (query["bot"], query["version"], length(query)) == ("ChatbotA", "2", timedelta(hours=24))


def test_the_record_of_a_turn(ops: OpsServer, operator: Operator) -> None:
    """Every part of it; links lead to MLflow and to the turns that taught the version."""
    page = operator().come_in()
    page.open(f"/ops/turn/{ops_facts.TURN}")
    page.page.wait_for_selector("[data-part=talk]")
    for part, text in {
        "talk": "오솔길 끝이에요", "waits": "687 ms", "origin": "conversation_log · 0 · 41", "training": "ChatbotA-20261127-1",
        "learned": "마루 v4", "nearest": "91.2%", "gate": "fit.gold_not_worse", "notes": "the run's log was deleted",
    }.items():  # fmt: skip
        assert text in page.text(f"[data-part={part}]"), part
    assert page.page.get_attribute("[data-part=nearest] .turn-link", "href") == "/ops/turn/bot_question-0-7"
    run = page.page.get_attribute("[data-part=training] a", "href")
    assert run == "http://127.0.0.1:5000/#/experiments/1/runs/0f1e2d3c4b5a"
    assert ops.count(f"/ops/api/turn/{ops_facts.TURN}/replay") == 0
    page.page.click("[data-part=replay] .primary")
    page.page.wait_for_selector("[data-part=replay] table")
    assert "기록과 달라요" in page.text("[data-part=replay]")
    page.page.click(".language[lang=en]")
    assert "Differs from the record" in page.text("[data-part=replay]")
    assert "Nearest training rows" in page.text("[data-part=nearest]")


def test_a_turn_without_a_version_or_a_text_has_a_record(ops: OpsServer, operator: Operator) -> None:
    """What is unknown is named as such; a turn that does not exist is not an error of the page."""
    found = ops_facts.lineage(ops_facts.TURN)
    found["turn"] |= {"question": None, "answer": None, "model_version": 0, "outcome": "degraded", "kafka_ms": None,
                      "queue_ms": None, "decode_ms": None, "return_ms": None, "session_id": None, "sent_at": None}  # fmt: skip
    unknown = {
        "version": None,
        "run": None,
        "dataset": None,
        "gate": None,
        "nearest_rows": [],
        "learned_by": [],
        "notes": [],
    }
    ops.answers[f"/ops/api/turn/{ops_facts.TURN}"] = (200, {**found, **unknown})
    page = operator().come_in()
    page.open(f"/ops/turn/{ops_facts.TURN}")
    page.page.wait_for_selector("[data-part=talk]")
    assert "저장에 동의하지 않아" in page.text("[data-part=talk]")
    assert "640 ms" in page.text("[data-part=waits]")
    ops.answers["/ops/api/turn/bot_question-9-9"] = (
        404,
        {"reason": "not_found", "what": "neither in Kafka nor in the index"},
    )
    page.open("/ops/turn/bot_question-9-9")
    page.page.wait_for_selector(".turn-body .problem")
    assert "neither in Kafka nor in the index" in page.text(".turn-body")


def test_answers_in_the_world_lead_operators_to_their_records(person: Visitors) -> None:
    """The gateway is not asked for others, whose answers have no such link."""
    for is_operator in (False, True):
        player = person.at_door(settings={"list": True})
        requests: list[str] = []
        player.page.on("request", lambda request, found=requests: found.append(urlsplit(request.url).path))
        player.page.route("**/ops/api/me", lambda route: route.fulfill(json={"user": "operator"}))
        if is_operator:
            player.page.evaluate("localStorage['byeolmaru.operator'] = '1'")
        player.enter("가람" if is_operator else "도윤", in_list=True)
        player.ask("ChatbotA", "여기 어디야?")
        assert requests.count("/ops/api/me") == is_operator
        links = player.page.locator(".answer .record")
        assert links.count() == is_operator
        if is_operator:
            turn = player.page.get_attribute(".answer", "data-turn")
            assert links.get_attribute("href") == f"/ops/turn/{turn}"
            assert player.violations(".chat") == []
