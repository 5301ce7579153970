"""Where clients come from: their addresses, behind which proxies, and from which pages."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import load_settings
from tests.world.served import Served, in_memory_topics, serve
from world.gateway.from_settings import gateway_settings


def sign_in(served: Served, name: str, **headers: str) -> requests.Response:
    return requests.post(f"{served.url}/session", json={"name": name}, headers=headers)


@contextmanager
def connected(served: Served, **headers: str) -> Iterator[ClientConnection]:
    """Connect with some headers; raise ``InvalidStatus`` if the gateway refuses."""
    address = f"ws{served.url[4:]}/world"
    with connect(address, additional_headers=headers, proxy=None, open_timeout=20) as connection:
        yield connection


def upgrade(served: Served, cookie: str, origin: str, host: str) -> int:
    """Return the status with which the gateway answers a page's handshake; a browser sets these headers itself."""
    request = (
        f"GET /world HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    url = urlsplit(served.url)
    with socket.create_connection((url.hostname, url.port), 20) as connection:
        connection.sendall(request.encode("latin-1"))
        return int(connection.recv(4096).split()[1])


def entered(connection: ClientConnection) -> bool:
    connection.send(json.dumps({"t": "enter", "v": 1}))
    return bool(json.loads(connection.recv(timeout=20))["t"] == "welcome")


def test_a_proxy_that_is_not_trusted_speaks_for_nobody() -> None:
    """Any client can write these headers: all of one address count together, and the connection is what it is."""
    with serve(in_memory_topics(), ids_per_hour=2, connections=1) as served:
        headers = [{"X-Forwarded-For": f"203.0.113.{number}", "X-Forwarded-Proto": "https"} for number in range(3)]
        replies = [sign_in(served, f"손님{number}", **one) for number, one in enumerate(headers)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert "secure" not in replies[0].headers["set-cookie"].lower()
        cookies = [reply.headers["set-cookie"].split(";")[0] for reply in replies[:2]]
        with connected(served, Cookie=cookies[0], **headers[0]) as first:
            assert entered(first)
            with pytest.raises(InvalidStatus, match="403"), connected(served, Cookie=cookies[1], **headers[1]):
                pass


def test_a_trusted_proxy_says_where_clients_are_and_how_they_come() -> None:
    """What the client wrote into the header before counts for nothing. IPv6 clients of one network count together."""
    with serve(in_memory_topics(), ids_per_hour=1, connections=1, trusted_proxies=("127.0.0.1",)) as served:
        first = sign_in(served, "하나", **{"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"})
        assert "secure" in first.headers["set-cookie"].lower()
        assert sign_in(served, "하나둘", **{"X-Forwarded-For": "203.0.113.1"}).status_code == 429
        assert sign_in(served, "속임", **{"X-Forwarded-For": "198.51.100.9, 203.0.113.1"}).status_code == 429
        second = sign_in(served, "두울", **{"X-Forwarded-For": "203.0.113.2"})
        assert second.status_code == 200
        assert "secure" not in second.headers["set-cookie"].lower()
        assert sign_in(served, "여섯", **{"X-Forwarded-For": "2001:db8:1:2::a"}).status_code == 200
        assert sign_in(served, "여섯이", **{"X-Forwarded-For": "2001:db8:1:2:ffff::b"}).status_code == 429
        assert sign_in(served, "일곱", **{"X-Forwarded-For": "2001:db8:1:3::a"}).status_code == 200
        cookies = [reply.headers["set-cookie"].split(";")[0] for reply in (first, second)]
        here, there = ({"X-Forwarded-For": f"203.0.113.{number}", "X-Forwarded-Proto": "wss"} for number in (1, 2))
        with connected(served, Cookie=cookies[0], **here) as one:
            assert entered(one)
            with pytest.raises(InvalidStatus, match="403"), connected(served, Cookie=cookies[1], **here):
                pass
            with connected(served, Cookie=cookies[1], **there) as other:
                assert entered(other)


def test_handshakes_without_a_token_count() -> None:
    """They are answered, so that the page can say why; a flood of them is not."""
    with serve(in_memory_topics(), handshakes_per_minute=3) as served:
        for _ in range(3):
            with connected(served) as nobody:
                assert json.loads(nobody.recv(timeout=20))["reason"] == "session"
        with pytest.raises(InvalidStatus, match="403"), connected(served):
            pass
        player = WorldPlayer(served.url, "하늘")
        with pytest.raises(InvalidStatus, match="403"), connected(served, Cookie=player.cookie):
            pass


@pytest.fixture(scope="module")
def named() -> Iterator[Served]:
    """A gateway that players reach under names, too."""
    known = frozenset({"https://world.example", "http://gateway.example:8000"})
    with serve(in_memory_topics(), origins=known) as served:
        yield served


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://192.0.2.7:8000", "192.0.2.7:8000"),
        ("https://world.example", "127.0.0.1:8000"),
        ("http://gateway.example:8000", "gateway.example:8000"),
    ],
)
def test_own_pages_may_sign_in(named: Served, origin: str, host: str) -> None:
    """By an address, by `localhost`, and by the names in the settings. No name can be made to point to an address."""
    reply = sign_in(named, "하늘", Origin=origin, Host=host)
    assert reply.status_code == 200
    cookie = reply.headers["set-cookie"].split(";")[0]
    assert upgrade(named, cookie, origin, host) == 101


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:8000", "evil.example:8000"),
        ("http://evil.example:8000", "127.0.0.1:8000"),
        ("http://localhost.evil.example:8000", "localhost.evil.example:8000"),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("http://192.0.2.7:8000", "127.0.0.1:8000"),
        ("http://localhost:5000", "localhost:8000"),
        ("https://world.example.evil.example", "world.example.evil.example"),
        ("http://[", "["),
        ("http://[::1", "[::1"),
        ("http://[evil]", "[evil]"),
        ("http://evil.example:port", "evil.example:port"),
        ("null", "127.0.0.1:8000"),
        ("", ""),
        ("\u00ff", "x"),
    ],
)
def test_pages_of_others_get_nothing(named: Served, origin: str, host: str) -> None:
    """Also under a name that somebody lets point to this machine (DNS rebinding); odd headers are no error."""
    assert sign_in(named, "하늘", Origin=origin, Host=host).status_code == 403
    forget = requests.delete(f"{named.url}/session", headers={"Origin": origin, "Host": host})
    assert forget.status_code == 403
    cookie = WorldPlayer(named.url, "하늘").cookie
    assert upgrade(named, cookie, origin, host) == 403


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x" * 300, "\u00ff"])
def test_an_odd_host_is_no_error(named: Served, host: str) -> None:
    """A program may send anything as the host."""
    requested = [("GET", path) for path in ("/session", "/health", "/places", "/nowhere", "/")]
    for method, path in [*requested, ("POST", "/session"), ("DELETE", "/session")]:
        with closing(HTTPConnection(named.url.removeprefix("http://"), timeout=20)) as connection:
            connection.request(method, path, json.dumps({"name": "Sky"}) if method == "POST" else None, {"Host": host})
            assert connection.getresponse().status < 500


def test_the_settings_name_the_trusted_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """None by default; whoever is trusted can be anybody, so all addresses at once are refused."""
    monkeypatch.setenv("KOGPT2_WORLD__KEYS", json.dumps(["k" * 32]))
    assert gateway_settings(load_settings()).trusted_proxies == ()
    monkeypatch.setenv("KOGPT2_WORLD__TRUSTED_PROXIES", '["127.0.0.1", "10.1.0.0/16"]')
    assert gateway_settings(load_settings()).trusted_proxies == ("127.0.0.1", "10.1.0.0/16")
    for wrong in ("*", "proxy.example", "10.1.0.1/16", "0.0.0.0/0", "::/0", ""):
        monkeypatch.setenv("KOGPT2_WORLD__TRUSTED_PROXIES", json.dumps([wrong]))
        with pytest.raises(InvalidInput, match="expected an IP address"):
            load_settings()
