"""Fetching the servers' jars: proxies, interruptions, failed downloads and folders that cannot be written."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kogpt2_chat.domain.servers.java_proxy import OPTIONS, with_proxy
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.stack.jars import SETS, fetch_sets
from kogpt2_chat.stack.java import find_java

PROXY = "http://proxy.example:3128"


def options(**environment: str) -> str:
    return with_proxy(environment).get(OPTIONS, "")


def test_java_uses_the_proxy_of_the_environment() -> None:
    """The variables may have lower or upper case, and name a proxy for one scheme or for all, as for pip."""
    assert '-Dhttps.proxyHost="proxy.example" -Dhttps.proxyPort="3128"' in options(https_proxy=PROXY)
    assert options(HTTPS_PROXY=PROXY) == options(https_proxy=PROXY) == options(https_proxy="proxy.example:3128")
    assert "-Dhttp.proxyHost" not in options(https_proxy=PROXY)
    assert options(all_proxy=PROXY) == options(http_proxy=PROXY, https_proxy=PROXY)
    assert '-Dhttps.proxyPort="443"' in options(https_proxy="https://proxy.example")


def test_hosts_that_need_no_proxy_are_passed_to_java() -> None:
    """Java has its own format for them."""
    found = options(https_proxy=PROXY, no_proxy=".corp.example, maven.example")
    assert found.endswith('-Dhttp.nonProxyHosts="localhost|127.*|*.corp.example|maven.example|*.maven.example"')


def test_a_proxys_password_may_contain_spaces_and_quotes() -> None:
    """They are quoted, so that it stays one option."""
    found = options(https_proxy="http://kim:p%40%22s%20s@proxy.example:3128")
    assert '-Dhttp.proxyUser="kim" -Dhttp.proxyPassword="p@"\'"\'"s s"' in found


@pytest.mark.parametrize(
    "environment",
    [{}, {"https_proxy": ""}, {"https_proxy": PROXY, OPTIONS: "-Dhttps.proxyHost=x"}, {"all_proxy": "socks5://x:1"}],
)
def test_without_a_proxy_or_with_one_for_java_the_environment_is_unchanged(environment: dict[str, str]) -> None:
    """A proxy in the Java options takes precedence. Other Java options are kept."""
    assert with_proxy(environment) == environment
    assert options(https_proxy=PROXY, **{OPTIONS: "-Xmx1g"}).startswith("-Xmx1g -Dhttps.proxyHost")


def fake_ivy(folder: Path, body: str) -> Path:
    path = folder / "java"
    path.write_text(f'#!/bin/sh\necho $$ >>"{folder}/started"\n{body}\n')
    path.chmod(0o755)
    return path


def started(folder: Path) -> list[int]:
    path = folder / "started"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


# The program sets SIGINT's handler, because processes that a shell starts in the background ignore the signal.
WAITING = """
import signal, sys
from pathlib import Path
from kogpt2_chat.stack import fetch
from kogpt2_chat.stack.java import Java

signal.signal(signal.SIGINT, signal.default_int_handler)

class FakeJava(Java):
    program = Path(sys.argv[1])

sys.exit(fetch.main(lambda _: FakeJava(home=Path("/"), version=17)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_ends_every_download_and_starts_no_other(tmp_path: Path, number: signal.Signals) -> None:
    """Running downloads are killed, and queued ones never start."""
    java = fake_ivy(tmp_path, "exec sleep 600")
    environment = {**os.environ, "KOGPT2_CACHE": str(tmp_path / "cache"), "KOGPT2_ENV_FILE": ""}
    with subprocess.Popen([sys.executable, "-c", WAITING, java], env=environment) as process:
        while len(started(tmp_path)) < 4:
            assert process.poll() is None
            threading.Event().wait(0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) == 130
    assert len(started(tmp_path)) == 4
    for pid in started(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_failed_download_ends_the_others(tmp_path: Path) -> None:
    """The error quotes Ivy, but not Java's note about its options, which may contain a password."""
    java = fake_ivy(
        tmp_path,
        'case "$*" in *ivy-kafka*) echo "NOTE: Picked up JDK_JAVA_OPTIONS: secret"; echo "module not found"; exit 1;; esac\n'
        "exec sleep 600",
    )
    with pytest.raises(Unavailable, match="could not fetch kafka_2.13 .*: module not found$") as raised:
        fetch_sets(set(SETS), java, tmp_path, lambda _: None)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"KOGPT2_CACHE": "/dev/null/x"}, 1, "the jars could not be stored: .*set KOGPT2_CACHE to another folder"),
        ({"KOGPT2_PORTS__OFFSET": "many"}, 2, "KOGPT2_PORTS__OFFSET"),
    ],
)
def test_a_wrong_folder_or_setting_is_reported_without_a_traceback(
    tmp_path: Path, more: dict[str, str], code: int, message: str
) -> None:
    """`make setup` runs this program, so newcomers see its errors first."""
    environment = {**os.environ, **more, "KOGPT2_ENV_FILE": ""}
    done = subprocess.run(
        [sys.executable, "-c", WAITING, fake_ivy(tmp_path, "exit 1")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr)


def test_the_shim_of_a_version_manager_is_asked_for_its_java_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With asdf and jenv, `java` on PATH is a script, and the runtime is elsewhere. Its output may not be UTF-8."""
    home = tmp_path / "자바 17"
    for path, body in (
        (
            home / "bin" / "java",
            "case $1 in -version) echo 'version \"17.0.1\"' >&2;; *) echo jdk.incubator.vector;; esac",
        ),
        (tmp_path / "shims" / "java", f"printf '\\310\\353\\n    java.home = {home}\\n' >&2"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{os.environ['PATH']}")
    found = find_java(tmp_path / "none")
    assert found is not None
    assert found.home == home
