"""Logins for servers: read from the settings, sent to the server, and never shown."""

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
from kogpt2_chat.domain.search.fields import TURN_INDEX
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
    """Undo what the MLflow adapter writes to the environment, which configures MLflow's client."""
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
    "elastic": lambda settings: ElasticIndex(settings).count(TURN_INDEX),
    "mlflow": lambda settings: MlflowRegistry(settings).by_alias("ChatbotA", "champion"),
    "airflow": lambda settings: AirflowRest(settings).runs("retrain_bots"),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_login_in_an_address_becomes_the_login_of_its_section(section):
    """The address is stored without it, and both are passed to the servers that the stack starts."""
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


def test_a_login_in_the_settings_takes_precedence_over_one_in_the_address():
    """The user of one is never combined with the password of the other."""
    given = {"tracking_uri": "http://other:word@host:5000", "username": "ops", "password": PASSWORD}
    found = Settings.model_validate({"mlflow": given}).mlflow
    assert (found.username, found.password.get_secret_value()) == ("ops", PASSWORD)
    user_only = Settings.model_validate({"mlflow": {"tracking_uri": "http://other:word@h", "username": "ops"}}).mlflow
    assert (user_only.username, user_only.password.get_secret_value()) == ("ops", "")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_error_about_an_unreachable_server_has_no_login(section, caplog, capfd, tmp_path):
    """Such messages get into a worker's state on Kafka, its health page and the logs of tasks."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(KogptChatError) as caught:
        CALLS[section](in_address(section, NOWHERE).model_copy(update={"home": tmp_path}))
    written = "".join(capfd.readouterr())
    assert "127.0.0.1" in str(caught.value)
    for text in (str(caught.value), repr(caught.value), caplog.text, written):
        assert "s3cret" not in text


@pytest.mark.parametrize("sign", ["/", "?", "#"])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_password_with_a_separator_of_addresses_is_refused_and_not_shown(section, sign, monkeypatch):
    """Libraries read `admin:2024/secret@host` as a host, a port and a path, so the login cannot be recognised."""
    address = f"http://admin:2024{sign}secret@host:5000"
    monkeypatch.setenv(f"KOGPT2_{section.upper()}__{SECTIONS[section].upper()}", address)
    with pytest.raises(InvalidInput, match=r"%2F, %3F, %23") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


def test_the_address_of_the_name_node_must_not_have_a_login():
    """No settings exist for such a login, and the address is shown unchanged."""
    with pytest.raises(ValidationError, match="without a login"):
        Settings.model_validate({"hdfs": {"uri": "hdfs://admin:2024/secret@host"}})


def test_a_webhook_may_have_an_at_sign_in_its_path():
    """Those of Microsoft Teams have one. The whole address is a secret."""
    address = "https://corp.webhook.example/webhookb2/1a@2b/IncomingWebhook/3c"
    assert Settings(airflow={"alert_webhook": address}).airflow.alert_webhook.get_secret_value() == address


@pytest.fixture
def recording_server():
    """Run a server that records the login of each request; yield its address and the list of logins."""
    logins: list[str] = []

    class LoginHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.end_headers()
            self.wfile.write(json.dumps({"count": 0, "FileStatus": {}, "registered_model": {}}).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), LoginHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", logins
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("given", [in_address, in_settings])
@pytest.mark.parametrize("section", ["hdfs", "elastic", "mlflow"])
def test_the_login_is_sent_with_every_request(section, given, recording_server):
    """It may be set in the address or in its own settings."""
    host, logins = recording_server
    CALLS[section](given(section, host))
    assert set(logins) == {"Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()}


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("http://u:p@h:1/x@y", ("http://h:1/x@y", "u", "p")),
        ("https://u@h", ("https://h", "u", None)),
        ("http://u:p%40:q@h", ("http://h", "u", "p@:q")),
        ("http://h:1", ("http://h:1", None, None)),
        ("http://h/a@b", ("http://h/a@b", None, None)),
        ("", ("", None, None)),
    ],
)
def test_a_login_is_split_from_its_address(address, parts):
    """It is decoded. An ``@`` in the path does not belong to a login."""
    assert split_login(address) == parts


@pytest.mark.parametrize(
    "text", ["http://u:p@h", "u:p@h:1", "http://u:p/q@h", "ftp://u:p q'\"@h", "http://a:b@c;http://u:p@h"]
)
def test_a_value_is_shown_without_a_possible_login(text):
    """This includes values that are not valid addresses."""
    assert without_login(text).endswith(("***@h", "***@h:1"))
    assert without_login("http://h:1") == "http://h:1"


def test_hosts_ports_and_addresses_are_validated():
    """An IPv6 address must have brackets."""
    assert all(map(is_host_and_port, ["kafka", "kafka:9092", "10.0.0.1:1", "[::1]:65535", "별.example:1"]))
    assert not any(map(is_host_and_port, ["", "kafka:", "kafka:0", "kafka:65536", "::1", "a b:1", "u@h:1", "kafka:1²"]))
    assert not is_host_and_port("kafka", port_needed=True)
    assert is_address("http://h:1/x", ("http",))
    assert is_address("http://h:1/별?a=%20#b", ("http",))
    assert not is_address("http://[::1", ("http",))
    assert not any(is_address(f"http://h:1/a{space}b", ("http",)) for space in " \t\n\x00\x7f\u00a0\u200b\u3000")
