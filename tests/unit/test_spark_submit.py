"""A Spark application and the process that waits for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.adapters import spark
from kogpt2_chat.adapters.spark import SparkSubmit
from kogpt2_chat.settings import CHECKOUT, Settings

SUBMIT = """
import sys
from pathlib import Path
from kogpt2_chat.adapters import spark
from kogpt2_chat.settings import Settings
spark._spark_home = lambda: Path(sys.argv[1])
spark.SparkSubmit(Settings(), [], Path("/java")).submit("build_dataset", {})
"""
# The last word of its command line names the file for the result.
TELLING = """#!/bin/sh
for last; do :; done
printf '{"result": {"java": "%s"}}' "$JAVA_HOME" > "$last"
"""
# Deaf to SIGTERM; its end closes the pipe, or, much later, it says that it lived on.
LAUNCHER = """#!/bin/sh
trap '' TERM
exec 3> "{pipe}"
echo started >&3
sleep 120 3>&-
echo lived on >&3
"""


def write_launcher(home: Path, script: str) -> None:
    launcher = home / "bin" / "spark-submit"
    launcher.parent.mkdir()
    launcher.write_text(script, encoding="utf-8")
    launcher.chmod(0o755)


def test_spark_runs_on_the_java_of_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java 8 may stand first on the path of a machine whose servers run on another one."""
    write_launcher(tmp_path, TELLING)
    monkeypatch.setattr(spark, "_spark_home", lambda: tmp_path)
    monkeypatch.setenv("JAVA_HOME", "/usr/lib/jvm/java-8")
    submit = SparkSubmit(Settings(), [], Path("/usr/lib/jvm/java-17"))
    assert submit.submit("build_dataset", {}) == {"java": "/usr/lib/jvm/java-17"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_an_application_does_not_outlive_who_waits_for_it(tmp_path: Path) -> None:
    """A command that is killed for lack of memory ends nothing itself; its retry would be a second driver."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    write_launcher(tmp_path, LAUNCHER.format(pipe=pipe))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])}
    command = subprocess.Popen([sys.executable, "-c", SUBMIT, str(tmp_path)], env=environment)
    with pipe.open(encoding="utf-8") as said:
        assert said.readline() == "started\n"

        command.kill()
        command.wait()

        assert said.read() == ""
