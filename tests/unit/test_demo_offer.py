"""The demo's settings, its report, and the suggestion to run it with KoGPT2."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kogpt2_chat.client.ask import ReceivedAnswer
from kogpt2_chat.demo.offer import offer
from kogpt2_chat.demo.report import DemoReport
from kogpt2_chat.demo.run import prepare_settings, run
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.training.base_record import BaseRecord, write_record
from kogpt2_chat.training.estimate_base import BaseEstimate

MEASURED = BaseEstimate(
    base="skt/kogpt2-base-v2", download_mb=513, bots=3, answer_tokens=240_000, answer_tokens_per_s=50.4,
    training_s=4761.9,
)  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a temporary home folder; changes to the environment are undone after the test."""
    for name in [name for name in os.environ if name.startswith("KOGPT2_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["KOGPT2_HOME"] = str(tmp_path / "home")
    return tmp_path / "home"


def test_the_demo_runs_on_the_small_base(home):
    """The demo contacts no model hub unless the settings name a base."""
    assert prepare_settings("", print).model.base == "small"


def test_the_demo_uses_the_base_that_the_settings_name(home, tmp_path):
    """The environment and `.env` can both name it."""
    (tmp_path / ".env").write_text("KOGPT2_MODEL__BASE=skt/kogpt2-base-v2\n")
    assert prepare_settings("", print).model.base == "skt/kogpt2-base-v2"
    os.environ["KOGPT2_MODEL__BASE"] = "some/gpt2"
    assert prepare_settings("", print).model.base == "some/gpt2"


def test_the_commands_base_has_priority_over_the_settings(home):
    """`make demo BASE=FOLDER`; the servers inherit it."""
    os.environ["KOGPT2_MODEL__BASE"] = "some/gpt2"
    home.mkdir()
    assert prepare_settings("", print, str(home)).model.base == str(home)
    assert os.environ["KOGPT2_MODEL__BASE"] == str(home)


def test_a_home_keeps_its_base_in_a_later_demo(home):
    """If the home already has a base, the demo does not switch to the small one."""
    write_record(home, BaseRecord.now(asked="auto", name="skt/kogpt2-base-v2", folder=home, sha="1" * 64))
    assert prepare_settings("", print).model.base == "auto"


def test_the_report_ends_with_the_suggestion_in_both_languages():
    """It states the estimated minutes, the measured speed, the download size and a command for another home."""
    report = DemoReport(urls={"MLflow": "http://127.0.0.1:5000"}, offer=offer(MEASURED, Path("/srv/내 챗봇")))
    end = report.text().rstrip().splitlines()[-5:]
    assert end == report.as_json()["offer"]
    assert "about 79 minutes" in end[1]
    assert "50 answer tokens/s" in end[1]
    assert "513 MB" in end[1]
    assert "약 79분" in end[3]
    assert end[4].endswith("KOGPT2_MODEL__BASE=skt/kogpt2-base-v2 KOGPT2_HOME='/srv/내 챗봇-kogpt2' make demo")


def test_the_suggested_command_uses_the_same_dataset(monkeypatch, tmp_path):
    """Otherwise KoGPT2 would be trained on other pairs than the demo."""
    monkeypatch.chdir(tmp_path)
    command = offer(MEASURED, Path("/srv/var"), "내 대화.csv")[-1]
    assert command.strip().startswith(f"make down && DATASET='{tmp_path}/내 대화.csv' KOGPT2_MODEL__BASE=")


def test_the_estimate_is_at_least_one_minute():
    """12 seconds are rounded up to one minute."""
    assert "about 1 minute on" in offer(replace(MEASURED, training_s=12.0), Path("/srv/var"))[1]


def test_a_second_demo_of_a_home_waits_for_the_first(home):
    """Otherwise each would receive answers to the other's players."""

    class Waiting(Exception):
        pass

    def progress(line):
        raise Waiting(line)

    with hold_lock(home / "demo" / "lock", print), pytest.raises(Waiting, match="another process holds the lock"):
        run(dataset="", base="", bots=BOT_IDS, progress=progress)


def test_samples_escape_texts_that_would_break_the_table():
    """Vertical bars are escaped, and line breaks are replaced."""
    reply = ReceivedAnswer(
        bot="ChatbotA", sender="하늘", question="A|B?\n둘 다?", answer="A | B", turn_id="t", version="1", epoch=1,
        latency_ms=1, fallback=None,
    )  # fmt: skip
    report = DemoReport(before=[reply], after=[reply])
    assert report.samples().splitlines()[2] == "| ChatbotA | 1 | A\\|B? 둘 다? | A \\| B |"


def test_a_suggestion_without_a_measurement_gives_the_reason():
    """It contains no estimate in minutes."""
    lines = offer(replace(MEASURED, training_s=None, answer_tokens_per_s=None, reason="2 MB are free"), Path("/h"))
    assert "not measured on this machine (2 MB are free)" in lines[1]
    assert "minutes" not in lines[1]


def test_an_unusable_dataset_ends_the_demo_before_anything_starts(home, tmp_path):
    """If every question has the same answers, no gold set can be formed: an error, and no file is written."""
    dataset = tmp_path / "few.csv"
    rows = [
        f"{number}번째 질문이야?,{answer},{label}"
        for label in range(3)
        for number in range(9)
        for answer in ("네", "아니요", "글쎄요")
    ]
    dataset.write_text("\n".join(["Q,A,label", *rows]), "utf-8")
    with pytest.raises(InvalidInput, match="ChatbotA .label 0. can't be trained: no pairs are left for gold"):
        prepare_settings(str(dataset), lambda _: None)
    assert list(home.rglob("*.csv")) == []
