"""What the worker says about itself over HTTP, on the loopback address: `/health` and `/metrics`."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kogpt2_chat.domain.rollout import SlotReport


@dataclass(slots=True)
class Counters:
    """What has been done since the start; written by the answering thread alone.

    Attributes:
        in_flight: questions polled and not yet published.
        publications: transactions that were committed.
        dropped: questions given up to be polled again.
        double_drops: questions that this process answered a second time; has to stay 0.
    """

    answered: int = 0
    fallbacks: int = 0
    dead_letters: int = 0
    in_flight: int = 0
    publications: int = 0
    dropped: int = 0
    swaps: int = 0
    double_drops: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One look at the worker."""

    ready: bool
    worker: str
    counters: Counters
    slots: tuple[SlotReport, ...]
    epoch: dict[str, int]
    silent_s: float

    def as_json(self) -> dict[str, Any]:
        """For `/health`."""
        counters = {name: getattr(self.counters, name) for name in Counters.__slots__}
        slots = [{"bot": s.bot, "version": s.version, "state": s.state, "detail": s.detail} for s in self.slots]
        return {
            "ready": self.ready,
            "worker": self.worker,
            "slots": slots,
            "epoch": self.epoch,
            "silent_s": round(self.silent_s, 3),
            **counters,
        }

    def as_metrics(self) -> str:
        """For `/metrics`, in the text format of Prometheus."""
        lines = []
        for name in Counters.__slots__:
            kind = "gauge" if name == "in_flight" else "counter"
            suffix = "" if kind == "gauge" else "_total"
            lines += [
                f"# TYPE kogpt2_worker_{name}{suffix} {kind}",
                f'kogpt2_worker_{name}{suffix}{{worker="{self.worker}"}} {getattr(self.counters, name)}',
            ]
        lines.append("# TYPE kogpt2_slot_version gauge")
        lines += [
            f'kogpt2_slot_version{{worker="{self.worker}",bot="{s.bot}",state="{s.state}"}} {s.version}'
            for s in self.slots
        ]
        return "\n".join(lines) + "\n"


class HealthServer:
    """Serves the worker's condition.

    Args:
        host: the address to bind to.
        port: the port to bind to.
        look: gives the condition of this moment.
    """

    def __init__(self, host: str, port: int, look: Callable[[], Condition]) -> None:
        self._server = ThreadingHTTPServer((host, port), _page(look))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it really listens on."""
        return self._server.server_port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _page(look: Callable[[], Condition]) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        """`/health` is 200 while the loop turns and 503 otherwise."""

        timeout = 5

        def do_GET(self) -> None:
            condition = look()
            if self.path == "/health":
                status = HTTPStatus.OK if condition.ready else HTTPStatus.SERVICE_UNAVAILABLE
                self._send(status, "application/json", json.dumps(condition.as_json(), ensure_ascii=False))
            elif self.path == "/metrics":
                self._send(HTTPStatus.OK, "text/plain; version=0.0.4", condition.as_metrics())
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", "there is /health and /metrics\n")

        def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
            """Requests for health are not worth a line."""

    return Page
