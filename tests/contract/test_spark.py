"""Contract of the port SparkJobs, on the double and on a real Spark."""

import shutil
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import SparkJobs
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.spark import ScriptedSparkJobs
from tests.contract import spark_application


@pytest.fixture(params=["double", pytest.param("spark", marks=pytest.mark.slow)])
def spark_jobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SparkJobs:
    """Return a port whose only application is the tests' own; Spark needs Java and no server."""
    if request.param == "double":
        return ScriptedSparkJobs({"echo": lambda arguments: spark_application.echo(arguments, lambda rows: rows)})
    from kogpt2_chat import bootstrap
    from kogpt2_chat.adapters import spark

    (tmp_path / "spark_jobs").mkdir()
    shutil.copy(spark_application.__file__, tmp_path / "spark_jobs" / "echo.py")
    monkeypatch.setattr(spark, "CHECKOUT", tmp_path)
    return bootstrap.spark(Settings())


def test_arguments_and_result_are_json(spark_jobs: SparkJobs) -> None:
    """Both may be Korean, nested, and longer than a command line; a tuple arrives as a list."""
    sent = {"인사": ("안녕하세요", None, 1.5), "긴 말": "별" * 200_000}
    received = sent | {"인사": ["안녕하세요", None, 1.5]}

    assert spark_jobs.submit("echo", {"text": sent}) == {"text": received, "rows": len(str(received))}


def test_arguments_that_are_not_json_are_refused(spark_jobs: SparkJobs) -> None:
    """A path or a set is an error of the caller, which is raised before the application starts."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        spark_jobs.submit("echo", {"reject": Path("/lake")})


def test_a_job_can_reject_its_input_with_a_message(spark_jobs: SparkJobs) -> None:
    """The caller gets the message unchanged."""
    with pytest.raises(InvalidInput, match="질문이 없어요: expected at least one row"):
        spark_jobs.submit("echo", {"reject": "질문이 없어요: expected at least one row"})


def test_a_failed_application_is_unavailable(spark_jobs: SparkJobs) -> None:
    """The message names the job and the error."""
    with pytest.raises(Unavailable, match="(?s)Spark job echo.*RuntimeError.*no such table"):
        spark_jobs.submit("echo", {"fail": "no such table"})


def test_an_unknown_job_is_invalid_input(spark_jobs: SparkJobs) -> None:
    """Nothing is started."""
    with pytest.raises(InvalidInput, match="no Spark job 'missing'"):
        spark_jobs.submit("missing", {})
