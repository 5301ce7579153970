"""Behaviour that all commands share: help, exit codes, error messages, output and interruption."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from kogpt2_chat.cli import app
from kogpt2_chat.demo.interruption import format_message
from kogpt2_chat.settings import CHECKOUT


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kogpt2_chat.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_help_lists_the_main_commands() -> None:
    """`--help` shows the commands of the learning loop and of the stack."""
    shown = run("--help").stdout
    for command in ("ask", "status", "stack", "ingest", "build-dataset", "finetune", "evaluate", "rollout", "settings"):
        assert command in shown


@pytest.mark.parametrize("command", ["ask", "finetune", "rollout", "build-dataset", "ingest", "status"])
def test_a_commands_help_shows_an_example(command: str) -> None:
    """Each command's `--help` contains an example."""
    assert "Example:" in run(command, "--help").stdout


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_the_readmes_table_has_every_command(page: str) -> None:
    """A missing command would not be found by the people who need it."""
    text = (CHECKOUT / page).read_text("utf-8")
    names = get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in names if f"`{name} " not in text and f"`{name}`" not in text] == []


def test_an_unknown_bot_is_a_usage_error_that_lists_the_bots() -> None:
    """Exit 2, and the message lists the known bots."""
    result = run("ask", "ChatbotZ", "안녕")
    assert result.returncode == 2
    assert "ChatbotA" in result.stderr


def test_wrong_settings_are_a_usage_error() -> None:
    """Exit 2 with the variable's name and without a traceback."""
    result = run("settings", KOGPT2_PORTS__KAFKA="kafka")
    assert result.returncode == 2
    assert "KOGPT2_PORTS__KAFKA" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unreachable_server_is_reported_without_a_traceback() -> None:
    """Exit 1 with the server's address and without a traceback."""
    result = run("ask", "ChatbotA", "안녕", KOGPT2_KAFKA__BOOTSTRAP="127.0.0.1:9", KOGPT2_KAFKA__REQUEST_TIMEOUT_S="2")
    assert result.returncode == 1
    assert "127.0.0.1:9" in result.stderr
    assert "Traceback" not in result.stderr


WAITING_DEMO = """
import signal
import threading
import kogpt2_chat.demo.run as demo
from kogpt2_chat.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore SIGINT

def wait(*, progress, **_asked):
    progress("the players ask")
    threading.Event().wait(60)

demo.run = wait
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_says_what_is_kept_and_how_to_continue(tmp_path: Path, number: signal.Signals) -> None:
    """Exit 130 without a traceback; the message says that no server is running."""
    environment = {**os.environ, "KOGPT2_HOME": str(tmp_path / "집")}
    command = [sys.executable, "-c", WAITING_DEMO, "demo"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr
        assert "the players ask" in process.stderr.readline()
        process.send_signal(number)
        message = process.stderr.read()
    assert process.returncode == 130
    assert "the demo was interrupted" in message
    assert "no server is running" in message
    assert str(tmp_path / "집") in message
    assert "`make demo` again" in message
    assert "Traceback" not in message


def test_an_interrupted_demo_says_that_the_servers_still_run() -> None:
    """The message also names the command that stops them."""
    message = format_message("/home/별/var", "the demo was interrupted.", stack_is_running=True)
    assert "the servers, and the current Airflow run" in message
    assert "To stop the servers: `make down`" in message


FAILING_DEMO = """
import kogpt2_chat.demo.run as demo
from kogpt2_chat.cli import main
from kogpt2_chat.demo.report import DemoReport
from kogpt2_chat.errors import Unavailable

def run(*, dataset, progress, **_asked):
    if dataset:
        return DemoReport(speechless=["ChatbotB"])
    with DemoReport().step("ingest_conversations (Airflow)"):
        raise Unavailable("ingest_conversations ended as failed")

demo.run = run
main()
"""


@pytest.mark.parametrize(("more", "code"), [([], 1), (["--dataset", "x.csv"], 3)])
def test_a_failed_demo_names_its_step_and_what_is_kept(tmp_path: Path, more: list[str], code: int) -> None:
    """Exit 1 with the step, what still runs and how to continue; exit 3 if a bot has no version that passed."""
    environment = {**os.environ, "KOGPT2_HOME": str(tmp_path / "집")}
    command = [sys.executable, "-c", FAILING_DEMO, "demo", *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if more:
        assert "no version of ChatbotB passed the gate" in done.stderr
        assert "Time: 0 s in total" in done.stdout
    else:
        assert "ended as failed\nThis happened in the demo's step 'ingest_conversations (Airflow)'." in done.stderr
        assert "no server is running" in done.stderr
        assert "`make demo` again" in done.stderr


@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ("settings --json >/dev/full", 1, "kogpt2-chat: the disk is full"),
        ("settings --json >&-", 0, ""),
        ("settings --json 2>&-", 0, ""),
    ],
)
def test_a_full_or_closed_output(tmp_path: Path, shell: str, code: int, message: str) -> None:
    """A full disk is an error with a message; a closed output is not an error."""
    command = f'"{sys.executable}" -m kogpt2_chat.cli {shell}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert message or not done.stderr
    if shell.endswith("2>&-"):
        json.loads(done.stdout)


def test_json_is_all_of_stdout() -> None:
    """With `--json`, all of stdout is one JSON object."""
    assert json.loads(run("settings", "--json").stdout)["ports"]["kafka"] == 9092


def test_shell_completion_is_available() -> None:
    """The installed command prints a completion script for bash."""
    program = Path(sys.executable).with_name("kogpt2-chat")
    environment = {**os.environ, "_KOGPT2_CHAT_COMPLETE": "source_bash"}
    script = subprocess.run([program], capture_output=True, text=True, timeout=60, env=environment).stdout
    assert "complete" in script
    assert "kogpt2-chat" in script
