"""Serve a process's state over HTTP: `/health` and `/metrics`."""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol

_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Report(Protocol):
    """The state of a process at one moment."""

    @property
    def ready(self) -> bool:
        """Whether the process does its work."""
        ...

    def as_json(self) -> Mapping[str, Any]:
        """Return the body of `/health`."""
        ...


class HealthServer:
    """Serves the state of this process.

    Args:
        host: the address to bind to.
        port: the TCP port to bind to; 0: any free one.
        snapshot: returns the current state.
        metrics: returns the text of `/metrics`.
    """

    def __init__(self, host: str, port: int, snapshot: Callable[[], Report], metrics: Callable[[], bytes]) -> None:
        self._server = ThreadingHTTPServer((host, port), _page(snapshot, metrics))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port that the server listens on, also if ``port`` was 0."""
        return self._server.server_port

    def start(self) -> None:
        """Start to answer requests, in a separate thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and close the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _page(snapshot: Callable[[], Report], metrics: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        """Answers `/health` with 200 if the process is ready and 503 otherwise."""

        timeout = 5

        def do_GET(self) -> None:
            if self.path == "/health":
                report = snapshot()
                status = HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE
                self._send(status, _JSON, json.dumps(report.as_json(), ensure_ascii=False).encode())
            elif self.path == "/metrics":
                self._send(HTTPStatus.OK, _METRICS, metrics())
            else:
                self._send(HTTPStatus.NOT_FOUND, _TEXT, b"this server has /health and /metrics\n")

        def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
            """Log nothing: requests are frequent."""

    return Page
