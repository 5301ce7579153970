"""How the command line behaves, whatever the command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.demo.interruption import sentences


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kogpt2_chat.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_help_names_every_command_of_the_loop() -> None:
    """`--help` is the map."""
    shown = run("--help").stdout
    for command in ("ask", "status", "stack", "ingest", "build-dataset", "finetune", "evaluate", "rollout", "settings"):
        assert command in shown


@pytest.mark.parametrize("command", ["ask", "finetune", "rollout", "build-dataset", "ingest", "status"])
def test_a_commands_help_shows_an_example(command: str) -> None:
    """Nobody has to guess how a command is called."""
    assert "Example:" in run(command, "--help").stdout


def test_an_unknown_bot_is_a_usage_error_that_names_the_roster() -> None:
    """Exit 2, and the bots that there are."""
    ended = run("ask", "ChatbotZ", "안녕")
    assert ended.returncode == 2
    assert "ChatbotA" in ended.stderr


def test_wrong_settings_are_a_usage_error() -> None:
    """Exit 2 and the variable's name, no traceback."""
    ended = run("settings", KOGPT2_PORTS__KAFKA="kafka")
    assert ended.returncode == 2
    assert "KOGPT2_PORTS__KAFKA" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_that_is_away_is_one_sentence() -> None:
    """Exit 1, what did not answer, no traceback."""
    ended = run("ask", "ChatbotA", "안녕", KOGPT2_KAFKA__BOOTSTRAP="127.0.0.1:9", KOGPT2_KAFKA__REQUEST_TIMEOUT_S="2")
    assert ended.returncode == 1
    assert "127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr


WAITING_DEMO = """
import signal
import threading
import kogpt2_chat.demo.run as demo
from kogpt2_chat.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background deaf to ctrl-C

def wait(*, dataset, progress):
    progress("the players ask")
    threading.Event().wait(60)

demo.run = wait
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_says_what_stays_and_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    """Exit 130, plain words, no traceback, and no claim about servers that are not there."""
    environment = {**os.environ, "KOGPT2_HOME": str(tmp_path / "집")}
    command = [sys.executable, "-c", WAITING_DEMO, "demo"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr
        assert "the players ask" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "the demo was interrupted" in said
    assert "no server is running" in said
    assert str(tmp_path / "집") in said
    assert "`make demo` again" in said
    assert "Traceback" not in said


def test_an_interrupted_demo_names_the_servers_that_go_on() -> None:
    """And the command that stops them."""
    said = sentences("/home/별/var", "the demo was interrupted.", stack_is_running=True)
    assert "the servers, and the run in Airflow" in said
    assert "`make down` stops the servers" in said


FAILING_DEMO = """
import kogpt2_chat.demo.run as demo
from kogpt2_chat.cli import main
from kogpt2_chat.demo.report import Report
from kogpt2_chat.errors import Unavailable

def run(*, dataset, progress):
    if dataset:
        return Report(speechless=["ChatbotB"])
    with Report().step("ingest_conversations (Airflow)"):
        raise Unavailable("ingest_conversations ended as failed")

demo.run = run
main()
"""


@pytest.mark.parametrize(("more", "code"), [([], 1), (["--dataset", "x.csv"], 3)])
def test_a_demo_that_fails_says_where_and_what_stays(tmp_path: Path, more: list[str], code: int) -> None:
    """The step, what runs on and how to go on; a bot that nobody can talk to is no success."""
    environment = {**os.environ, "KOGPT2_HOME": str(tmp_path / "집")}
    command = [sys.executable, "-c", FAILING_DEMO, "demo", *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if more:
        assert "no version of ChatbotB passed the gate" in done.stderr
        assert "Time: 0 s in all" in done.stdout
    else:
        assert "ended as failed\nThis was the demo's step 'ingest_conversations (Airflow)'." in done.stderr
        assert "no server is running" in done.stderr
        assert "`make demo` again" in done.stderr


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("settings --json >/dev/full", 1, "kogpt2-chat: the disk is full"),
        ("settings --json >&-", 0, ""),
        ("settings --json 2>&-", 0, ""),
    ],
)
def test_an_output_that_is_full_or_closed(tmp_path: Path, shell: str, code: int, said: str) -> None:
    """A sentence where the result is lost; whoever closes an output wants none, and the work counts."""
    command = f'"{sys.executable}" -m kogpt2_chat.cli {shell}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert said or not done.stderr
    if shell.endswith("2>&-"):
        json.loads(done.stdout)


def test_json_goes_to_stdout_alone() -> None:
    """A machine can parse all of stdout."""
    assert json.loads(run("settings", "--json").stdout)["ports"]["kafka"] == 9092


def test_shell_completion_is_there() -> None:
    """The installed command gives a completion script to the shell that asks for one."""
    program = Path(sys.executable).with_name("kogpt2-chat")
    asked = {**os.environ, "_KOGPT2_CHAT_COMPLETE": "source_bash"}
    script = subprocess.run([program], capture_output=True, text=True, timeout=60, env=asked).stdout
    assert "complete" in script
    assert "kogpt2-chat" in script
