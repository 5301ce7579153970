"""What an operator hears of a run that failed or is late."""

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
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a webhook was told, while it is set."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("KOGPT2_AIRFLOW__ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook/secret-key")
    yield texts
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_failed_run_reaches_the_operator(heard: list[str]) -> None:
    """Which DAG, which run, why, and at which task where Airflow knows it."""
    run_failed(FAILED)
    run_failed({**FAILED, "ti": SimpleNamespace(task_id="ChatbotA.finetune")})

    assert heard == [
        "KoGPT2 chat: retrain_bots run scheduled__1 failed: task_failure",
        "KoGPT2 chat: retrain_bots run scheduled__1 failed at task ChatbotA.finetune: task_failure",
    ]


def test_a_missed_deadline_reaches_the_operator(heard: list[str]) -> None:
    """As the triggerer calls it."""
    asyncio.run(deadline_missed({"dag_run": {"dag_id": "retrain_bots", "dag_run_id": "asset__2"}}))

    assert heard == ["KoGPT2 chat: retrain_bots run asset__2 has not finished by its deadline"]


def test_a_webhook_that_answers_rubbish_makes_no_second_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Something that speaks no HTTP stands at its address."""
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

    assert "the webhook did not take it" in caplog.text


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:9/hook/secret-key"])
def test_the_log_always_hears_it_and_never_the_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    """No webhook, or one that does not answer: the callback ends well, and the key in the address is told nobody."""
    monkeypatch.setenv("KOGPT2_AIRFLOW__ALERT_WEBHOOK", address)
    with caplog.at_level(logging.ERROR):
        run_failed(FAILED)

    assert "retrain_bots run scheduled__1 failed" in caplog.text
    assert "secret-key" not in caplog.text
