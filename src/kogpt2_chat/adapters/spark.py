"""Run Spark applications, each in a process group that ends with its caller.

A job is ``spark_jobs/NAME.py``. Its arguments and its result are passed in files, so that neither the length limit of a
command line nor Spark's output on the standard streams affects them. What it appends to ``progress.txt`` next to its
result is shown while it runs. Executors of a cluster get this code as an archive: they may run on machines, or as a
user, without the checkout.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.machine.full_disk import hdfs_hint, mentions_full_disk
from kogpt2_chat.machine.orphans import end_with_parent
from kogpt2_chat.machine.person import missing_user_message, user_has_name
from kogpt2_chat.machine.process_groups import end_group
from kogpt2_chat.machine.spark_home import spark_home
from kogpt2_chat.settings import CHECKOUT, Settings

PROGRESS_FILE: Final = "progress.txt"
_STOP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.5
_CODE: Final = "kogpt2-code"
"""Folder with this code in an executor's folder."""
_LOG_TAIL_LINES: Final = 25
_DELTA_CONF: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # The default, 50 partitions for the Delta log, suits large tables; for these small ones it only costs time.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Adaptive planning pays off for shuffles of megabytes; for these small ones, planning takes longer than it saves.
    "spark.sql.adaptive.enabled": "false",
    # Compiling a stage takes longer than interpreting it for a few thousand rows.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
}


