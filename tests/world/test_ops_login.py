"""Who gets into the operators' pages, and what everybody else gets."""

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from itsdangerous import URLSafeSerializer
from starlette.exceptions import HTTPException
from starlette.routing import Route
from structlog.testing import capture_logs

from tests.world.fuzz import ODD
from tests.world.operators import ALL, LOGIN, TURN, Operator, OperatorPages, operator, serve_operator_pages
from tests.world.served import Served
from world.gateway import pages
from world.gateway.app import web_application
from world.gateway.door import COOKIE as GUEST_COOKIE
from world.gateway.ops.login import COOKIE
from world.gateway.ops.sessions import LIFETIME_S, Sessions
from world.gateway.pages import ClientFiles
from world.gateway.rules.limits import LoginLimits, Rate

NAMED = "https://world.example"


@pytest.fixture(scope="module")
def operator_pages() -> OperatorPages:
    return OperatorPages(origins=frozenset({NAMED}))


@pytest.fixture(scope="module")
def served(operator_pages: OperatorPages) -> Iterator[Served]:
    with serve_operator_pages(operator_pages) as running:
        yield running


def requests_of_all_routes(served: Served) -> list[tuple[str, str]]:
    """Return a method and a path for each route of the gateway below /ops."""
    found = []
    for route in web_application(served.gateway).routes:
        if isinstance(route, Route) and route.path.startswith("/ops"):
            path = route.path.replace("{unknown:path}", "nothing/here")
            path = path.replace("{turn_id}", TURN).replace("{panel_id}", "turns")
            assert "{" not in path, f"give {route.path} a value"
            found += [(method, path) for method in sorted(route.methods or ())]
    return found


def is_refused(reply: requests.Response, path: str) -> bool:
    if path.startswith("/ops/api/"):
        return (reply.status_code, reply.json()) == (401, {"reason": "login"}) if reply.content else True
    location = reply.headers.get("location", "")
    return reply.status_code == 303 and location.split("?")[0] == "/ops/login" and not reply.content


@pytest.mark.parametrize(
    "cookie",
    ["", "forged", "e30.AAAA", Sessions(replace(LOGIN, key="another-key" * 4)).begin(1_800_000_000)],
    ids=["none", "noise", "form", "other key"],
)
def test_no_route_answers_without_a_login(served: Served, operator_pages: OperatorPages, cookie: str) -> None:
    """Data says that a login is missing, pages lead to it. A new route is covered by this test."""
    routes, searches = requests_of_all_routes(served), operator_pages.panels.searches
    assert len(routes) > 15
    for method, path in routes:
        if path == "/ops/login":
            continue
        headers = {"Cookie": f"{COOKIE}={cookie}; {GUEST_COOKIE}={cookie}"}
        reply = requests.request(method, served.url + path, params=ALL, headers=headers, allow_redirects=False)
        assert reply.status_code in (303, 401), (method, path)
        assert is_refused(reply, path), (method, path, reply.text)
        assert reply.headers["cache-control"] == "no-store"
    assert operator_pages.panels.searches == searches


def test_every_route_is_behind_the_login(served: Served) -> None:
    """With one, all of them answer something else than without."""
    with operator(served) as browser:
        for method, path in requests_of_all_routes(served):
            if method == "GET" and path != "/ops/login":
                reply = browser.request(method, served.url + path, params=ALL, allow_redirects=False)
                assert reply.status_code != 401, path
                assert reply.headers.get("location", "") in ("", "/ops"), path


