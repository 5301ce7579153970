"""Settings and how they are read from the environment and from `.env`."""

import json
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from kogpt2_chat.demo.run import DEMO_ENVIRONMENT
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.variables import _OUTDATED, as_variables, leaves_of, shown_variables


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Change to an empty folder without a `.env`, and remove all settings from the environment."""
    import os

    for name in [name for name in os.environ if name.startswith("KOGPT2_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal() -> str:
    """Load the settings and return the message of the error."""
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    return str(caught.value)


def test_the_offset_shifts_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """So two stacks can run on one machine."""
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "1000")
    settings = load_settings()
    assert settings.kafka_bootstrap == "127.0.0.1:10092"
    assert settings.webhdfs_url == "http://127.0.0.1:10870"
    assert settings.airflow_url == "http://127.0.0.1:9080"


def test_all_faults_are_reported_together(monkeypatch, folder):
    """One message has all wrong values, names, JSON texts, lines of `.env` and combinations."""
    (folder / ".env").write_text('KOGPT2_TRAINING__BATCH_SIZE=-1\nKOGPT2_HDFS__ROOT="/x\n', encoding="utf-8")
    monkeypatch.setenv("KOGPT2_PORTS__KAFKA", "kafka")
    monkeypatch.setenv("KOGPT2_SERVING__SAMPLING", "{bad")
    monkeypatch.setenv("KOGPT2_STACK__WORKER", "3")
    monkeypatch.setenv("KOGPT2_SERVING__WATCHDOG_S", "20")
    message = refusal()
    lines = message.splitlines()[1:]
    assert len(lines) == 6
    assert any("KOGPT2_PORTS__KAFKA" in line and "valid integer" in line and "'kafka'" in line for line in lines)
    assert any("KOGPT2_TRAINING__BATCH_SIZE" in line and "found '-1'" in line and ".env" in line for line in lines)
    assert any(".env line 2" in line for line in lines)
    assert any("KOGPT2_SERVING__SAMPLING" in line and "JSON object" in line for line in lines)
    assert any("KOGPT2_STACK__WORKER:" in line and "did you mean KOGPT2_STACK__WORKERS?" in line for line in lines)
    assert any("KOGPT2_SERVING__WATCHDOG_S" in line and "KOGPT2_KAFKA__REQUEST_TIMEOUT_S" in line for line in lines)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("KOGPT2_STACK_WORKERS", "KOGPT2_STACK__WORKERS"),
        ("KOGPT2_HOM", "KOGPT2_HOME"),
        ("KOGPT_HOME", "KOGPT2_HOME"),
        ("KOGPT2_SERVING__SAMPLING__CHATBOTA__TEMPERATURE", "set KOGPT2_SERVING__SAMPLING as a whole"),
        ("KOGPT2_PORTS__DATANODE__0", "set KOGPT2_PORTS__DATANODE as a whole"),
        ("KOGPT2_ZZZZ", "`kogpt2-chat settings` shows all"),
    ],
)
def test_an_unknown_name_is_refused_with_the_most_similar_setting(monkeypatch, wrong, right):
    """Otherwise it would have no effect without a warning. Its value is not shown, because it may be a secret."""
    monkeypatch.setenv(wrong, "s3cret-word")
    message = refusal()
    assert wrong in message
    assert right in message
    assert "s3cret-word" not in message


def test_variables_that_are_not_settings_are_ignored(monkeypatch):
    """Variables of the set-up, the supervisor, tests, benchmarks and other programs are not errors."""
    for name in (
        "KOGPT2_PYTHON", "KOGPT2_TEST_STACK", "KOGPT2_TEST_ANY_THING", "KOGPT2_BENCH_VERSIONS", "KOGPT2_STACK_PROGRAM",
        "KOGPT2_SERVING__FAILPOINT", "_KOGPT2_CHAT_COMPLETE", "KOGPT_API_KEY", "KOGNITIO",
    ):  # fmt: skip
        monkeypatch.setenv(name, "x")
    assert load_settings() == Settings()


def test_a_setting_of_an_earlier_release_causes_a_warning(monkeypatch, capsys):
    """It is ignored with one warning per process, so an upgrade does not fail because of it."""
    monkeypatch.setenv("KOGPT2_STACK__START_TIMEOUT_S", "180")
    assert load_settings() == Settings()
    assert load_settings() == Settings()
    message = capsys.readouterr().err
    assert message.count("KOGPT2_STACK__START_TIMEOUT_S (in the environment) no longer has an effect") == 1
    assert "KOGPT2_STACK__STALL_S" in message


def test_a_port_that_an_earlier_release_had_too_has_an_effect(monkeypatch):
    """Also in the JSON of its section: the gateway of an earlier release had gone, and there is one again."""
    monkeypatch.setenv("KOGPT2_PORTS", '{"gateway": 8123}')
    assert load_settings().ports.gateway == 8123
    assert not _OUTDATED.keys() & leaves_of(Settings).keys()


def test_an_outdated_setting_in_the_json_of_a_section_causes_a_warning_too(monkeypatch, capsys):
    """The warning names the variable of the section."""
    monkeypatch.setenv("KOGPT2_SERVING", '{"engine": "openvino", "threads": 2}')
    assert load_settings().serving.threads == 2
    assert "KOGPT2_SERVING__ENGINE (in KOGPT2_SERVING) no longer has an effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    "variables",
    [
        {"KOGPT2_SERVING__SLOT": "3"},
        {"kogpt2_serving__slot": "3"},
        {"KOGPT2_SERVING": '{"slot": 3}'},
        {"KOGPT2_SERVING__SLOT": "3", "KOGPT2_SERVING__ORDINAL": "3"},
    ],
)
def test_the_name_of_a_setting_in_the_last_release_still_works(monkeypatch, capsys, variables):
    """A warning has both names, so that units and `.env` files can be changed after the upgrade."""
    monkeypatch.setattr("kogpt2_chat.settings._warn_once", lambda sentence: print(sentence, file=sys.stderr))
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert load_settings().serving.ordinal == 3
    message = capsys.readouterr().err
    assert message.count("KOGPT2_SERVING__SLOT (in ") == 1
    assert "is now called KOGPT2_SERVING__ORDINAL" in message


def test_the_old_name_of_the_minimum_age_still_works(monkeypatch):
    """It once shared its name with the place for unreadable records."""
    monkeypatch.setattr("kogpt2_chat.settings._warn_once", lambda _: None)
    monkeypatch.setenv("KOGPT2_LEARNING__QUARANTINE_HOURS", "3")
    assert load_settings().learning.min_age_hours == 3


@pytest.mark.parametrize(
    "variables",
    [
        {"KOGPT2_SERVING__SLOT": "3", "KOGPT2_SERVING__ORDINAL": "4"},
        {"KOGPT2_SERVING": '{"slot": 3, "ordinal": 4}'},
    ],
)
def test_the_old_and_the_new_name_with_different_values_are_refused(monkeypatch, variables):
    """It is unclear which value is right."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    (line,) = refusal().splitlines()[1:]
    assert "KOGPT2_SERVING__ORDINAL" in line
    assert "KOGPT2_SERVING__SLOT" in line


