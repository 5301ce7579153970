"""How far the indexer is behind, as it says over HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kogpt2_chat.adapters.indexer_health import indexer_lag_s
from kogpt2_chat.errors import Unavailable


@contextmanager
def indexer(status: int, content: bytes) -> Iterator[str]:
    """Serve a report, and yield the server's address."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/health"
            self.send_response(status if found else 404)
            self.end_headers()
            self.wfile.write(content if found else b"")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "lag_s"), [(200, 0.0), (200, 1.25), (503, 3600.5)])
def test_the_lag_is_read_whether_the_indexer_can_write_or_not(status: int, lag_s: float) -> None:
    """While it cannot, the lag grows: then it matters most."""
    report = {"ready": status == 200, "lag_s": lag_s, "problems": [], "more": {}}
    with indexer(status, json.dumps(report).encode()) as url:
        assert indexer_lag_s(url) == lag_s


def test_an_indexer_that_does_not_know_yet_says_why() -> None:
    """For example, right after its start."""
    report = {"ready": False, "lag_s": None, "problems": ["starting", "Kafka is away"]}
    with indexer(503, json.dumps(report).encode()) as url, pytest.raises(Unavailable, match="starting; Kafka is away"):
        indexer_lag_s(url)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"lag_s": "x"}', b'{"lag_s": 1, "problems": [}'])
def test_another_server_is_not_taken_for_the_indexer(content: bytes) -> None:
    """Its address is named."""
    with indexer(200, content) as url, pytest.raises(Unavailable, match=url):
        indexer_lag_s(url)


def test_an_indexer_that_is_away_is_named() -> None:
    """With the kind of error."""
    with indexer(200, b"{}") as url:
        pass
    with pytest.raises(Unavailable, match=f"{url} did not say .*ConnectionError"):
        indexer_lag_s(url)