def test_the_page_is_served_as_it_is_built(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same page shows the form and the panels. Until it is built, a text says what to do."""
    monkeypatch.setattr(pages, "CLIENT", tmp_path)
    with operator(served) as browser, Operator(served.url) as nobody:
        unbuilt = [browser.get(f"{served.url}/ops"), nobody.ask("login")]
        (tmp_path / "ops.html").write_text("<!doctype html><title>별마루</title>", "utf-8")
        assert [(reply.status_code, reply.headers["cache-control"]) for reply in unbuilt] == [(503, "no-store")] * 2
        for reply in (browser.get(f"{served.url}/ops"), browser.ask(f"turn/{TURN}"), nobody.ask("login")):
            assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-cache")
            assert reply.headers["content-type"] == "text/html; charset=utf-8"
            assert "script-src 'self'; style-src 'self'" in reply.headers["content-security-policy"]
            assert "별마루" in reply.content.decode()


@pytest.mark.parametrize("path", ["/ops.html", "/./ops.html", "/x/../ops.html", "//ops.html", "/assets//../ops.html"])
def test_the_page_is_no_file_of_the_client(tmp_path: Path, path: str) -> None:
    """Otherwise whoever is not logged in would get it under its own name."""
    for name in ("ops.html", "scene.html", "index.html"):
        (tmp_path / name).touch()
    files = ClientFiles(tmp_path)

    def status(asked: str) -> int:
        scope = {"type": "http", "method": "GET", "path": asked, "headers": []}
        return asyncio.run(files.get_response(files.get_path(scope), scope)).status_code

    assert status(path.replace("ops", "scene")) == 200
    with pytest.raises(HTTPException, match="404"):
        status(path)


def test_an_operator_logs_in_and_out(served: Served, operator_pages: OperatorPages) -> None:
    """The cookie is for /ops only, no script reads it, and no other site can send it. Signing out ends the login."""
    with Operator(served.url) as browser:
        reply = browser.log_in()
        assert (reply.status_code, reply.content) == (204, b"")
        assert reply.headers["cache-control"] == "no-store"
        name, _, rest = reply.headers["set-cookie"].partition("=")
        attributes = {part.strip().lower() for part in rest.split(";")[1:]}
        assert name == COOKIE
        assert {"httponly", "samesite=strict", "path=/ops", f"max-age={LIFETIME_S}"} <= attributes
        assert "secure" not in attributes
        assert browser.ask("api/me").json() == {"user": LOGIN.username}
        assert browser.ask("login").headers["location"] == "/ops"
        copied = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
        assert browser.delete(f"{served.url}/ops/login").status_code == 204
        assert browser.ask("api/me").status_code == 401
        assert requests.get(f"{served.url}/ops/api/me", headers=copied).status_code == 401


def test_behind_https_the_cookie_is_secure() -> None:
    """As the guests' cookie: if a trusted proxy says so."""
    with (
        serve_operator_pages(OperatorPages(), trusted_proxies=("127.0.0.1",)) as served,
        Operator(served.url) as browser,
    ):
        reply = browser.log_in(**{"X-Forwarded-Proto": "https"})
        assert "secure" in reply.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (LOGIN.username, "wrong"),
        (LOGIN.username, ""),
        ("", LOGIN.password),
        ("operator", LOGIN.password),
        (LOGIN.username, f"{LOGIN.password} "),
        (f"{LOGIN.username}{LOGIN.password}", ""),
    ],
)
def test_wrong_credentials_get_no_cookie(served: Served, user: str, password: str) -> None:
    """The answer does not say which of the two is wrong, and no log has what was typed."""
    with capture_logs() as logged:
        reply = requests.post(f"{served.url}/ops/login", json={"user": user, "password": password})
    assert (reply.status_code, reply.json()) == (401, {"reason": "credentials"})
    assert "set-cookie" not in reply.headers
    assert [entry["event"] for entry in logged] == ["operator_login_wrong"]
    assert logged[0].keys() == {"event", "log_level", "address"}


def test_hangul_may_be_typed_in_both_of_its_forms(served: Served) -> None:
    """Some systems send syllables as single letters."""
    import unicodedata

    typed = replace(
        LOGIN,
        username=unicodedata.normalize("NFD", LOGIN.username),
        password=unicodedata.normalize("NFD", LOGIN.password or ""),
    )
    with Operator(served.url) as browser:
        assert browser.log_in(typed).status_code == 204


