"""The Java runtime that Spark uses."""

from pathlib import Path

import pytest

from kogpt2_chat.adapters.spark import SparkSubmit
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings

FAKE = '#!/bin/sh\necho "java of ${0%/bin/java}"\nexit 1\n'


def java(home: Path) -> Path:
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(FAKE)
    path.chmod(0o755)
    return home


@pytest.mark.parametrize("variable", ["JAVA_HOME", "PATH"])
def test_spark_uses_the_java_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Neither `JAVA_HOME` nor the first Java on the path is used: it may have a version that Spark does not support."""
    other, ours = java(tmp_path / "other"), java(tmp_path / "ours")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv(variable, str(other) if variable == "JAVA_HOME" else f"{other}/bin:/usr/bin:/bin")
    with pytest.raises(Unavailable, match=f"java of {ours}"):
        SparkSubmit(Settings(home=tmp_path), jars=[], java=lambda: ours).submit("build_dataset", {})


def test_without_java_spark_is_not_started(tmp_path: Path) -> None:
    """The error is that of the search for Java, which names the supported versions and the command to install one."""

    def missing() -> Path:
        raise Unavailable("no usable Java found")

    with pytest.raises(Unavailable, match="no usable Java found"):
        SparkSubmit(Settings(home=tmp_path), jars=[], java=missing).submit("build_dataset", {})
