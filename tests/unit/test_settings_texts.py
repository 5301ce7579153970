"""Settings with texts that a server parses are checked when the settings are loaded."""

import pytest
from croniter import croniter

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import load_settings

CRON = "KOGPT2_LEARNING__RETRAIN_CRON"
MEMORY = "KOGPT2_SPARK__DRIVER_MEMORY"
MASTER = "KOGPT2_SPARK__MASTER"
WEBHOOK = "KOGPT2_AIRFLOW__ALERT_WEBHOOK"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Change to an empty folder, whose `.env` is read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KOGPT2_ENV_FILE", raising=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CRON, "every day at four"), (CRON, "0 4 31 2 *"), (MEMORY, "a lot"), (MEMORY, "1gb"), (MEMORY, "1024"),
        (MASTER, "lokal[2]"), (MASTER, "local[zwei]"), (MASTER, "http://spark:7077"),
        (WEBHOOK, "https://hooks/services/T0/KEY x"), (WEBHOOK, "https://hooks/a\u00a0b"), (WEBHOOK, "https://hooks/a\u200bb"),
    ],
)  # fmt: skip
def test_a_text_that_its_server_cannot_use_is_refused(monkeypatch, name, text):
    """Otherwise the error would appear much later, in a log of Airflow, a JVM, Spark or the webhook."""
    monkeypatch.setenv(name, text)
    with pytest.raises(InvalidInput, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((CRON, text) for text in ["", "0 4 * * *", " 30 3 * * mon-fri ", "*/15 0,12 1-7 jan *", "@daily", "0 0 29 2 *"]),
        (MEMORY, "2g"), (MEMORY, "900M"), (MASTER, "local[*]"), (MASTER, "local[2,3]"), (MASTER, "spark://a:7077,b:7077"),
        (MASTER, "yarn"), (MASTER, "k8s://https://10.0.0.1:6443"), (WEBHOOK, "https://hooks.example/T0/B1?key=a%20b"),
    ],
)  # fmt: skip
def test_a_text_that_its_server_can_use_is_accepted(monkeypatch, name, text):
    """The parser that Airflow uses also accepts the cron expressions."""
    monkeypatch.setenv(name, text)
    load_settings()
    if name == CRON and text:
        croniter(text.strip()).get_next()


@pytest.mark.parametrize("in_file", [False, True])
def test_two_spellings_of_one_setting_are_refused(tmp_path, monkeypatch, in_file):
    """It is unclear which value is right."""
    if in_file:
        (tmp_path / ".env").write_text("KOGPT2_HOME=/a\nkogpt2_home=/b\n")
    else:
        monkeypatch.setenv("KOGPT2_HOME", "/a")
        monkeypatch.setenv("kogpt2_home", "/b")
    with pytest.raises(InvalidInput, match="KOGPT2_HOME: .* twice.* as KOGPT2_HOME and kogpt2_home"):
        load_settings()
