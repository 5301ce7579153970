"""A Spark application and the process that waits for it."""

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
spark._spark_home = lambda: Path(sys.argv[1])
spark.SparkSubmit(Settings(), [], lambda: Path("/nowhere")).submit("build_dataset", {})
"""
# Deaf to SIGTERM; its end closes the pipe, or, much later, it says that it lived on.
LAUNCHER = """#!/bin/sh
trap '' TERM
exec 3> "{pipe}"
echo started >&3
sleep 120 3>&-
echo lived on >&3
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_an_application_does_not_outlive_who_waits_for_it(tmp_path: Path) -> None:
    """A command that is killed for lack of memory ends nothing itself; its retry would be a second driver."""
    pipe, launcher = tmp_path / "pipe", tmp_path / "bin" / "spark-submit"
    os.mkfifo(pipe)
    launcher.parent.mkdir()
    launcher.write_text(LAUNCHER.format(pipe=pipe), encoding="utf-8")
    launcher.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])}
    command = subprocess.Popen([sys.executable, "-c", SUBMIT, str(tmp_path)], env=environment)
    with pipe.open(encoding="utf-8") as said:
        assert said.readline() == "started\n"

        command.kill()
        command.wait()

        assert said.read() == ""


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("java.io.IOException: No space left on device", "; the disk of temporary files is full: free some space in /"),
        ("RemoteException: Cannot create file. Name node is in safe mode.", "; HDFS accepts no data; its disk is full"),
        ("File /a could only be written to 0 of the 1 minReplication nodes.", "; HDFS accepts no data; its disk is"),
        ("java.lang.OutOfMemoryError", ":\n"),
    ],
)
def test_a_full_disk_is_named_above_javas_last_lines(tmp_path: Path, said: str, hint: str) -> None:
    """Spark says it once, and fifty lines of a trace and of shutting down follow."""
    launcher = tmp_path / "bin" / "spark-submit"
    launcher.parent.mkdir()
    launcher.write_text(f"#!/bin/sh\necho '{said}'\nseq 50\nexit 1\n", encoding="utf-8")
    launcher.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])}
    program = [sys.executable, "-c", SUBMIT, str(tmp_path)]
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert f"ended with code 1 and wrote no result{hint}" in ended.stderr
