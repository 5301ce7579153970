"""Spark applications, each a process group of its own that ends with its caller.

A job is ``spark_jobs/NAME.py``. Its arguments and its result travel through files, so that neither the
command line nor Spark's chatter on the standard streams limits them.
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
from kogpt2_chat.full_disk import hdfs_hint, names_full_disk
from kogpt2_chat.orphans import ended_with
from kogpt2_chat.person import has_name, nameless_user
from kogpt2_chat.settings import CHECKOUT, Settings

_STOP_TIMEOUT_S: Final = 10.0
_LOG_TAIL_LINES: Final = 25
_DELTA_CONF: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Made for big tables: 50 partitions of the log and 200 of each shuffle cost more than our data does.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Replanning at run time pays for shuffles of megabytes; ours are smaller than the replanning.
    "spark.sql.adaptive.enabled": "false",
    # Compiling a stage takes longer than interpreting it over a few thousand rows.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
}


class SparkSubmit:
    """Submits to the master of the settings (this machine's cores by default) and waits for the end.

    Args:
        settings: which master, and what it takes.
        jars: beside Spark's own.
        java: gives the runtime's home; asked at each start.
    """

    def __init__(self, settings: Settings, jars: Sequence[Path], java: Callable[[], Path]) -> None:
        self._settings = settings
        self._java = java
        self._jars = jars

    def submit(self, script: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Run ``spark_jobs/SCRIPT.py`` to its end.

        Args:
            script: file name without its ending.
            arguments: JSON values; the script reads them from the file named by its first argument.

        Returns:
            What the script wrote as its result.

        Raises:
            InvalidInput: the job refused its input, or there is no such script.
            Unavailable: Spark could not be started, took too long, or the application died.
        """
        if not has_name():
            raise InvalidInput(nameless_user())
        path = CHECKOUT / "spark_jobs" / f"{script}.py"
        if not path.is_file():
            raise InvalidInput(f"no Spark job {script!r}: expected the file {path}")
        with tempfile.TemporaryDirectory(prefix="kogpt2-spark-") as name:
            folder = Path(name)
            (folder / "arguments.json").write_text(json.dumps(arguments, ensure_ascii=False), encoding="utf-8")
            log = folder / "spark.log"
            code = self._run(path, folder, log)
            result = folder / "result.json"
            # The result counts, not the exit code: a JVM that stumbles while it shuts down has done its work.
            if not result.is_file():
                said = _read(log)
                raise Unavailable(
                    f"Spark job {script} ended with code {code} and no result{_hint(said)}:\n{_tail(said)}"
                )
            outcome: dict[str, dict[str, object]] = json.loads(result.read_text(encoding="utf-8"))
        if "invalid" in outcome:
            raise InvalidInput(f"Spark job {script}: {outcome['invalid']}")
        return outcome["result"]

    def _run(self, script: Path, folder: Path, log: Path) -> int:
        command = [*self._command(), str(script), str(folder / "arguments.json"), str(folder / "result.json")]
        timeout_s = self._settings.spark.timeout_s
        with log.open("wb") as output, _ending_with_us():
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=self._environment(folder),
                    start_new_session=True,
                    # Killed at once: nobody is left who would wait for it, or read its result.
                    preexec_fn=ended_with(os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - it takes no lock
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
                _end(process)

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
            # A DataNode that has just died is not worth replacing on a cluster of two.
            "spark.hadoop.dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
            "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        }
        submit = _spark_home() / "bin" / "spark-submit"
        options = [option for name, value in conf.items() for option in ("--conf", f"{name}={value}")]
        return [str(submit), "--master", settings.spark_master, *options]

    def _environment(self, folder: Path) -> dict[str, str]:
        return os.environ | {
            "JAVA_HOME": str(self._java()),  # whatever the caller's says, or the first on the path is
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
    """The Spark that came with pyspark, whatever SPARK_HOME says of another one."""
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise Unavailable("pyspark is not installed in this environment: run `make setup`")
    return Path(spec.origin).parent


@contextmanager
def _ending_with_us() -> Iterator[None]:
    """SIGTERM ends this process by an exception, so that the application it waits for is ended, too."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not the main thread: who owns it decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process group: the launcher, the driver, its JVM and its Python workers."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signum)
        except ProcessLookupError:
            break
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _tail(said: str) -> str:
    return "\n".join(said.splitlines()[-_LOG_TAIL_LINES:])


def _hint(said: str) -> str:
    """What to look at when a log names a full disk: Java says so long before its last lines."""
    if names_full_disk(said):
        return f"; the disk of temporary files is full: make room in {tempfile.gettempdir()}"
    return f"; HDFS took nothing{hint}" if (hint := hdfs_hint(said)) else ""
