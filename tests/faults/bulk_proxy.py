"""An HTTP proxy in front of Elasticsearch that is too busy for some documents of a bulk request, or loses its reply."""

import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

BUSY = {"type": "es_rejected_execution_exception", "reason": "rejected by the proxy"}


class BulkProxy:
    """Forwards every request; of a bulk request perhaps only a part.

    Args:
        target: the server's address.
        seed: decides what happens to each bulk request.

    Attributes:
        done: how often each fault happened.
    """

    def __init__(self, target: str, seed: int) -> None:
        self._target = urlsplit(target)
        self._random = random.Random(seed)
        self._lock = Lock()
        self.done: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator["BulkProxy"]:
        thread = Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def fault(self) -> str:
        """Draw what happens to the next bulk request."""
        with self._lock:
            (fault,) = self._random.choices(["none", "some busy", "all busy", "reply lost"], [3, 3, 1, 1])
            self.done[fault] += 1
            return fault

    def is_busy(self) -> bool:
        with self._lock:
            return self._random.random() < 0.2

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.getheader("content-type", ""), reply.read()
        finally:
            connection.close()

    def bulk(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Forward the documents that are taken, and report the others as refused by a full queue."""
        lines = body.splitlines()
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        busy = [self.is_busy() for _ in pairs]
        taken = b"".join(b"\n".join(pair) + b"\n" for pair, no in zip(pairs, busy, strict=True) if not no)
        items: list[object] = []
        if taken:
            items = json.loads(self.forward("POST", path, headers, taken)[2])["items"]
        left = iter(items)
        merged = [
            {"index": {"_id": json.loads(pair[0])["index"]["_id"], "status": 429, "error": BUSY}} if no else next(left)
            for pair, no in zip(pairs, busy, strict=True)
        ]
        return 200, "application/json", json.dumps({"items": merged}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in {"host", "content-length", "connection", "accept-encoding"}
                }
                is_bulk = "/_bulk" in self.path and b'"delete"' not in body
                fault = proxy.fault() if is_bulk else "none"
                if fault == "all busy":
                    self.answer(429, "application/json", json.dumps({"error": BUSY, "status": 429}).encode())
                elif fault == "some busy":
                    self.answer(*proxy.bulk(self.path, headers, body))
                else:
                    reply = proxy.forward(self.command, self.path, headers, body)
                    if fault == "reply lost":
                        self.close_connection = True
                        self.connection.close()
                    else:
                        self.answer(*reply)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the base class's names

            def answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("x-elastic-product", "Elasticsearch")
                if kind:
                    self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

        return Handler
