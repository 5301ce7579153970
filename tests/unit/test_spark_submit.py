"""A Spark application that fails, or whose caller is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.settings import CHECKOUT

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
