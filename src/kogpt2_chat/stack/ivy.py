"""Run Ivy, as bundled in pyspark, for one set of artefacts."""

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


class Together:
    """Processes that end at once when one of them, or whoever waits for them, gives up."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._ended = False
        self._lock = threading.Lock()

    def add(self, process: "subprocess.Popen[str]") -> None:
        """One more; it ends at once if the others had to already."""
        with self._lock:
            self._running.append(process)
            if self._ended:
                process.terminate()

    def end(self) -> None:
        """End all of them, and those to come."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.terminate()


@dataclass(frozen=True, slots=True)
class Coordinates:
    """One artefact of a Maven repository.

    Attributes:
        group: e.g. ``org.apache.kafka``.
        name: e.g. ``kafka_2.13``.
        version: exact, never a range.
        alone: leave its dependencies out.
        without: names of dependencies to leave out.
    """

    group: str
    name: str
    version: str
    alone: bool = False
    without: tuple[str, ...] = ()


def ivy_file(wanted: Sequence[Coordinates]) -> str:
    """The text of an ``ivy.xml`` that asks for these artefacts."""
    lines = [
        '<ivy-module version="2.0">',
        '  <info organisation="kogpt2-chat" module="jars"/>',
        '  <configurations><conf name="default"/></configurations>',
        "  <dependencies>",
    ]
    for one in wanted:
        excludes = "".join(f"<exclude name={quoteattr(name)}/>" for name in one.without)
        lines.append(
            f"    <dependency org={quoteattr(one.group)} name={quoteattr(one.name)} rev={quoteattr(one.version)} "
            f'conf="default-&gt;default" transitive="{str(not one.alone).lower()}">{excludes}</dependency>'
        )
    return "\n".join([*lines, "  </dependencies>", "</ivy-module>", ""])


def fetch(
    wanted: Sequence[Coordinates],
    java: Path,
    target: Path,
    scratch: Path,
    progress: Callable[[str], None],
    together: Together,
) -> None:
    """Fetch artefacts and their runtime dependencies into ``target``.

    Args:
        wanted: what to fetch.
        java: the ``java`` binary.
        target: folder for the jars.
        scratch: folder for Ivy's own cache; may be removed afterwards.
        progress: told each file that is fetched.
        together: the Ivy that is started joins it.

    Raises:
        Unavailable: Ivy failed; the message carries its last words.
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
        together.add(process)
        for line in process.stdout or ():
            if not line.startswith("NOTE: Picked up "):  # Java repeats its options, and a proxy's password with them
                last = [*last[-30:], line.rstrip()]
            if found := re.search(r"^downloading .*/([^/]+\.jar)", line):
                progress(f"jars: {found[1]}")
    if process.returncode != 0:
        raise Unavailable(
            f"Ivy could not fetch {wanted[0].name} {wanted[0].version} (exit {process.returncode}): "
            f"check the network and try again. Its last words: {_essence(last)}"
        )


def ivy_jar() -> Path:
    """The jar that pyspark brings along, found without importing pyspark.

    Returns:
        Path of the newest one.

    Raises:
        Unavailable: pyspark, or the jar in it, is missing.
    """
    spec = importlib.util.find_spec("pyspark")
    jars = sorted(Path(spec.origin).parent.glob("jars/ivy-*.jar")) if spec and spec.origin else []
    if not jars:
        raise Unavailable("pyspark, which brings Ivy along, is not installed: run `make setup`")
    return jars[-1]


def _essence(lines: Sequence[str]) -> str:
    telling = [
        line.strip() for line in lines if re.search(r"not found|error|exception|failed|unknown", line, re.IGNORECASE)
    ]
    return " | ".join((telling or [line for line in lines if line.strip()])[-3:])
