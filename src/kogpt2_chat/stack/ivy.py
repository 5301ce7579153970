"""Run the Ivy that is bundled in pyspark to fetch one set of artifacts."""

import importlib.util
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from kogpt2_chat.domain.servers.java_proxy import with_proxy
from kogpt2_chat.errors import Unavailable


class ProcessGroup:
    """Processes that are terminated together when one of them, or their caller, fails."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._ended = False
        self._lock = threading.Lock()

    def add(self, process: "subprocess.Popen[str]") -> None:
        """Add a process; terminate it at once if the group has already been ended."""
        with self._lock:
            self._running.append(process)
            if self._ended:
                process.terminate()

    def end(self) -> None:
        """Terminate all processes, including those added later."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.terminate()


@dataclass(frozen=True, slots=True)
class Coordinates:
    """One artifact of a Maven repository.

    Attributes:
        group: e.g. ``org.apache.kafka``.
        name: e.g. ``kafka_2.13``.
        version: exact, never a range.
        jar_only: whether to leave out its dependencies.
        exclude: names of dependencies to leave out.
    """

    group: str
    name: str
    version: str
    jar_only: bool = False
    exclude: tuple[str, ...] = ()


def ivy_file(wanted: Sequence[Coordinates]) -> str:
    """Return the text of an ``ivy.xml`` that requests these artifacts."""
    lines = [
        '<ivy-module version="2.0">',
        '  <info organisation="kogpt2-chat" module="jars"/>',
        '  <configurations><conf name="default"/></configurations>',
        "  <dependencies>",
    ]
    for one in wanted:
        excludes = "".join(f"<exclude name={quoteattr(name)}/>" for name in one.exclude)
        lines.append(
            f"    <dependency org={quoteattr(one.group)} name={quoteattr(one.name)} rev={quoteattr(one.version)} "
            f'conf="default-&gt;default" transitive="{str(not one.jar_only).lower()}">{excludes}</dependency>'
        )
    return "\n".join([*lines, "  </dependencies>", "</ivy-module>", ""])


def fetch(
    wanted: Sequence[Coordinates],
    java: Path,
    target: Path,
    scratch: Path,
    progress: Callable[[str], None],
    group: ProcessGroup,
) -> None:
    """Fetch artifacts and their runtime dependencies into ``target``.

    Args:
        wanted: the artifacts to fetch.
        java: the ``java`` binary.
        target: the folder for the jars.
        scratch: the folder for Ivy's own cache; may be removed afterwards.
        progress: called with a line per file that is fetched.
        group: the group to which the Ivy process is added.

    Raises:
        Unavailable: Ivy failed; the message contains the end of its output.
    """
    target.mkdir(parents=True, exist_ok=True)
    ivy = scratch / ("ivy-" + wanted[0].name)
    ivy.mkdir(parents=True)
    (ivy / "ivy.xml").write_text(ivy_file(wanted))
    command: list[str | Path] = [
        *(java, "-XX:+UseSerialGC", f"-Divy.default.ivy.user.dir={ivy}"),
        *("-jar", ivy_jar(), "-ivy", ivy / "ivy.xml", "-cache", ivy / "cache", "-confs", "default"),
        *("-types", "jar", "bundle", "-retrieve", f"{target}/[artifact]-[revision](-[classifier]).[ext]"),
    ]
    last: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=with_proxy(os.environ),
    ) as process:
        group.add(process)
        for line in process.stdout or ():
            if not line.startswith("NOTE: Picked up "):  # Java prints its options, which may contain a proxy password
                last = [*last[-30:], line.rstrip()]
            if found := re.search(r"^downloading .*/([^/]+\.jar)", line):
                progress(f"jars: {found[1]}")
    if process.returncode != 0:
        raise Unavailable(
            f"Ivy could not fetch {wanted[0].name} {wanted[0].version} (exit {process.returncode}): "
            f"check the network and try again. Last output of Ivy: {_summary(last)}"
        )


def ivy_jar() -> Path:
    """Return the Ivy jar that pyspark contains, without importing pyspark.

    Returns:
        The path of the newest Ivy jar.

    Raises:
        Unavailable: pyspark, or the jar in it, is missing.
    """
    spec = importlib.util.find_spec("pyspark")
    jars = sorted(Path(spec.origin).parent.glob("jars/ivy-*.jar")) if spec and spec.origin else []
    if not jars:
        raise Unavailable("pyspark, which contains Ivy, is not installed: run `make setup`")
    return jars[-1]


def _summary(lines: Sequence[str]) -> str:
    relevant = [
        line.strip() for line in lines if re.search(r"not found|error|exception|failed|unknown", line, re.IGNORECASE)
    ]
    return " | ".join((relevant or [line for line in lines if line.strip()])[-3:])
