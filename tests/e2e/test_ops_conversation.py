"""The operators' page of one conversation: how one gets there, and what it shows."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e import ops_facts
from tests.e2e.ops_page import OpsPage
from tests.e2e.ops_page_server import OpsServer

pytestmark = pytest.mark.e2e

Operator = Callable[..., OpsPage]
ADDRESS = f"/ops/conversation?id=s-19&at=2026-11-27T10:20:30Z#{ops_facts.TURN}"


def asked(ops: OpsServer) -> dict[str, str]:
    """Return the query of the last request for turns."""
    path = next(path for path in reversed(ops.asked) if path.startswith("/ops/api/turns"))
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def follow(page: OpsPage, selector: str) -> None:
    """Go where a link leads, in the same tab."""
    address = page.page.get_attribute(selector, "href")
    assert address
    page.open(address)


def test_a_turn_of_a_list_leads_to_its_conversation(ops: OpsServer, operator: Operator) -> None:
    """Also if its name has signs that mean something in addresses."""
    page = operator().come_in()
    for row, name in enumerate(("s-19", "guest:하늘 #2")):
        page.open("/ops")
        page.until_loaded()
        page.page.click("[data-panel=questions] .row-button >> nth=1")
        page.page.wait_for_selector("dialog tbody tr")
        follow(page, f"dialog .conversation-link >> nth={row}")
        page.page.wait_for_selector(".exchange")
        assert asked(ops)["conversation"] == name
        assert page.text("h1").endswith(name)


def test_the_record_of_a_turn_leads_to_its_conversation_and_back(operator: Operator) -> None:
    """The turn is marked there and in sight."""
    page = operator(viewport={"width": 1000, "height": 500}).come_in()
    page.open(f"/ops/turn/{ops_facts.TURN}")
    page.page.wait_for_selector("[data-part=talk]")
    follow(page, "[data-part=talk] .conversation-link")
    page.page.wait_for_selector(".exchange[aria-current]")
    marked = page.page.locator(".exchange[aria-current]")
    assert marked.count() == 1
    assert "4번째 질문" in marked.inner_text()
    page.until("document.querySelector('[aria-current]').getBoundingClientRect().bottom <= innerHeight")
    assert marked.locator(".turn-link").get_attribute("href") == f"/ops/turn/{ops_facts.TURN}"


def test_a_conversation_is_shown_in_its_order(ops: OpsServer, operator: Operator) -> None:
    """With masked texts, who answered, how and when; of the day around the turn, and of the days beside it."""
    page = operator(locale="ko-KR").come_in()
    page.open(ADDRESS)
    page.page.wait_for_selector(".exchange")
    assert asked(ops) == {"conversation": "s-19", "limit": "100", "from": "2026-11-26T22:20:30.000Z", "to": "2026-11-27T22:20:30.000Z"}  # fmt: skip
    questions = page.page.locator(".exchange .question p").all_inner_texts()
    assert questions == [f"{at}번째 질문, 제 번호는 <전화번호>예요" for at in range(5)]
    second = page.text(".exchange >> nth=1")
    for part in ("11월 27일 19:17:30", "가장 가까운 질문의 답", "91 ms", "온유 v1", "1번째 답이에요."):
        assert part in second, part
    assert "v0" not in page.text(".exchange >> nth=0")
    page.page.click(".language[lang=en]")
    assert "Onyu v1" in page.text(".exchange >> nth=1")
    assert "Texts are masked" in page.text("main")
    page.page.click(".days a >> nth=0")
    page.until("new URLSearchParams(location.search).get('at') === '2026-11-26T10:20:30.000Z'")
    page.page.wait_for_selector(".exchange")
    assert asked(ops)["to"] == "2026-11-26T22:20:30.000Z"


def test_a_long_conversation_goes_on_where_it_ended(ops: OpsServer, operator: Operator) -> None:
    """By a button, with keys as well, each turn once. A failure can be tried again and hides nothing."""
    ops.turns = 230
    page = operator().come_in()
    page.open(ADDRESS)
    page.page.wait_for_selector(".exchange")
    assert page.page.locator(".exchange").count() == 100
    ops.answers["/ops/api/turns"] = (503, {"reason": "unavailable", "what": "Elasticsearch does not answer"})
    page.page.focus(".exchange >> nth=99 >> a")
    page.tab_to(".exchanges-state button")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".exchanges-state .problem")
    assert "Elasticsearch does not answer" in page.text(".exchanges-state")
    assert page.page.locator(".exchange").count() == 100
    ops.answers.clear()
    page.page.keyboard.press("Enter")
    page.until("document.querySelectorAll('.exchange').length === 199")
    page.until("document.activeElement === document.querySelectorAll('.exchange')[100].querySelector('a')")
    page.page.click(".exchanges-state button")
    page.until("document.querySelectorAll('.exchange').length === 230")
    page.until("document.querySelector('.exchanges-state').childElementCount === 0")
    questions = page.page.locator(".exchange .question p").all_inner_texts()
    assert questions == [f"{at}번째 질문, 제 번호는 <전화번호>예요" for at in range(230)]


def test_a_conversation_that_has_no_turns_says_so(ops: OpsServer, operator: Operator) -> None:
    """Without a name there is no conversation, but the dashboard."""
    ops.turns = 0
    page = operator(locale="ko-KR").come_in()
    page.open("/ops/conversation?id=nobody")
    page.page.wait_for_selector(".exchanges-state .panel-state")
    page.until("document.querySelector('.exchanges-state').textContent.includes('나눈 말이 없어요')")
    page.open("/ops/conversation")
    page.until_loaded()
    assert page.page.locator("[data-panel]").count() == len(ops_facts.PANELS)


def test_a_login_that_ends_meanwhile_hides_the_conversation(ops: OpsServer, operator: Operator) -> None:
    """After the next one it is back."""
    ops.turns = 101
    page = operator().come_in()
    page.open(ADDRESS)
    page.page.wait_for_selector(".exchange")
    ops.is_open = False
    page.page.click(".exchanges-state button")
    page.page.wait_for_selector("#ops-user")
    assert "번째 질문" not in page.text()
    page.log_in()
    page.page.wait_for_selector(".exchange")
