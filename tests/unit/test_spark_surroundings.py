"""Spark beside other Javas and Sparks of the machine."""

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
def test_spark_runs_on_the_java_that_was_found_to_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Not on Java 8 in `JAVA_HOME`, nor on the first of the path: servers would start, and datasets fail."""
    other, ours = java(tmp_path / "other"), java(tmp_path / "ours")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv(variable, str(other) if variable == "JAVA_HOME" else f"{other}/bin:/usr/bin:/bin")
    with pytest.raises(Unavailable, match=f"java of {ours}"):
        SparkSubmit(Settings(home=tmp_path), jars=[], java=lambda: ours).submit("build_dataset", {})


def test_without_java_the_sentence_comes_before_spark(tmp_path: Path) -> None:
    """Which names the versions and the command, as that of the servers does."""

    def missing() -> Path:
        raise Unavailable("no usable Java found")

    with pytest.raises(Unavailable, match="no usable Java found"):
        SparkSubmit(Settings(home=tmp_path), jars=[], java=missing).submit("build_dataset", {})
