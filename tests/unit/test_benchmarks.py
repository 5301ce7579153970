"""The benchmarks: which broker their workers use, and how they compute their results."""

import os
from itertools import islice

import psutil
import pytest

from benchmarks.growth import drain
from benchmarks.through_kafka import BenchWorker, worker_environment
from benchmarks.workload import RunResult, questions
from benchmarks.world.endurance import slope_kb_per_hour
from benchmarks.world.report import targets
from kogpt2_chat.settings import Settings, load_settings


def test_a_measured_worker_never_answers_real_players(tmp_path, monkeypatch):
    """It uses only the benchmark's broker, regardless of the caller's environment and of a `.env`."""
    (tmp_path / ".env").write_text("KOGPT2_KAFKA__BOOTSTRAP=kafka.example:9092\nKOGPT2_SERVING__THREADS=3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOGPT2_MLFLOW__TRACKING_URI", "http://mlflow.example:5000")
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "1000")
    settings = Settings(home=tmp_path / "bench", ports={"offset": 23000}, model={"max_new_tokens": 24})
    monkeypatch.setattr(os, "environ", worker_environment(settings, 2, tmp_path / "home", {}))
    loaded = load_settings()
    assert loaded.kafka_bootstrap == settings.kafka_bootstrap
    assert loaded.mlflow_url == settings.mlflow_url
    assert (loaded.home, loaded.serving.ordinal, loaded.serving.threads) == (tmp_path / "home", 2, 0)


@pytest.mark.parametrize("name", ["KOGPT2_KAFKA__BOOTSTRAP", "kogpt2_kafka__bootstrap"])
def test_settings_of_the_caller_do_not_reach_a_measured_worker(tmp_path, monkeypatch, name):
    """The names of settings are not case sensitive."""
    monkeypatch.setenv(name, "kafka.example:9092")
    assert name not in worker_environment(Settings(home=tmp_path), 1, tmp_path, {})


def test_a_worker_that_does_not_become_ready_is_stopped(tmp_path, monkeypatch):
    """Otherwise it would keep running and answer questions of the next measurement."""
    (tmp_path / "sleeping_worker.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = psutil.Process().children()
    with pytest.raises(RuntimeError, match="not ready after 0 s"):
        BenchWorker(Settings(home=tmp_path), {}, module="sleeping_worker", start_s=0.0)
    assert psutil.Process().children() == before


class _Client:
    """A client whose questions are answered a few at a time.

    Attributes:
        pending: ids of the unanswered questions.
        duplicates: how often the first answer of each batch is repeated.
    """

    def __init__(self, batch: int = 3) -> None:
        self.pending, self.duplicates, self._batch = [], 0, batch

    def ask(self, question):
        self.pending.append(question.id)

    def flush(self):
        pass

    def answered(self, _wait_s):
        answered, self.pending = self.pending[: self._batch], self.pending[self._batch :]
        return answered + answered[:1] * self.duplicates


def test_growth_is_measured_from_the_first_question_to_the_last_answer():
    """Memory is measured after a tenth of the answers and at the end."""
    client = _Client()
    seconds, memory = drain(client, islice(questions(["ChatbotA"], 1), 20), 20, lambda: float(len(client.pending)))
    assert seconds > 0
    assert memory == [17.0, 0.0]


def test_a_duplicate_answer_ends_the_measurement():
    """It would be counted as throughput."""
    client = _Client()
    client.duplicates = 1
    with pytest.raises(RuntimeError, match="answered twice"):
        drain(client, islice(questions(["ChatbotA"], 1), 20), 20, lambda: 0.0)


@pytest.mark.parametrize(
    ("share", "expected_ms"), [(0.5, 50), (0.95, 95), (0.99, 99), (0.991, 100), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_the_nearest_rank(share, expected_ms):
    """It is the smallest value that is not exceeded by at least this share of all values."""
    outcome = RunResult(latencies_s=[number / 1000 for number in range(100, 0, -1)])
    assert outcome.percentile_ms(share) == pytest.approx(expected_ms)


@pytest.mark.parametrize(("avatars", "picture_s", "frames_per_s"), [(20, 1.5, 45), (1, 3, 25)])
def test_the_browser_has_easier_targets_beside_a_stack(avatars, picture_s, frames_per_s):
    """Twenty avatars are seen at the benchmark's own gateway only; there nothing else runs."""
    drawn = {"avatars": avatars, "picture_ms": 1400, "fps": 50, "draw_calls": 60}
    page = {"software": drawn, "card": {**drawn, "picture_ms": 3200}, "javascript_kb": {"a": 34, "b": 150}}
    found = {what: (value, most) for what, value, most in targets({"browser": page})}
    assert found["browser, software: first picture, s"] == (1.4, picture_s)
    assert found["browser, card: first picture, s"] == (3.2, picture_s)
    assert found["browser, software: time per frame, ms"] == (20, pytest.approx(1000 / frames_per_s))
    assert found["browser: JavaScript, kB compressed"] == (184, 190)


def test_memory_that_fills_up_first_has_no_slope_afterwards() -> None:
    """Only the last two thirds count."""
    filling = [(5.0 * index, 80.0 + index) for index in range(20)]
    flat = [(100 + 5.0 * index, 100.0) for index in range(40)]
    assert slope_kb_per_hour([*filling, *flat]) == pytest.approx(0)
    assert slope_kb_per_hour([(3600.0 * hour, 80.0 + 2 * hour) for hour in range(9)]) == pytest.approx(2048)