@pytest.mark.parametrize(
    ("in_file", "in_environment"),
    [("KOGPT2_SERVING__SLOT", "KOGPT2_SERVING__ORDINAL"), ("KOGPT2_SERVING__ORDINAL", "KOGPT2_SERVING__SLOT")],
)
def test_the_environment_wins_over_env_under_either_name(monkeypatch, folder, in_file, in_environment):
    """A forgotten line of `.env` must not affect workers whose ordinal the stack or a unit sets."""
    (folder / ".env").write_text(f"{in_file}=1\n", encoding="utf-8")
    monkeypatch.setenv(in_environment, "4")
    assert load_settings().serving.ordinal == 4


def test_a_wrong_value_under_the_old_name_names_both(monkeypatch):
    """The reader of the message looks for the name that they wrote."""
    monkeypatch.setenv("KOGPT2_SERVING__SLOT", "three")
    (line,) = refusal().splitlines()[1:]
    assert "KOGPT2_SERVING__ORDINAL" in line
    assert "'three' in the environment, as KOGPT2_SERVING__SLOT" in line


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("cp949", "line 2 is not UTF-8 but in CP949"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-32", "UTF-16"),
    ],
)
def test_an_env_file_in_another_encoding_is_refused(folder, encoding, named):
    """Editors on Windows write these encodings; the message names the file, the encoding and the remedy."""
    (folder / ".env").write_bytes("KOGPT2_PORTS__OFFSET=1000\n# 포트 이동\n".encode(encoding))
    message = refusal()
    assert named in message
    assert str(folder / ".env") in message
    assert "save it again as UTF-8" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_env_file_from_windows_is_read(folder, encoding, line_end):
    """A byte order mark, either line end, Korean text, quotes, `export` and comments are all accepted."""
    lines = [
        "KOGPT2_PORTS__OFFSET=1000", "# 포트 이동", "export KOGPT2_HDFS__ROOT='/chat'",
        'KOGPT2_MLFLOW__EXPERIMENT="별 마루" # 실험', "HF_TOKEN=x",
    ]  # fmt: skip
    (folder / ".env").write_bytes(line_end.join([*lines, ""]).encode(encoding))
    found = load_settings()
    assert (found.ports.offset, found.hdfs.root, found.mlflow.experiment) == (1000, "/chat", "별 마루")


