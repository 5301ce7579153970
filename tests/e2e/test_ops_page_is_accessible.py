"""The operators' page without a mouse, on a phone, and as axe sees it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import ops_facts
from tests.e2e.ops_page import OpsPage
from tests.e2e.ops_page_server import PASSWORD, USER, OpsServer

pytestmark = pytest.mark.e2e

Operator = Callable[..., OpsPage]
SMALL_PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
LOOKS = [
    pytest.param({"locale": locale, "color_scheme": theme, **device}, id=f"{locale}-{theme}-{name}")
    for locale, theme, name, device in (
        ("ko-KR", "dark", "desk", {}),
        ("ko-KR", "light", "phone", SMALL_PHONE),
        ("en-US", "dark", "phone", SMALL_PHONE),
        ("en-US", "light", "desk", {}),
    )
]


@pytest.mark.parametrize("look", LOOKS)
def test_no_view_has_a_violation_or_is_too_wide(ops: OpsServer, operator: Operator, look: dict[str, Any]) -> None:
    """Login with a complaint, dashboard with a failure and an own time, list of turns, record with replay, conversation."""
    ops.answers["/ops/api/panel/share"] = (503, {"reason": "unavailable", "what": "Elasticsearch does not answer"})
    page = operator(**look, reduced_motion="reduce")

    def check(part: str = "html") -> None:
        assert page.violations(part) == []
        assert not page.is_too_wide

    page.page.wait_for_selector("#ops-user")
    check()
    page.log_in(password="틀림")
    page.until("document.querySelector('#ops-login-problem').textContent !== ''")
    check()
    page.come_in()
    check()
    page.page.click("[data-panel=latency] .as-table")
    page.page.click(".segment >> nth=5")
    page.page.click("[data-panel=turns] .legend-item >> nth=0")
    check()
    page.page.click("[data-panel=questions] .row-button >> nth=1")
    page.page.wait_for_selector("dialog tbody tr")
    check("dialog")
    page.open(f"/ops/turn/{ops_facts.TURN}")
    page.page.wait_for_selector("[data-part=replay]")
    page.page.click("[data-part=replay] .primary")
    page.page.wait_for_selector("[data-part=replay] table")
    check()
    page.open(f"/ops/conversation?id=s-19&at=2026-11-27T10:20:30Z#{ops_facts.TURN}")
    page.page.wait_for_selector(".exchange[aria-current]")
    check()


def test_everything_works_with_keys(ops: OpsServer, operator: Operator) -> None:
    """From the login to the record of a turn behind a single value of a chart; closing the list leads back."""
    page = operator()
    page.page.wait_for_selector("#ops-user")
    page.tab_to("#ops-user")
    page.page.keyboard.type(USER)
    page.page.keyboard.press("Tab")
    page.page.keyboard.insert_text(PASSWORD)
    page.page.keyboard.press("Enter")
    page.until_loaded()
    page.page.evaluate("document.activeElement.blur()")
    page.tab_to(".segment:nth-child(3)")
    page.page.keyboard.press("Enter")
    page.until("location.search.includes('7d')")
    page.until_loaded()
    page.tab_to("[data-panel=turns] .legend-item:nth-child(2)")
    page.page.keyboard.press("Space")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    page.page.evaluate("document.activeElement.blur()")
    page.tab_to("[data-panel=turns] .as-table")
    page.page.keyboard.press("Enter")
    page.tab_to("[data-panel=turns] .number-button")
    label = page.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("대화 보기: 마루")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("dialog tbody tr")
    page.tab_to("dialog .turn-link")
    page.tab_to("dialog .conversation-link")
    page.page.keyboard.press("Escape")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-label')") == label


def test_a_finger_sees_the_values_before_it_opens_the_turns(ops: OpsServer, operator: Operator) -> None:
    """The list of what the values say opens with a button; nothing scrolls the page sideways."""
    page = operator(**SMALL_PHONE).come_in()
    page.page.touchscreen.tap(*page.place("turns", 1, 4))
    page.page.wait_for_selector("[data-panel=turns] .tip button:visible")
    assert ops.count("/ops/api/turns") == 0
    page.page.tap("[data-panel=turns] .tip button")
    page.page.wait_for_selector("dialog tbody tr")
    assert ops.count("/ops/api/turns") == 1
    assert not page.is_too_wide
