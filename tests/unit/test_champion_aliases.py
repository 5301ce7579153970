"""`status` warns about an alias `champion` that was moved manually, and works without MLflow."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from kogpt2_chat.adapters.mlflow_aliases import alias_by_bot
from kogpt2_chat.cli.status import NOT_COMPARED, ChampionStatus, published_champions, table
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC
from kogpt2_chat.domain.rollout.champions import alias_warnings
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Mlflow, Settings
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.status_report import status_report

MODELS = {
    "ChatbotA": {"name": "ChatbotA", "aliases": [{"alias": "champion", "version": "6"}]},
    "ChatbotB": {"name": "ChatbotB", "aliases": [{"alias": "candidate", "version": "2"}]},
}


class FakeMlflow(BaseHTTPRequestHandler):
    """Answers like MLflow's REST API; ``override`` replaces the response."""

    override: tuple[int, bytes] | None = None

    def do_GET(self) -> None:
        name = parse_qs(urlsplit(self.path).query)["name"][0]
        model = MODELS.get(name)
        answer = {"registered_model": model} if model else {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": name}
        code, content = self.override or (200 if model else 404, json.dumps(answer).encode())
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(FakeMlflow, "override", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeMlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Settings(mlflow=Mlflow(tracking_uri=f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    server.server_close()


def test_an_alias_that_was_moved_manually_is_reported_with_a_remedy() -> None:
    """Workers serve the published version; training and the gate use the alias."""
    published = {"ChatbotA": 4, "ChatbotB": 2, "ChatbotC": None}
    moved, removed = alias_warnings({**published, "ChatbotB": 3}, {"ChatbotA": 6, "ChatbotB": None, "ChatbotC": None})
    assert moved.startswith("ChatbotA: version 4 is published to the workers, but MLflow's alias `champion` is version")
    assert "`kogpt2-chat rollout ChatbotA --version 6`" in moved
    assert "set to version 4" in moved
    assert removed.startswith("ChatbotB: version 3 is published to the workers, but MLflow has no alias `champion`")
    assert "rollout ChatbotB" not in removed
    assert alias_warnings(published, published) == []
    page = table(status_report(champions=ChampionStatus(compared=True, warnings=[moved])))
    assert "WARNING: ChatbotA: version 4 is published" in page


def test_the_published_version_is_read_from_the_topic() -> None:
    """The newest state of each bot counts, whether or not a worker is alive."""
    topics = InMemoryTopics(Broker())
    topics.ensure()
    for epoch, champion in ((1, 3), (2, 4)):
        state = RolloutState(bot="ChatbotA", epoch=epoch, champion=champion)
        topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=b"ChatbotA", value=state.to_json().encode())])
    assert published_champions(topics, Settings()) == {"ChatbotA": 4, "ChatbotB": None, "ChatbotC": None}


def test_aliases_are_read_without_mlflows_client(mlflow: Settings) -> None:
    """A bot that is not registered has no alias, and a bot with other aliases has no `champion`."""
    assert alias_by_bot(mlflow, "champion", BOT_IDS) == {"ChatbotA": 6, "ChatbotB": None, "ChatbotC": None}


@pytest.mark.parametrize(
    "override",
    [(500, b"{}"), (200, b"<html>a proxy</html>"), (200, b"[]"), (404, b"{}"), (302, b"{}"), (401, b"")],
)
def test_the_report_works_without_mlflow(
    mlflow: Settings, monkeypatch: pytest.MonkeyPatch, override: tuple[int, bytes]
) -> None:
    """Any unexpected response counts as unavailable, and the report says that nothing was compared."""
    monkeypatch.setattr(FakeMlflow, "override", override)
    with pytest.raises(Unavailable):
        alias_by_bot(mlflow, "champion", BOT_IDS)
    page = table(status_report(champions=NOT_COMPARED))
    assert "were not compared with the published versions" in page
    assert "WARNING" not in page


def test_a_refused_connection_counts_as_unavailable() -> None:
    """No server listens at MLflow's address."""
    with pytest.raises(Unavailable, match="ConnectionError"):
        alias_by_bot(Settings(mlflow=Mlflow(tracking_uri="http://127.0.0.1:9")), "champion", BOT_IDS)