@pytest.mark.parametrize(
    "line",
    [
        "KOGPT2_HDFS__ROOT=“/x”", "KOGPT2_HDFS__ROOT=\"'/x'\"", 'KOGPT2_HDFS__ROOT="/x', "KOGPT2_HDFS__ROOT",
        "set KOGPT2_HDFS__ROOT=/x", "$env:KOGPT2_HDFS__ROOT='/x'", "KOGPT2_SERVING__SAMPLING={“ChatbotA”: {}}",
        "KOGPT2_PORTS__DATANODE=9866,9876",
    ],
)  # fmt: skip
def test_a_misleading_line_is_refused(folder, line):
    """For example, with typographic, nested or unclosed quotation marks, or a command of another shell."""
    (folder / ".env").write_text(line + "\n", encoding="utf-8")
    assert ".env" in refusal()


def test_the_environment_wins_over_the_file_even_with_an_empty_value(monkeypatch, folder):
    """An empty value means the default, so `KOGPT2_HOME=` does not mean the current directory."""
    (folder / ".env").write_text("KOGPT2_KAFKA__BOOTSTRAP=prod.example:9092\nKOGPT2_HOME=\nKOGPT2_PORTS__OFFSET=7\n")
    monkeypatch.setenv("KOGPT2_KAFKA__BOOTSTRAP", "")
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "8")
    found = load_settings()
    assert (found.kafka.bootstrap, found.home, found.ports.offset) == ("", Settings().home, 8)


def test_the_env_file_can_be_chosen_or_disabled(monkeypatch, folder):
    """A chosen file must exist. An empty name disables the file."""
    (folder / ".env").write_text("KOGPT2_PORTS__OFFSET=7\n")
    (folder / "다른.env").write_text("KOGPT2_PORTS__OFFSET=8\n")
    for named, offset in (("다른.env", 8), ("", 0)):
        monkeypatch.setenv("KOGPT2_ENV_FILE", named)
        assert load_settings().ports.offset == offset
    monkeypatch.setenv("KOGPT2_ENV_FILE", "none.env")
    assert "none.env cannot be read" in refusal()


def test_paths_become_absolute(monkeypatch, folder):
    """`~` is expanded, and relative paths start in the current directory. So all processes use the same folder."""
    monkeypatch.setenv("HOME", str(folder / "집"))
    monkeypatch.setenv("KOGPT2_HOME", "~/kogpt2")
    monkeypatch.setenv("KOGPT2_LEARNING__CORPORA", "말뭉치")
    monkeypatch.setenv("KOGPT2_KAFKA__SSL_CAFILE", "ca.pem")
    monkeypatch.setenv("KOGPT2_MODEL__BASE", "./base")
    found = load_settings()
    assert found.home == folder / "집" / "kogpt2"
    assert found.learning.corpora == folder / "말뭉치"
    assert found.kafka.ssl_cafile == str(folder / "ca.pem")
    assert found.model.base == str(folder / "base")
    monkeypatch.setenv("KOGPT2_HOME", "~no-such-user/kogpt2")
    assert "KOGPT2_HOME: ~no-such-user is not a home folder" in refusal()


