"""An alias `champion` that somebody moved by hand is told by `status`; MLflow may be away."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from kogpt2_chat.adapters.mlflow_aliases import alias_by_bot
from kogpt2_chat.cli.status import NOT_COMPARED, table, told_champions
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC
from kogpt2_chat.domain.rollout.champions import alias_warnings
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Mlflow, Settings
from kogpt2_chat.testing.kafka import Broker, MemoryTopics

PAGE = {"services": [], "bots": [], "urls": {}, "airflow": {}, "safety": {}}
MODELS = {
    "ChatbotA": {"name": "ChatbotA", "aliases": [{"alias": "champion", "version": "6"}]},
    "ChatbotB": {"name": "ChatbotB", "aliases": [{"alias": "candidate", "version": "2"}]},
}


class FakeMlflow(BaseHTTPRequestHandler):
    """Answers as MLflow's REST API does; ``instead`` is said in place of that."""

    instead: tuple[int, bytes] | None = None

    def do_GET(self) -> None:
        name = parse_qs(urlsplit(self.path).query)["name"][0]
        model = MODELS.get(name)
        answer = {"registered_model": model} if model else {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": name}
        code, content = self.instead or (200 if model else 404, json.dumps(answer).encode())
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(FakeMlflow, "instead", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeMlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Settings(mlflow=Mlflow(tracking_uri=f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    server.server_close()


def test_an_alias_that_was_moved_by_hand_is_told_with_what_to_do() -> None:
    """Players hear what the workers were told; training and the gate go by the alias."""
    told = {"ChatbotA": 4, "ChatbotB": 2, "ChatbotC": None}
    moved, removed = alias_warnings({**told, "ChatbotB": 3}, {"ChatbotA": 6, "ChatbotB": None, "ChatbotC": None})
    assert moved.startswith("ChatbotA: version 4 speaks, but MLflow's alias `champion` is version 6.")
    assert "`kogpt2-chat rollout ChatbotA --version 6`" in moved
    assert "put back to version 4" in moved
    assert removed.startswith("ChatbotB: version 3 speaks, but there is no alias `champion` in MLflow.")
    assert "rollout ChatbotB" not in removed
    assert alias_warnings(told, told) == []
    page = table({**PAGE, "champions": {"compared": True, "warnings": [moved]}})
    assert "WARNING: ChatbotA: version 4 speaks" in page


def test_what_the_workers_were_told_stands_in_the_topic() -> None:
    """The newest state of each bot, whether or not a worker is alive."""
    topics = MemoryTopics(Broker())
    topics.ensure()
    for epoch, champion in ((1, 3), (2, 4)):
        state = RolloutState(bot="ChatbotA", epoch=epoch, champion=champion)
        topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotA", value=state.to_json().encode())])
    assert told_champions(topics, Settings()) == {"ChatbotA": 4, "ChatbotB": None, "ChatbotC": None}


def test_mlflow_is_asked_without_its_client(mlflow: Settings) -> None:
    """A bot that nobody registered has no alias, and neither has one with others."""
    assert alias_by_bot(mlflow, "champion", BOT_IDS) == {"ChatbotA": 6, "ChatbotB": None, "ChatbotC": None}


@pytest.mark.parametrize(
    "instead",
    [(500, b"{}"), (200, b"<html>a proxy</html>"), (200, b"[]"), (404, b"{}"), (302, b"{}"), (401, b"")],
)
def test_an_mlflow_that_is_away_costs_a_word(
    mlflow: Settings, monkeypatch: pytest.MonkeyPatch, instead: tuple[int, bytes]
) -> None:
    """Whatever stands in its place; the report goes on."""
    monkeypatch.setattr(FakeMlflow, "instead", instead)
    with pytest.raises(Unavailable):
        alias_by_bot(mlflow, "champion", BOT_IDS)
    page = table({**PAGE, "champions": NOT_COMPARED})
    assert "were not compared with what speaks" in page
    assert "WARNING" not in page


def test_nobody_at_mlflows_address_is_away_too() -> None:
    """A connection that is refused."""
    with pytest.raises(Unavailable, match="ConnectionError"):
        alias_by_bot(Settings(mlflow=Mlflow(tracking_uri="http://127.0.0.1:9")), "champion", BOT_IDS)
