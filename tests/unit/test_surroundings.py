"""Unusual environments: proxies, user ids without a name, and terminals without UTF-8."""

import os
import subprocess
import sys

import pytest
import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.servers.no_proxy import without_proxy
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.machine import person
from kogpt2_chat.settings import Settings, load_settings
from tests.conftest import pytest_configure

PROXY = "http://127.0.0.1:9"


def test_the_hosts_of_the_stack_are_added_to_no_proxy() -> None:
    """Both spellings get the same value, the entries of the user are kept, and a second call changes nothing."""
    found = without_proxy({"no_proxy": "intra.example", "NO_PROXY": "10.0.0.0/8, intra.example"}, ("192.168.0.5",))
    assert found["no_proxy"] == found["NO_PROXY"] == "intra.example,10.0.0.0/8,localhost,127.0.0.1,192.168.0.5"
    assert without_proxy(found, ("192.168.0.5",)) == found


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_a_star_in_no_proxy_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`*` disables proxies only if it is the sole entry, so nothing is added to it."""
    found = without_proxy({"http_proxy": PROXY, name: " * "}, ("10.0.0.5",))
    assert found == {"no_proxy": "*", "NO_PROXY": "*"}
    monkeypatch.setattr(os, "environ", {"http_proxy": PROXY, **found})
    assert requests.utils.get_environ_proxies("http://mlflow.corp:5000") == {}
    assert without_proxy({"no_proxy": "a,*"}, ())["no_proxy"] == "a,*,localhost,127.0.0.1"


@pytest.mark.parametrize("adapter", ["files", "index", "registry", "airflow"])
def test_no_adapter_uses_a_proxy_for_the_stack(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other hosts are still reached through `http_proxy`."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("http_proxy", PROXY)
    getattr(bootstrap, adapter)(Settings(stack={"host": "127.0.0.2"}))
    assert requests.utils.get_environ_proxies("http://127.0.0.2:5000") == {}
    assert requests.utils.get_environ_proxies("http://hub.example")["http"] == PROXY


def test_a_user_id_without_a_name_gets_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that is started with `--user` may have neither a variable nor an entry in /etc/passwd for it."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert person.system_user() == "user-54321"
    assert not person.user_has_name()
    assert "user id 54321 has no entry in /etc/passwd" in person.missing_user_message()


def test_spark_is_not_started_for_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one sentence instead of a JVM's stack trace."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(InvalidInput, match="Hadoop and Spark do not start without a user name"):
        bootstrap.spark(Settings()).submit("build_dataset", {})


def cli(code: str, *arguments: bytes, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    """Run a command that the test defines through the CLI's `output.run`."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = f"from kogpt2_chat.cli import output\n{code}\noutput.run(command)"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, check=False, timeout=60
    )


def test_characters_that_a_terminal_cannot_show_are_replaced() -> None:
    """CP949 has neither ▁ nor 😊. Printing the result must not fail after the work is done."""
    done = cli("def command(): output.show({}, '▁안녕😊', as_json=False)", encoding="cp949")
    assert (done.returncode, done.stdout) == (0, "?안녕?\n".encode("cp949"))


def test_json_escapes_characters_that_a_terminal_cannot_show() -> None:
    """With UTF-8 they are not escaped."""
    done = cli("def command(): output.show({'answer': '안녕😊'}, '', as_json=True)", encoding="cp949")
    assert (done.returncode, done.stdout) == (0, b'{"answer": "\\uc548\\ub155\\ud83d\\ude0a"}\n')
    assert (
        cli("def command(): output.show({'answer': '안녕'}, '', as_json=True)").stdout
        == '{"answer": "안녕"}\n'.encode()
    )


def test_arguments_in_another_encoding_are_refused() -> None:
    """The command does not run. The exit code is 2, and a message names the argument."""
    done = cli("def command(): print('done')", b"ask", "안녕".encode("cp949"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert "argument 2, '" in done.stderr.decode()
    assert "is not UTF-8 text" in done.stderr.decode()


def test_tests_ignore_the_callers_settings(tmp_path, monkeypatch):
    """`.env` may name production servers, and some tests crash workers. With `KOGPT2_TEST_STACK`, it is read."""
    (tmp_path / ".env").write_text("KOGPT2_KAFKA__BOOTSTRAP=kafka.example:9092\n")
    monkeypatch.chdir(tmp_path)
    for variables, expected in (({}, ""), ({"KOGPT2_TEST_STACK": "1"}, "kafka.example:9092")):
        monkeypatch.setattr(os, "environ", {"KOGPT2_PORTS__OFFSET": "7", **variables})
        pytest_configure()
        assert load_settings().kafka.bootstrap == expected