def test_an_unknown_bot_in_a_dictionary_is_refused(monkeypatch):
    """A setting for a bot that does not exist would have no effect."""
    monkeypatch.setenv("KOGPT2_SERVING__SAMPLING", '{"chatbota": {}, "ChatbotB": {"temperature": 0}}')
    message = refusal()
    assert "KOGPT2_SERVING__SAMPLING at chatbota: no such bot" in message
    assert "did you mean ChatbotA?" in message
    assert "KOGPT2_SERVING__SAMPLING at ChatbotB.temperature" in message


def test_a_section_can_be_one_json_value(monkeypatch):
    """A variable of a single setting wins over it. Misspelt fields and values that are not JSON objects are errors."""
    monkeypatch.setenv("KOGPT2_PORTS", '{"offset": 5, "kafka": 19092}')
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "6")
    found = load_settings()
    assert (found.ports.offset, found.ports.kafka) == (6, 19092)
    monkeypatch.setenv("KOGPT2_STACK", '{"worker": 3}')
    monkeypatch.setenv("KOGPT2_KAFKA", '{"sasl_password": "s3cret-word"')
    message = refusal()
    assert "KOGPT2_STACK__WORKER: no such setting; did you mean KOGPT2_STACK__WORKERS?" in message
    assert "KOGPT2_KAFKA: expected a JSON object" in message
    assert "s3cret-word" not in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KOGPT2_STACK__STALL_S", "inf"), ("KOGPT2_TRAINING__WEIGHT_DECAY", "nan"),
        ("KOGPT2_STACK__STALL_S", "1e300"), ("KOGPT2_KAFKA__REQUEST_TIMEOUT_S", "301"),
        ("KOGPT2_KAFKA__REQUEST_TIMEOUT_S", "0.0001"), ("KOGPT2_SERVING__SESSION_TIMEOUT_S", "1"),
        ("KOGPT2_PORTS__KAFKA", "70000"), ("KOGPT2_KAFKA__REPLICATION_FACTOR", "40000"),
        ("KOGPT2_KAFKA__BOOTSTRAP", "http://kafka:9092"), ("KOGPT2_KAFKA__BOOTSTRAP", "kafka:99999"),
        ("KOGPT2_KAFKA__SASL_MECHANISM", "plain"), ("KOGPT2_ELASTIC__URL", "elastic"),
        ("KOGPT2_ELASTIC__URL", "http://elastic"), ("KOGPT2_MLFLOW__TRACKING_URI", "mlflow:5000"),
        ("KOGPT2_HDFS__URI", "http://namenode:9870"), ("KOGPT2_HDFS__WEBHDFS", "hdfs://namenode:9000"),
        ("KOGPT2_AIRFLOW__URL", "http://airflow:80x"), ("KOGPT2_STACK__WORKERS", "1" * 5000),
    ],
)  # fmt: skip
def test_values_that_a_client_would_reject_are_refused(monkeypatch, name, text):
    """The error is raised when the settings are read, not when a client or server uses the value."""
    monkeypatch.setenv(name, text)
    message = refusal()
    assert name in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("named", "given"),
    [
        ("KOGPT2_PORTS__OFFSET", {"KOGPT2_PORTS__OFFSET": "50000", "KOGPT2_PORTS__KAFKA": "20000"}),
        ("KOGPT2_PORTS__WORKER_METRICS", {"KOGPT2_PORTS__WORKER_METRICS": "65530", "KOGPT2_SERVING__ORDINAL": "7"}),
        ("KOGPT2_KAFKA__SASL_MECHANISM", {"KOGPT2_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}),
        ("KOGPT2_KAFKA__SECURITY_PROTOCOL", {"KOGPT2_KAFKA__SASL_MECHANISM": "PLAIN"}),
        ("KOGPT2_SERVING__WATCHDOG_S", {"KOGPT2_KAFKA__REQUEST_TIMEOUT_S": "60"}),
        ("KOGPT2_MODEL__SMALL_HEADS", {"KOGPT2_MODEL__SMALL_HEADS": "3"}),
    ],
)
def test_settings_that_contradict_each_other_are_refused(monkeypatch, named, given):
    """The message has one line for them."""
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    message = refusal()
    assert named in message
    assert len(message.splitlines()) == 2


def test_a_shifted_port_above_the_last_one_is_refused() -> None:
    """The message names the setting to lower."""
    with pytest.raises(InvalidInput, match="KOGPT2_PORTS__OFFSET"):
        Settings().ports.at(65535 - Settings().ports.offset + 1)


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the JSON nor the representation of the settings contains them."""
    monkeypatch.setenv("KOGPT2_KAFKA__SASL_PASSWORD", "s3cret-word")
    monkeypatch.setenv("KOGPT2_STACK__AIRFLOW_DATABASE", "postgresql://u:s3cret-word@h/db")
    found = load_settings()
    for text in (found.model_dump_json(), repr(found), str(shown_variables(found))):
        assert "s3cret-word" not in text


def test_the_value_of_a_wrong_secret_is_not_shown(monkeypatch):
    """It appears neither in the message nor in a chained exception."""
    monkeypatch.setenv("KOGPT2_KAFKA__SASL_PASSWORD", "s3cret-word\r")
    monkeypatch.setenv("KOGPT2_ELASTIC", '{"password": ["s3cret-word"]}')
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    message = str(caught.value)
    assert "KOGPT2_KAFKA__SASL_PASSWORD: contains control characters" in message
    assert "KOGPT2_ELASTIC__PASSWORD" in message
    assert "s3cret-word" not in message
    assert caught.value.__cause__ is None


def test_the_shown_settings_can_be_used_as_an_env_file(monkeypatch, folder):
    """Loading the output of `kogpt2-chat settings` returns the same settings. An unset path does not become `None`."""
    monkeypatch.setenv("KOGPT2_SERVING__SAMPLING", '{"ChatbotA": {"temperature": 0.9}}')
    found = load_settings()
    monkeypatch.delenv("KOGPT2_SERVING__SAMPLING")
    lines = [f"{name}={text}" for name, text in shown_variables(found).items()]
    (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
    assert load_settings() == found
    assert set(shown_variables(found)) == set(leaves_of(Settings))


def test_settings_without_arguments_are_the_defaults(monkeypatch):
    """Only `load_settings` reads the environment."""
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "1000")
    assert Settings().ports.offset == 0
    assert as_variables(Settings()) == {}


def test_the_cache_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Checkouts share jars and base models in this folder."""
    monkeypatch.setenv("KOGPT2_CACHE", str(tmp_path))
    assert load_settings().cache_dir == tmp_path


def test_the_json_of_the_settings_has_one_object_per_section():
    """It has the values by field."""
    tree = json.loads(Settings().model_dump_json())
    assert tree["ports"]["datanode"] == [9866, 9876]
    assert tree["kafka"]["sasl_password"] == ""


def test_a_setting_that_documents_an_empty_value_is_empty_by_default() -> None:
    """An empty value means the default, so a description can offer `empty` only if the default is empty."""
    fields = [(name, field_at(leaf.path)) for name, leaf in leaves_of(Settings).items()]
    offered = [(name, field.default) for name, field in fields if "empty" in (field.description or "")]
    assert offered
    assert [name for name, default in offered if default not in ("", None, (), SecretStr(""))] == []


def field_at(path: tuple[str, ...]) -> FieldInfo:
    tree: type[BaseModel] = Settings
    for section in path[:-1]:
        tree = tree.model_fields[section].annotation  # type: ignore[assignment]
    return tree.model_fields[path[-1]]


@pytest.mark.parametrize("cron", ["never", "0 4 * * *", "*/5 1-3 * * MON,TUE", "@daily"])
def test_scheduled_retraining_can_be_changed_and_switched_off(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    """The demo switches it off, so that scheduled runs do not interfere."""
    monkeypatch.setenv("KOGPT2_LEARNING__RETRAIN_CRON", cron)
    assert load_settings().learning.retrain_cron == cron
    assert DEMO_ENVIRONMENT["KOGPT2_LEARNING__RETRAIN_CRON"] == "never"


@pytest.mark.parametrize("cron", ["off", "4", "0 4 * *", "0 4 * * * *"])
def test_an_invalid_cron_expression_is_refused(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    """Otherwise Airflow would silently drop the whole DAG."""
    monkeypatch.setenv("KOGPT2_LEARNING__RETRAIN_CRON", cron)
    with pytest.raises(InvalidInput, match="RETRAIN_CRON: expected five fields .* or never"):
        load_settings()
