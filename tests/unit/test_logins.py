"""Logins of servers: as settings, sent to the server, and shown nowhere."""

import base64
import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import ValidationError

from kogpt2_chat.adapters.airflow import AirflowRest
from kogpt2_chat.adapters.elastic import ElasticIndex
from kogpt2_chat.adapters.hdfs import HdfsFiles
from kogpt2_chat.adapters.mlflow import MlflowRegistry
from kogpt2_chat.domain.servers.addresses import is_address, is_host_and_port, split_login, without_login
from kogpt2_chat.errors import InvalidInput, KogptChatError
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.variables import as_variables

PASSWORD = "s3cret/w@rd"
IN_ADDRESS = "ops:s3cret%2Fw%40rd"
NOWHERE = "127.0.0.1:9"
SECTIONS = {"hdfs": "webhdfs", "elastic": "url", "mlflow": "tracking_uri", "airflow": "url"}
USER_FIELDS = {"hdfs": ("webhdfs_username", "webhdfs_password")}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """MLflow's client is set up by the environment; what the adapter writes there is taken out again."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"


def in_address(section: str, host: str, login: str = IN_ADDRESS) -> Settings:
    more = {"retries": 1} if section == "hdfs" else {}
    return Settings.model_validate({section: {SECTIONS[section]: f"http://{login}@{host}", **more}})


def in_settings(section: str, host: str) -> Settings:
    user, password = USER_FIELDS.get(section, ("username", "password"))
    return Settings.model_validate({section: {SECTIONS[section]: f"http://{host}", user: "ops", password: PASSWORD}})


CALLS = {
    "hdfs": lambda settings: HdfsFiles(settings).exists("/Chatbot"),
    "elastic": lambda settings: ElasticIndex(settings).count(),
    "mlflow": lambda settings: MlflowRegistry(settings).by_alias("ChatbotA", "champion"),
    "airflow": lambda settings: AirflowRest(settings).runs("retrain_bots"),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_login_in_an_address_is_the_section_s_login(section):
    """The address is kept without it, and both travel to the servers that the stack starts."""
    user, password = USER_FIELDS.get(section, ("username", "password"))
    found = getattr(in_address(section, "host:5000"), section)
    assert getattr(found, SECTIONS[section]) == "http://host:5000"
    assert getattr(found, user) == "ops"
    assert getattr(found, password).get_secret_value() == PASSWORD
    assert in_address(section, "host:5000").model_dump(exclude={"hdfs": {"retries"}}) == in_settings(
        section, "host:5000"
    ).model_dump(exclude={"hdfs": {"retries"}})
    texts = as_variables(in_address(section, "host:5000"))
    assert texts[f"KOGPT2_{section.upper()}__{password.upper()}"] == PASSWORD
    assert "@" not in texts[f"KOGPT2_{section.upper()}__{SECTIONS[section].upper()}"]


def test_a_login_that_was_set_wins_over_that_of_the_address():
    """Never one's user with the other's password."""
    given = {"tracking_uri": "http://other:word@host:5000", "username": "ops", "password": PASSWORD}
    found = Settings.model_validate({"mlflow": given}).mlflow
    assert (found.username, found.password.get_secret_value()) == ("ops", PASSWORD)
    alone = Settings.model_validate({"mlflow": {"tracking_uri": "http://other:word@h", "username": "ops"}}).mlflow
    assert (alone.username, alone.password.get_secret_value()) == ("ops", "")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_server_that_is_away_is_told_without_its_login(section, caplog, capfd, tmp_path):
    """Such sentences become a worker's state on Kafka, its health page and the logs of tasks."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(KogptChatError) as caught:
        CALLS[section](in_address(section, NOWHERE).model_copy(update={"home": tmp_path}))
    written = "".join(capfd.readouterr())
    assert "127.0.0.1" in str(caught.value)
    for text in (str(caught.value), repr(caught.value), caplog.text, written):
        assert "s3cret" not in text


@pytest.mark.parametrize("sign", ["/", "?", "#"])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_password_that_ends_the_host_is_refused_and_not_shown(section, sign, monkeypatch):
    """`admin:2024/secret@host` is a host, a port and a path to every library: nobody could tell that it was a login."""
    address = f"http://admin:2024{sign}secret@host:5000"
    monkeypatch.setenv(f"KOGPT2_{section.upper()}__{SECTIONS[section].upper()}", address)
    with pytest.raises(InvalidInput, match=r"%2F, %3F, %23") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


def test_a_name_node_takes_no_login_in_whatever_spelling():
    """Its field has no login of its own, and is shown as it is."""
    with pytest.raises(ValidationError, match="without a login"):
        Settings.model_validate({"hdfs": {"uri": "hdfs://admin:2024/secret@host"}})


def test_a_webhook_may_have_an_at_sign_in_its_path():
    """Those of Teams do; the address is a secret as a whole."""
    address = "https://corp.webhook.example/webhookb2/1a@2b/IncomingWebhook/3c"
    assert Settings(airflow={"alert_webhook": address}).airflow.alert_webhook.get_secret_value() == address


@pytest.fixture
def gate():
    """A server that asks for a login and remembers what came; it answers whatever is asked with an empty object."""
    seen: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.end_headers()
            self.wfile.write(json.dumps({"count": 0, "FileStatus": {}, "registered_model": {}}).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("given", [in_address, in_settings])
@pytest.mark.parametrize("section", ["hdfs", "elastic", "mlflow"])
def test_the_login_reaches_the_server(section, given, gate):
    """With every request, however it was set."""
    host, seen = gate
    CALLS[section](given(section, host))
    assert set(seen) == {"Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()}


@pytest.mark.parametrize(
    ("address", "apart"),
    [
        ("http://u:p@h:1/x@y", ("http://h:1/x@y", "u", "p")),
        ("https://u@h", ("https://h", "u", None)),
        ("http://u:p%40:q@h", ("http://h", "u", "p@:q")),
        ("http://h:1", ("http://h:1", None, None)),
        ("http://h/a@b", ("http://h/a@b", None, None)),
        ("", ("", None, None)),
    ],
)
def test_a_login_is_taken_apart_from_its_address(address, apart):
    """Decoded; an ``@`` in the path is none."""
    assert split_login(address) == apart


@pytest.mark.parametrize(
    "text", ["http://u:p@h", "u:p@h:1", "http://u:p/q@h", "ftp://u:p q'\"@h", "http://a:b@c;http://u:p@h"]
)
def test_a_value_is_shown_without_what_may_be_a_login(text):
    """Also where it is no address that anybody could use."""
    assert without_login(text).endswith(("***@h", "***@h:1"))
    assert without_login("http://h:1") == "http://h:1"


def test_hosts_and_ports_are_told_from_what_is_none():
    """IPv6 stands in brackets."""
    assert all(map(is_host_and_port, ["kafka", "kafka:9092", "10.0.0.1:1", "[::1]:65535", "별.example:1"]))
    assert not any(map(is_host_and_port, ["", "kafka:", "kafka:0", "kafka:65536", "::1", "a b:1", "u@h:1", "kafka:1²"]))
    assert not is_host_and_port("kafka", port_needed=True)
    assert is_address("http://h:1/x", ("http",))
    assert is_address("http://h:1/별?a=%20#b", ("http",))
    assert not is_address("http://[::1", ("http",))
    assert not any(is_address(f"http://h:1/a{space}b", ("http",)) for space in " \t\n\x00\x7f\u00a0\u200b\u3000")