class SparkSubmit:
    """Submits applications to the configured Spark master (by default this machine) and waits for them.

    Args:
        settings: the master and Spark's resources.
        jars: jar files to add to those of Spark.
        java: returns the home folder of the Java runtime; called at each start.
    """

    def __init__(self, settings: Settings, jars: Sequence[Path], java: Callable[[], Path]) -> None:
        self._settings = settings
        self._java = java
        self._jars = jars

    def submit(
        self,
        script: str,
        arguments: Mapping[str, object],
        *,
        progress: Callable[[str], None] = lambda _: None,
        timeout_s: float | None = None,
    ) -> dict[str, object]:
        """Run ``spark_jobs/SCRIPT.py`` and wait until it ends.

        Args:
            script: the file name without its extension.
            arguments: JSON values; the script reads them from the file that its first argument names.
            progress: called with each line that the script appends to its ``progress.txt``.
            timeout_s: the job is stopped after this time; None: the setting.

        Returns:
            The result that the script wrote.

        Raises:
            InvalidInput: the job rejected its input, the script does not exist, or the current user id has no name.
            Unavailable: Spark could not be started, took too long, or the application failed.
        """
        if not user_has_name():
            raise InvalidInput(missing_user_message())
        path = CHECKOUT / "spark_jobs" / f"{script}.py"
        if not path.is_file():
            raise InvalidInput(f"no Spark job {script!r}: expected the file {path}")
        with tempfile.TemporaryDirectory(prefix="kogpt2-spark-") as name:
            folder = Path(name)
            (folder / "arguments.json").write_text(json.dumps(arguments, ensure_ascii=False), encoding="utf-8")
            log = folder / "spark.log"
            code = self._run(path, folder, log, progress, timeout_s or self._settings.spark.timeout_s)
            result = folder / "result.json"
            # Check the result, not the exit code: a JVM may fail during shutdown, after it has finished its work.
            if not result.is_file():
                output = _read(log)
                raise Unavailable(
                    f"Spark job {script} ended with code {code} and wrote no result{_hint(output)}:\n{_tail(output)}"
                )
            outcome: dict[str, dict[str, object]] = json.loads(result.read_text(encoding="utf-8"))
        if "invalid" in outcome:
            raise InvalidInput(f"Spark job {script}: {outcome['invalid']}")
        if "failed" in outcome:
            raise Unavailable(f"Spark job {script}: {outcome['failed']}")
        return outcome["result"]

    def _run(self, script: Path, folder: Path, log: Path, progress: Callable[[str], None], timeout_s: float) -> int:
        command = [*self._command(folder), str(script), str(folder / "arguments.json"), str(folder / "result.json")]
        with log.open("wb") as output, _sigterm_as_exit():
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=self._environment(folder),
                    start_new_session=True,
                    # If this process dies, kill the job at once: no process waits for it or reads its result.
                    preexec_fn=end_with_parent(os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - it takes no lock
                )
            except OSError as error:
                raise Unavailable(f"Spark could not be started ({command[0]}): {error}") from error
            try:
                return _wait(process, folder / PROGRESS_FILE, progress, timeout_s)
            except subprocess.TimeoutExpired as error:
                raise Unavailable(
                    f"Spark job {script.stem} was stopped after {timeout_s:.0f} s "
                    f"(KOGPT2_SPARK__TIMEOUT_S):\n{_tail(_read(log))}"
                ) from error
            finally:
                end_group(process, _STOP_TIMEOUT_S)  # the launcher, the driver, its JVM and its Python workers

    def _command(self, folder: Path) -> list[str]:
        settings = self._settings
        host = urlsplit(settings.hdfs_uri)
        conf = _DELTA_CONF | {
            "spark.driver.memory": settings.spark.driver_memory,
            "spark.driver.host": settings.own_host,
            "spark.driver.bindAddress": settings.own_host,
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": str(settings.spark.shuffle_partitions),
            "spark.default.parallelism": str(settings.spark.shuffle_partitions),
            "spark.sql.session.timeZone": "UTC",
            "spark.jars": ",".join(map(str, self._jars)),
            "spark.hadoop.fs.defaultFS": f"hdfs://{host.netloc}",
            "spark.hadoop.dfs.replication": "2",
            # With only two DataNodes, there is no other one to replace a failed one.
            "spark.hadoop.dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
            "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        }
        if not settings.spark_master.startswith("local"):
            # An archive is unpacked in the executor's folder, where its Python processes, and theirs, start.
            conf["spark.archives"] = f"{pack_code(folder / 'code.zip')}#{_CODE}"
            conf["spark.executorEnv.PYTHONPATH"] = _CODE
        if settings.spark.python:
            conf |= {"spark.pyspark.python": settings.spark.python, "spark.pyspark.driver.python": sys.executable}
        submit = spark_home() / "bin" / "spark-submit"
        options = [option for name, value in conf.items() for option in ("--conf", f"{name}={value}")]
        return [str(submit), "--master", settings.spark_master, *options]

    def _environment(self, folder: Path) -> dict[str, str]:
        return os.environ | {
            "JAVA_HOME": str(self._java()),  # overrides the caller's JAVA_HOME and any `java` on the PATH
            "SPARK_HOME": str(spark_home()),
            "SPARK_LOCAL_IP": self._settings.own_host,
            "SPARK_LOCAL_DIRS": str(folder),
            "PYSPARK_PYTHON": self._settings.spark.python or sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")]),
            "HADOOP_USER_NAME": self._settings.hdfs.user,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUTF8": "1",
        }


def pack_code(archive: Path) -> Path:
    """Write an archive with the packages that executors import, and return its path."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for root, package in ((CHECKOUT / "src", "kogpt2_chat"), (CHECKOUT, "spark_jobs")):
            for path in sorted((root / package).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    packed.write(path, path.relative_to(root))
    return archive


def _wait(process: subprocess.Popen[bytes], lines: Path, progress: Callable[[str], None], timeout_s: float) -> int:
    """Wait for the end of a process, and show the lines of its progress file.

    Raises:
        subprocess.TimeoutExpired: it runs longer than ``timeout_s``.
    """
    deadline, shown = time.monotonic() + timeout_s, 0
    while True:
        code = process.poll()
        text = lines.read_text(encoding="utf-8") if lines.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        for line in whole[shown:]:
            progress(line)
        shown = len(whole)
        if code is not None:
            return code
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise subprocess.TimeoutExpired(process.args, timeout_s)
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(_POLL_S, left_s))


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Make SIGTERM raise SystemExit in this block, so that the running application is ended too."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not the main thread, so no handler can be set
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-_LOG_TAIL_LINES:])


def _hint(output: str) -> str:
    """Return a hint if the output reports a full disk: Java does so long before the last lines, which are shown."""
    if mentions_full_disk(output):
        return f"; the disk of temporary files is full: free some space in {tempfile.gettempdir()}"
    return f"; HDFS accepts no data{hint}" if (hint := hdfs_hint(output)) else ""
