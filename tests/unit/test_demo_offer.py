"""What the demo begins with and what it offers at its end."""

import os
from pathlib import Path

import pytest

from kogpt2_chat.client.ask import Reply
from kogpt2_chat.demo.offer import offer
from kogpt2_chat.demo.report import Report
from kogpt2_chat.demo.run import _prepare_settings, run
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.machine.in_turn import in_turn
from kogpt2_chat.training.base_record import BaseRecord, write_record

MEASURED = {
    "base": "skt/kogpt2-base-v2", "download_mb": 513, "bots": 3, "answer_tokens": 240_000, "answer_tokens_per_s": 50.4,
    "training_s": 4761.9, "reason": "",
}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of this test's own; what the demo puts into the environment is taken out again."""
    for name in [name for name in os.environ if name.startswith("KOGPT2_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["KOGPT2_HOME"] = str(tmp_path / "home")
    return tmp_path / "home"


def test_the_demo_runs_on_the_small_base(home):
    """Nothing is asked of a hub unless somebody names a base."""
    assert _prepare_settings("", print).model.base == "small"


def test_a_base_that_is_named_is_what_the_demo_runs_on(home, tmp_path):
    """In the environment or in `.env`."""
    (tmp_path / ".env").write_text("KOGPT2_MODEL__BASE=skt/kogpt2-base-v2\n")
    assert _prepare_settings("", print).model.base == "skt/kogpt2-base-v2"
    os.environ["KOGPT2_MODEL__BASE"] = "some/gpt2"
    assert _prepare_settings("", print).model.base == "some/gpt2"


def test_a_home_that_has_begun_keeps_its_base_in_a_later_demo(home):
    """Its bots live on what they began with."""
    write_record(home, BaseRecord.now(asked="auto", name="skt/kogpt2-base-v2", folder=home, sha="1" * 64))
    assert _prepare_settings("", print).model.base == "auto"


def test_the_report_ends_with_the_offer_in_both_languages():
    """Minutes and speed as measured, size, licence, and a command in a home beside this one."""
    report = Report(urls={"MLflow": "http://127.0.0.1:5000"}, offer=offer(MEASURED, Path("/srv/내 챗봇")))
    end = report.text().rstrip().splitlines()[-5:]
    assert end == report.as_json()["offer"]
    assert "about 79 minutes" in end[1]
    assert "50 answer tokens/s" in end[1]
    assert "513 MB" in end[1]
    assert "약 79분" in end[3]
    assert end[4].endswith("KOGPT2_MODEL__BASE=skt/kogpt2-base-v2 KOGPT2_HOME='/srv/내 챗봇-kogpt2' make demo")


def test_the_offer_keeps_the_pairs_that_the_demo_was_given(monkeypatch, tmp_path):
    """KoGPT2 would be trained on other pairs otherwise."""
    monkeypatch.chdir(tmp_path)
    command = offer(MEASURED, Path("/srv/var"), "내 대화.csv")[-1]
    assert command.strip().startswith(f"make down && DATASET='{tmp_path}/내 대화.csv' KOGPT2_MODEL__BASE=")


def test_a_few_pairs_take_a_minute_and_not_none():
    """Nothing is trained in no time."""
    assert "about 1 minute on" in offer(MEASURED | {"training_s": 12.0}, Path("/srv/var"))[1]


def test_a_second_demo_of_a_home_waits_for_the_first(home):
    """Each would get answers that were meant for the other's players."""

    class Told(Exception):
        pass

    def told(line):
        raise Told(line)

    with in_turn(home / "demo" / "lock", print), pytest.raises(Told, match="another one is at work here"):
        run(dataset="", progress=told)


def test_samples_are_a_table_whatever_is_said():
    """Bars and line ends within a cell would be read as the table's own."""
    reply = Reply(
        bot="ChatbotA", sender="하늘", question="A|B?\n둘 다?", answer="A | B", turn_id="t", version="1", epoch=1,
        latency_ms=1, fallback=None,
    )  # fmt: skip
    report = Report(before=[reply], after=[reply])
    assert report.samples().splitlines()[2] == "| ChatbotA | 1 | A\\|B? 둘 다? | A \\| B |"


def test_an_offer_that_could_not_be_measured_says_why():
    """No figure is made up."""
    lines = offer(MEASURED | {"training_s": None, "answer_tokens_per_s": None, "reason": "2 MB are free"}, Path("/h"))
    assert "not measured on this machine (2 MB are free)" in lines[1]
    assert "minutes" not in lines[1]


def test_pairs_that_teach_nothing_end_the_demo_before_anything_is_started(home, tmp_path):
    """No gold set can be made of the same answers to everything: said at once, and nothing is written."""
    dataset = tmp_path / "few.csv"
    rows = [
        f"{number}번째 질문이야?,{answer},{label}"
        for label in range(3)
        for number in range(9)
        for answer in ("네", "아니요", "글쎄요")
    ]
    dataset.write_text("\n".join(["Q,A,label", *rows]), "utf-8")
    with pytest.raises(InvalidInput, match="ChatbotA .label 0. can't be taught: nothing is left for gold"):
        _prepare_settings(str(dataset), lambda _: None)
    assert list(home.rglob("*.csv")) == []
