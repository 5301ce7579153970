"""Run Spark applications, each in a process group that ends with its caller.

A job is ``spark_jobs/NAME.py``. Its arguments and its result are passed in files, so that neither the length limit of a
command line nor Spark's output on the standard streams affects them.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.machine.full_disk import hdfs_hint, mentions_full_disk
from kogpt2_chat.machine.orphans import end_with_parent
from kogpt2_chat.machine.person import missing_user_message, user_has_name
from kogpt2_chat.machine.process_groups import end_group
from kogpt2_chat.settings import CHECKOUT, Settings

_STOP_TIMEOUT_S: Final = 10.0
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

    def submit(self, script: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Run ``spark_jobs/SCRIPT.py`` and wait until it ends.

        Args:
            script: the file name without its extension.
            arguments: JSON values; the script reads them from the file that its first argument names.

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
            code = self._run(path, folder, log)
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
        return outcome["result"]

    def _run(self, script: Path, folder: Path, log: Path) -> int:
        command = [*self._command(), str(script), str(folder / "arguments.json"), str(folder / "result.json")]
        timeout_s = self._settings.spark.timeout_s
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
                return process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise Unavailable(
                    f"Spark job {script.stem} was stopped after {timeout_s:.0f} s "
                    f"(KOGPT2_SPARK__TIMEOUT_S):\n{_tail(_read(log))}"
                ) from error
            finally:
                end_group(process, _STOP_TIMEOUT_S)  # the launcher, the driver, its JVM and its Python workers

    def _command(self) -> list[str]:
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
        submit = _spark_home() / "bin" / "spark-submit"
        options = [option for name, value in conf.items() for option in ("--conf", f"{name}={value}")]
        return [str(submit), "--master", settings.spark_master, *options]

    def _environment(self, folder: Path) -> dict[str, str]:
        return os.environ | {
            "JAVA_HOME": str(self._java()),  # overrides the caller's JAVA_HOME and any `java` on the PATH
            "SPARK_HOME": str(_spark_home()),
            "SPARK_LOCAL_IP": self._settings.own_host,
            "SPARK_LOCAL_DIRS": str(folder),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")]),
            "HADOOP_USER_NAME": self._settings.hdfs.user,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUTF8": "1",
        }


def _spark_home() -> Path:
    """Return the home folder of the Spark that comes with pyspark; ignore SPARK_HOME."""
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise Unavailable("pyspark is not installed in this environment: run `make setup`")
    return Path(spec.origin).parent


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
