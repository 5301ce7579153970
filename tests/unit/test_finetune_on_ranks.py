"""Whether a training runs on several ranks: the setting decides, for a person and for Airflow alike."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from kogpt2_chat import bootstrap
from kogpt2_chat.cli import app
from kogpt2_chat.jobs import finetune as job
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.stack.program import settings_environment

ASK = "from kogpt2_chat.settings import load_settings; print(load_settings().training.ranks)"


class Called(Exception):
    """The command has called the job."""


@pytest.mark.parametrize(("ranks", "uses_spark"), [("1", False), ("2", True)])
def test_the_setting_decides_whether_spark_trains(
    monkeypatch: pytest.MonkeyPatch, ranks: str, uses_spark: bool
) -> None:
    """With one rank no Spark is needed, not even its jars."""
    given: dict[str, Any] = {}

    def called(**arguments: Any) -> None:
        given.update(arguments)
        raise Called

    spark = object()
    monkeypatch.setenv("KOGPT2_TRAINING__RANKS", ranks)
    monkeypatch.setattr(job, "finetune", called)
    for name in ("files", "registry"):
        monkeypatch.setattr(bootstrap, name, lambda _settings: None)
    monkeypatch.setattr(bootstrap, "spark", lambda _settings: spark)
    assert isinstance(CliRunner().invoke(app, ["finetune", "ChatbotA", "aaaa"]).exception, Called)
    assert given["spark"] is (spark if uses_spark else None)


def test_airflows_tasks_have_the_setting() -> None:
    """The stack passes its settings to Airflow, and a task's command inherits them."""
    settings = Settings(training={"ranks": 3})
    environment: Mapping[str, str] = os.environ | settings_environment(settings)
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    assert load_settings().training.ranks == 1
