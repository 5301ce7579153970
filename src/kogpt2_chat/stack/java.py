"""Find a Java runtime for the servers, or install the distribution's.

This module does not depend on the servers. Kafka, HDFS, Elasticsearch and Spark all run on Java 17 and 21. Spark needs
the module ``jdk.incubator.vector``, which some small repackaged runtimes lack.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import Unavailable

VERSIONS: Final = (17, 21)
MODULE: Final = "jdk.incubator.vector"
JVM_FOLDER: Final = Path("/usr/lib/jvm")
PACKAGES: Final = tuple(f"openjdk-{version}-jre-headless" for version in VERSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A runtime whose version and modules were checked."""

    home: Path
    version: int

    @property
    def program(self) -> Path:
        """The ``java`` binary."""
        return self.home / "bin" / "java"


def find_java(jvm_folder: Path = JVM_FOLDER) -> Java | None:
    """Return the first usable runtime in JAVA_HOME, PATH and the system's JVM folder; None if there is none."""
    seen: set[Path] = set()
    for home in _candidates(jvm_folder):
        if home not in seen and (java := _examine(home)):
            return java
        seen.add(home)
    return None


def ensure_java(progress: Callable[[str], None], *, install: bool = False, jvm_folder: Path = JVM_FOLDER) -> Java:
    """Find a runtime; with ``install``, install one with apt if that is possible.

    Args:
        progress: called with a line about what is being installed.
        install: whether to install a missing runtime (only as root on Debian or Ubuntu).
        jvm_folder: the system's folder of runtimes.

    Returns:
        The runtime to use.

    Raises:
        Unavailable: no usable runtime was found, and none could be installed.
    """
    java = find_java(jvm_folder)
    if java is None and install and _apt_can_install():
        _apt_install(progress)
        java = find_java(jvm_folder)
    if java is None:
        raise Unavailable(
            f"no usable Java found: expected version {' or '.join(map(str, VERSIONS))} with module {MODULE} "
            f"in JAVA_HOME, PATH or {jvm_folder}; install it (Debian, Ubuntu: sudo apt-get install {PACKAGES[0]}), "
            "or set JAVA_HOME to one"
        )
    return java


def _candidates(jvm_folder: Path) -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home).resolve()
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
        yield from _reported_home(Path(program))  # a version manager's shim is not in the runtime's own folder
    if jvm_folder.is_dir():
        yield from sorted(path.resolve() for path in jvm_folder.iterdir() if (path / "bin" / "java").exists())


def _reported_home(program: Path) -> Iterator[Path]:
    with suppress(OSError, subprocess.SubprocessError):
        if found := re.search(r"java\.home = (.+)", _output(program, "-XshowSettings:properties", "-version")):
            yield Path(found[1].strip()).resolve()


def _examine(home: Path) -> Java | None:
    """Run the runtime to learn its version and modules: a file named ``java`` may be anything."""
    program = home / "bin" / "java"
    try:
        version = _output(program, "-version")
        match = re.search(r'version "(\d+)', version)
        if match is None or int(match[1]) not in VERSIONS or MODULE not in _output(program, "--list-modules"):
            return None
    except (OSError, subprocess.SubprocessError):
        return None
    return Java(home=home, version=int(match[1]))


def _output(program: Path, *options: str) -> str:
    done = subprocess.run([program, *options], capture_output=True, text=True, errors="replace", timeout=30, check=True)
    return done.stdout + done.stderr


def _apt_can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt_install(progress: Callable[[str], None]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    progress("Java is missing: refreshing the distribution's package lists")
    apt = str(shutil.which("apt-get"))
    subprocess.run([apt, "-qq", "update"], env=environment, capture_output=True, check=False)
    for package in PACKAGES:
        progress(f"Java is missing: installing {package} with apt-get")
        command = [apt, "-qq", "install", "--yes", "--no-install-recommends", package]
        if subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0:
            return


if __name__ == "__main__":
    import sys

    try:
        print(ensure_java(lambda line: print(line, file=sys.stderr), install=True).home)  # noqa: T201
    except Unavailable as error:
        sys.exit(str(error))
