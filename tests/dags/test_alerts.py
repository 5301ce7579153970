"""Alerts about runs that fail or are late."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from kogpt2_airflow.alerts import deadline_missed, run_failed

FAILED = {"dag": SimpleNamespace(dag_id="retrain_bots"), "run_id": "scheduled__1", "reason": "task_failure"}


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Configure a webhook, and return the texts that it has received."""
    texts: list[str] = []

    class WebhookHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Do not log requests."""

    server = HTTPServer(("127.0.0.1", 0), WebhookHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("KOGPT2_AIRFLOW__ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook/secret-key")
    yield texts
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_failed_run_reaches_the_operator(received: list[str]) -> None:
    """The alert names the DAG, the run, the reason, and the task if Airflow provides it."""
    run_failed(FAILED)
    run_failed({**FAILED, "ti": SimpleNamespace(task_id="ChatbotA.finetune")})

    assert received == [
        "KoGPT2 chat: retrain_bots run scheduled__1 failed: task_failure",
        "KoGPT2 chat: retrain_bots run scheduled__1 failed at task ChatbotA.finetune: task_failure",
    ]


def test_a_missed_deadline_reaches_the_operator(received: list[str]) -> None:
    """The callback accepts the context that the triggerer passes."""
    asyncio.run(deadline_missed({"dag_run": {"dag_id": "retrain_bots", "dag_run_id": "asset__2"}}))

    assert received == ["KoGPT2 chat: retrain_bots run asset__2 has not finished by its deadline"]


def test_a_webhook_that_does_not_respond_with_http_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the server sends an SMTP greeting instead of HTTP, the callback raises no error."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    monkeypatch.setenv("KOGPT2_AIRFLOW__ALERT_WEBHOOK", f"http://127.0.0.1:{server.getsockname()[1]}/hook")
    with caplog.at_level(logging.ERROR):
        run_failed(FAILED)
    thread.join()
    server.close()

    assert "posting to the webhook failed" in caplog.text


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:9/hook/secret-key"])
def test_the_alert_is_always_logged_without_the_webhooks_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    """Without a webhook, or with an unreachable one, the callback succeeds; the log never contains the secret key."""
    monkeypatch.setenv("KOGPT2_AIRFLOW__ALERT_WEBHOOK", address)
    with caplog.at_level(logging.ERROR):
        run_failed(FAILED)

    assert "retrain_bots run scheduled__1 failed" in caplog.text
    assert "secret-key" not in caplog.text
