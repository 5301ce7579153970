"""A Spark application that fails, or whose caller is killed."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kogpt2_chat.adapters import spark
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import CHECKOUT, Settings

SUBMIT = """
import sys
from pathlib import Path
from kogpt2_chat.adapters import spark
from kogpt2_chat.settings import Settings
spark.spark_home = lambda: Path(sys.argv[1])
spark.SparkSubmit(Settings(), [], lambda: Path("/nowhere")).submit("build_dataset", {})
"""
# Ignores SIGTERM. If it is killed, the pipe is closed; otherwise it writes to the pipe much later.
LAUNCHER = """#!/bin/sh
trap '' TERM
exec 3> "{pipe}"
echo started >&3
sleep 120 3>&-
echo still alive >&3
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
def test_an_application_is_killed_with_its_caller(tmp_path: Path) -> None:
    """A caller that is killed (e.g. for lack of memory) cannot end it, and a retry would start a second driver."""
    pipe, launcher = tmp_path / "pipe", tmp_path / "bin" / "spark-submit"
    os.mkfifo(pipe)
    launcher.parent.mkdir()
    launcher.write_text(LAUNCHER.format(pipe=pipe), encoding="utf-8")
    launcher.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])}
    command = subprocess.Popen([sys.executable, "-c", SUBMIT, str(tmp_path)], env=environment)
    with pipe.open(encoding="utf-8") as output:
        assert output.readline() == "started\n"

        command.kill()
        command.wait()

        assert output.read() == ""


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("java.io.IOException: No space left on device", "; the disk of temporary files is full: free some space in /"),
        ("RemoteException: Cannot create file. Name node is in safe mode.", "; HDFS accepts no data; its disk is full"),
        ("File /a could only be written to 0 of the 1 minReplication nodes.", "; HDFS accepts no data; its disk is"),
        ("java.lang.OutOfMemoryError", ":\n"),
    ],
)
def test_a_full_disk_is_named_before_the_last_lines_of_the_log(tmp_path: Path, message: str, hint: str) -> None:
    """Spark logs it only once, and the lines of its shutdown follow."""
    launcher = tmp_path / "bin" / "spark-submit"
    launcher.parent.mkdir()
    launcher.write_text(f"#!/bin/sh\necho '{message}'\nseq 50\nexit 1\n", encoding="utf-8")
    launcher.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])}
    program = [sys.executable, "-c", SUBMIT, str(tmp_path)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert f"ended with code 1 and wrote no result{hint}" in done.stderr


JOB = """#!/bin/sh
for last; do :; done
folder=$(dirname "$last")
printf 'epoch 1\\nepoch 2: 손' > "$folder/progress.txt"
sleep 2
printf '실\\n' >> "$folder/progress.txt"
printf '%s\\n' "$@" > {arguments}
echo '{outcome}' > "$last"
"""


IMPORTS = """
import spark_jobs.rank as one, kogpt2_chat.artifact.tokenizer as two
from kogpt2_chat.domain.safety import crisis
print(one.__file__, two.__file__)
"""


def submit_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, outcome: str, progress: Callable[[str], None]
) -> list[str]:
    """Run a job that writes an outcome; return its command line."""
    launcher, arguments = tmp_path / "bin" / "spark-submit", tmp_path / "arguments"
    launcher.parent.mkdir()
    launcher.write_text(JOB.format(arguments=arguments, outcome=outcome), encoding="utf-8")
    launcher.chmod(0o755)
    monkeypatch.setattr(spark, "spark_home", lambda: tmp_path)
    spark.SparkSubmit(settings, [], lambda: tmp_path).submit("build_dataset", {}, progress=progress, timeout_s=60)
    return arguments.read_text(encoding="utf-8").splitlines()


def test_lines_of_a_job_are_shown_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines only, each once. In this process, Spark needs no copy of the code."""
    lines: list[str] = []
    given = submit_with(tmp_path, monkeypatch, Settings(), '{"result": {}}', lines.append)
    assert lines == ["epoch 1", "epoch 2: 손실"]
    assert not any("spark.archives" in one for one in given)


def test_a_job_says_in_a_sentence_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's log is not shown then."""
    with pytest.raises(Unavailable, match="^Spark job build_dataset: rank 1 was killed. Run it again$"):
        submit_with(tmp_path, monkeypatch, Settings(), '{"failed": "rank 1 was killed. Run it again"}', print)


def test_executors_of_a_cluster_get_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have no checkout. Their Python is that of the setting."""
    settings = Settings(spark={"master": "spark://cluster:7077", "python": "/opt/python"})
    given = submit_with(tmp_path, monkeypatch, settings, '{"result": {}}', print)
    assert any(one.startswith("spark.archives=") and one.endswith("/code.zip#kogpt2-code") for one in given)
    assert "spark.executorEnv.PYTHONPATH=kogpt2-code" in given
    assert "spark.pyspark.python=/opt/python" in given


def test_the_code_for_executors_can_be_imported_alone(tmp_path: Path) -> None:
    """With its data files, as from a checkout."""
    with zipfile.ZipFile(spark.pack_code(tmp_path / "code.zip")) as packed:
        packed.extractall(tmp_path / "code")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "code")}, cwd=tmp_path, capture_output=True, text=True,
        check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split() == [
        str(tmp_path / "code" / name) for name in ("spark_jobs/rank.py", "kogpt2_chat/artifact/tokenizer.py")
    ]