def test_without_a_password_nobody_gets_in() -> None:
    """Neither with an empty one nor with a cookie that is signed for it."""
    nobody = replace(LOGIN, password=None)
    assert not Sessions(nobody).is_right(LOGIN.username, "")
    with serve_operator_pages(OperatorPages(login=nobody)) as served:
        for password in ("", "None", "null"):
            body = {"user": LOGIN.username, "password": password}
            reply = requests.post(f"{served.url}/ops/login", json=body)
            assert reply.status_code == 503
            assert "stack up" in reply.json()["what"]
        cookie = {"Cookie": f"{COOKIE}={Sessions(nobody).begin(1_800_000_000)}"}
        assert requests.get(f"{served.url}/ops/api/me", headers=cookie).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example:8000", "Host": "evil.example:8000"},
        {"Origin": "http://127.0.0.1:5000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_origins_get_nothing(
    served: Served, operator_pages: OperatorPages, headers: dict[str, str]
) -> None:
    """Neither a login nor data, although the browser would send the cookie, e.g. from another port of this host."""
    with operator(served) as browser:
        searches = operator_pages.panels.searches
        for method, path in (("POST", "login"), ("DELETE", "login"), ("GET", "api/panel/turns"), ("GET", "api/me")):
            body = {"user": LOGIN.username, "password": LOGIN.password}
            reply = browser.request(method, f"{served.url}/ops/{path}", json=body, params=ALL, headers=headers)
            assert (reply.status_code, reply.json()["reason"]) == (403, "origin"), (method, path)
            assert "set-cookie" not in reply.headers
        assert operator_pages.panels.searches == searches
        assert browser.ask("api/me").status_code == 200, "the login has not ended"


def test_own_pages_get_in(served: Served) -> None:
    """By address, and by the name that the settings give to a proxy."""
    for headers in ({"Origin": served.url}, {"Origin": NAMED, "Sec-Fetch-Site": "same-origin"}):
        with Operator(served.url) as browser:
            assert browser.log_in(**headers).status_code == 204
            assert browser.ask("api/me", **headers).status_code == 200


def test_a_login_ends_after_half_a_day(served: Served, operator_pages: OperatorPages) -> None:
    """By the gateway's clock, whatever the browser keeps. A cookie from the future is no cookie either."""
    with operator(served) as browser:
        began = operator_pages.now
        try:
            for age_s, status in ((0, 200), (LIFETIME_S, 200), (LIFETIME_S + 1, 401), (-60, 401)):
                operator_pages.now = began + age_s
                assert browser.ask("api/me").status_code == status, age_s
        finally:
            operator_pages.now = began


def test_a_new_password_or_name_ends_all_logins() -> None:
    """With the same key. The same account is still logged in after a restart, and at another gateway."""
    with serve_operator_pages(OperatorPages()) as first, operator(first) as browser:
        cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    logins = [LOGIN, replace(LOGIN, password="다른 열쇠"), replace(LOGIN, username="operator")]
    for login, status in zip(logins, (200, 401, 401), strict=True):
        with serve_operator_pages(OperatorPages(login=login)) as served:
            assert requests.get(f"{served.url}/ops/api/me", headers=cookie).status_code == status


def test_guests_keys_do_not_sign_logins() -> None:
    """A key of the world that becomes known lets nobody in here."""
    claims = {"id": "x", "user": LOGIN.username, "issued": 1_800_000_000}
    for salt in ("kogpt2-chat/ops/session", "kogpt2-chat/world/guest"):
        for key in (LOGIN.key, "first-key-" + "a" * 32):
            assert Sessions(LOGIN).read(URLSafeSerializer(key, salt=salt).dumps(claims), 1_800_000_000) is None
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    assert Sessions(LOGIN).read(f"{text}.", 1_800_000_000) is None
    assert Sessions(LOGIN).read(Sessions(LOGIN).begin(1_800_000_000), 1_800_000_000) is not None


def test_wrong_tries_are_limited_per_address() -> None:
    """With the time to wait. Right ones do not count, and another address may still try."""
    operator_pages = OperatorPages(limits=LoginLimits(per_address=Rate(per_s=0.1, burst=3)))
    wrong = replace(LOGIN, password="wrong")
    with (
        serve_operator_pages(operator_pages, trusted_proxies=("127.0.0.1",)) as served,
        Operator(served.url) as browser,
    ):
        for _ in range(10):
            assert browser.log_in().status_code == 204
        assert [browser.log_in(wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
        reply = browser.log_in()
        assert (reply.status_code, reply.json()) == (429, {"reason": "rate", "wait_s": 10})
        assert reply.headers["retry-after"] == "10"
        assert browser.log_in(**{"X-Forwarded-For": "192.0.2.7"}).status_code == 204
        operator_pages.monotonic_s += 10
        assert browser.log_in(wrong).status_code == 401
        assert browser.log_in().status_code == 429


def test_wrong_tries_are_limited_overall() -> None:
    """For whoever has many addresses. Those who are logged in stay so."""
    operator_pages = OperatorPages(limits=LoginLimits(overall=Rate(per_s=1, burst=20)))
    wrong = replace(LOGIN, password="wrong")
    with serve_operator_pages(operator_pages, trusted_proxies=("127.0.0.1",)) as served, operator(served) as browser:
        addresses = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(25)]
        codes = [browser.log_in(wrong, **address).status_code for address in addresses]
        assert codes == [401] * 20 + [429] * 5
        assert browser.log_in().status_code == 429
        assert browser.ask("api/me").status_code == 200
        operator_pages.monotonic_s += 1
        assert browser.log_in().status_code == 204


def bodies(draw: random.Random, count: int) -> Iterator[bytes]:
    """Yield bodies: noise, and logins with a fault."""
    texts = [odd for odd in ODD if isinstance(odd, str)]
    for _ in range(count):
        values = draw.choice([texts, texts, ODD])
        body: object = {"user": draw.choice([LOGIN.username, *values]), "password": draw.choice(values)}
        body = draw.choice([body, body, body, body, draw.choice(ODD), [body], {"user": LOGIN.username}])
        text = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        fault = draw.randrange(8)
        if fault == 0:
            text = text[: draw.randrange(len(text) + 1)]
        elif fault == 1:
            place = draw.randrange(len(text))
            text = text[:place] + draw.randbytes(2) + text[place + 1 :]
        yield text if draw.random() < 0.9 else draw.randbytes(draw.choice([0, 1, 40, 4096, 5000]))


def test_no_body_gets_in_or_breaks_anything(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Each one is refused: as a malformed message or as wrong credentials."""
    counts = {400: 0, 401: 0}
    with requests.Session() as browser, capture_logs() as logged:
        for body in [b"[" * 4000, b'{"user":' * 400, b"{}" + b" " * 5000, *bodies(random.Random(5), 1500)]:
            reply = browser.post(f"{served.url}/ops/login", data=body)
            reason = reply.json()["reason"]
            assert (reply.status_code, reason) in ((400, "message"), (401, "credentials")), body
            assert "set-cookie" not in reply.headers
            counts[reply.status_code] += 1
    assert min(counts.values()) > 200
    assert {entry["event"] for entry in logged} == {"operator_login_wrong"}
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("asked", "goal"),
    [
        (f"/ops/turn/{TURN}", f"/ops/turn/{TURN}"),
        ("/ops/conversation?id=%EA%B0%80&at=2026", "/ops/conversation?id=%EA%B0%80&at=2026"),
        ("/ops/conversation?id=\r\nX: y", "/ops"),
        ("/ops/conversation?id=/../../session", "/ops"),
        ("//evil.example", "/ops"),
        ("https://evil.example", "/ops"),
        ("/ops/turn/../../session", "/ops"),
        ("/ops\\evil", "/ops"),
        ("/ops/turn/x\n", "/ops"),
        ("", "/ops"),
    ],
)
def test_a_login_leads_to_the_page_that_was_asked_for(served: Served, asked: str, goal: str) -> None:
    """And never to another site."""
    with operator(served) as browser:
        reply = browser.ask("login", {"to": asked})
        assert (reply.status_code, reply.headers["location"]) == (303, goal)
    away = Operator(served.url).ask(f"turn/{TURN}")
    assert away.headers["location"] == f"/ops/login?to=/ops/turn/{TURN}"


def test_a_login_leads_to_the_conversation_that_was_asked_for(served: Served) -> None:
    """Its id is in the query. A query that is none of the page's is forgotten."""
    asked = {"id": "손님 #1&at=<b>", "at": "2026-03-01T09:00:00Z"}
    with operator(served) as browser:
        form = Operator(served.url).ask("conversation", asked).headers["location"]
        goal = browser.get(served.url + form, allow_redirects=False).headers["location"]
        assert dict(parse_qsl(urlsplit(goal).query)) == asked
        assert urlsplit(goal).path == "/ops/conversation"
    assert Operator(served.url).ask("conversation", {"id": "x" * 2001}).headers["location"] == "/ops/login"
