"""How a task runs a command: its output, its exit code and the processes that it started."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from kogpt2_airflow.operators import JobOperator, argv_of
from kogpt2_airflow.process import Command
from tests.running import is_running

DEADLINE_S = 20.0


class FakeTaskInstance:
    """Stores the XComs that are pushed."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


class ScriptOperator(JobOperator):
    """Runs a Python script instead of the CLI."""

    program = (sys.executable, "-u", "-c")


def operator_of(script: str) -> ScriptOperator:
    return ScriptOperator(task_id="command", command=[script])


def run(script: str) -> tuple[dict[str, Any], FakeTaskInstance]:
    instance = FakeTaskInstance()
    return operator_of(script).execute({"ti": instance}), instance


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, with a deadline."""
    never = threading.Event()
    for _ in range(int(DEADLINE_S / 0.05)):
        if condition():
            return
        never.wait(0.05)
    raise AssertionError("the condition did not become true in time")


def test_the_last_json_object_is_the_result() -> None:
    """Other lines, arrays and numbers on standard output are ignored; Korean text is preserved."""
    result, _ = run(
        """print('시작'); print('{"old": 1}'); print('{"version": 3, "이유": "더 나음"}'); print('[1]'); print(5)"""
    )

    assert result == {"version": 3, "이유": "더 나음"}


def test_the_operator_adds_the_json_option() -> None:
    """The command is called with its arguments and `--json` as the last one."""
    result, _ = run("import sys, json; print(json.dumps({'argv': sys.argv[1:]}))")

    assert result == {"argv": ["--json"]}


def test_progress_is_logged_immediately(tmp_path: Path) -> None:
    """A line of standard error is forwarded before the command ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == "1단계":
            pipe.write_text("continue", encoding="utf-8")

    script = f"import sys; print('1단계', file=sys.stderr, flush=True); open({str(pipe)!r}).read(); print('2단계', file=sys.stderr)"
    result = Command([sys.executable, "-c", script], say=say).run()

    assert result.code == 0
    assert lines == ["1단계", "2단계"]


def test_large_output_does_not_block() -> None:
    """Both pipes are drained concurrently, and no line is lost."""
    lines: list[str] = []
    script = "import sys\nfor n in range(5000): print('x' * 100); print('y' * 100, file=sys.stderr)"

    result = Command([sys.executable, "-c", script], say=lines.append).run()

    assert len(result.stdout) == 5000
    assert len(lines) == 5000


def test_output_that_is_not_utf8_does_not_stop_the_task() -> None:
    """Invalid bytes in a library's output are replaced."""
    lines: list[str] = []

    result = Command([sys.executable, "-c", r"import os; os.write(2, b'\xff\xfe ok\n')"], say=lines.append).run()

    assert result.code == 0
    assert lines[0].endswith(" ok")


def test_a_refusal_by_the_gate_skips_the_task_and_keeps_the_result() -> None:
    """With exit code 3 the reasons are in the message, and the result is in XCom."""
    instance = FakeTaskInstance()
    script = "import sys; print('{\"passed\": false}'); print('refused: 반복', file=sys.stderr); sys.exit(3)"

    with pytest.raises(AirflowSkipException, match="반복"):
        operator_of(script).execute({"ti": instance})

    assert instance.xcoms == {"passed": False, "return_value": {"passed": False}}


def test_wrong_usage_is_not_retried() -> None:
    """Exit 2 fails at once, because the same arguments would fail again."""
    with pytest.raises(AirflowFailException, match="unknown bot"):
        run("import sys; print('unknown bot ChatbotZ', file=sys.stderr); sys.exit(2)")


def test_lost_records_fail_the_task_and_keep_its_result() -> None:
    """Exit 4 is not retried, because a retry would succeed and hide the loss."""
    instance = FakeTaskInstance()
    script = "import sys; print('{\"lost\": [1]}'); print('feedback/0 0 to 3', file=sys.stderr); sys.exit(4)"

    with pytest.raises(AirflowFailException, match="feedback/0 0 to 3"):
        operator_of(script).execute({"ti": instance})

    assert instance.xcoms["lost"] == [1]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "import sys; print('MLflow is down', file=sys.stderr); sys.exit(1)",
            "failed with exit code 1: MLflow is down",
        ),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("import sys; sys.exit(130)", "was interrupted"),
    ],
)
def test_every_other_failure_is_retried(script: str, message: str) -> None:
    """After exit 1, a signal or an interruption Airflow retries; the message quotes the last line of stderr."""
    with pytest.raises(AirflowException, match=message) as caught:
        run(script)

    assert type(caught.value) is AirflowException


def test_success_without_a_result_is_an_error() -> None:
    """A command that prints no JSON object is broken, so it is not retried."""
    with pytest.raises(AirflowFailException, match="no JSON object"):
        run("print('done')")


def script_with_child(folder: Path, *, ignores_sigterm: bool = False) -> str:
    """Return a script with a child process that would outlive it; both write their process ids."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" if ignores_sigterm else "pass"
    child = f"{ignore}; import os, pathlib, time; pathlib.Path({str(folder / 'child')!r}).write_text(str(os.getpid())); time.sleep(600)"
    return (
        f"{ignore}; import os, pathlib, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"pathlib.Path({str(folder / 'parent')!r}).write_text(str(os.getpid())); time.sleep(600)"
    )


def pid_in(path: Path) -> int | None:
    text = path.read_text() if path.exists() else ""
    return int(text) if text else None


@pytest.mark.parametrize("ignores_sigterm", [False, True])
def test_a_kill_ends_the_whole_group(tmp_path: Path, ignores_sigterm: bool) -> None:
    """`on_kill` ends the command and its children, also those that ignore SIGTERM."""
    operator = operator_of(script_with_child(tmp_path, ignores_sigterm=ignores_sigterm))
    raised: list[BaseException] = []

    def execute() -> None:
        try:
            operator.execute({"ti": FakeTaskInstance()})
        except AirflowException as error:
            raised.append(error)

    task = threading.Thread(target=execute)
    task.start()
    wait_until(lambda: pid_in(tmp_path / "child") is not None and pid_in(tmp_path / "parent") is not None)

    operator.on_kill()
    task.join(timeout=DEADLINE_S)

    assert not task.is_alive()
    assert "killed by signal" in str(raised[0])
    wait_until(lambda: not any(alive(pid_in(tmp_path / name)) for name in ("parent", "child")))


def test_a_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    """If an exception such as Airflow's timeout is raised while the task waits, no process is left running."""

    class TimedOutError(Exception):
        pass

    def say(_line: str) -> None:
        wait_until(lambda: pid_in(tmp_path / "child") is not None)
        raise TimedOutError

    script = f"import sys; print('working', file=sys.stderr, flush=True); {script_with_child(tmp_path)}"
    with pytest.raises(TimedOutError):
        Command([sys.executable, "-c", script], say=say).run()

    wait_until(lambda: not alive(pid_in(tmp_path / "child")))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
def test_the_command_of_a_killed_task_ends_too(tmp_path: Path) -> None:
    """After SIGKILL the task cannot clean up, but the command still ends instead of training for hours."""
    script = f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(os.getpid())); time.sleep(600)"
    runner = "import sys; from kogpt2_airflow.process import Command; Command(sys.argv[1:], say=print).run()"
    task = subprocess.Popen([sys.executable, "-c", runner, sys.executable, "-c", script])
    wait_until(lambda: pid_in(tmp_path / "child") is not None)

    task.kill()
    task.wait()

    wait_until(lambda: not alive(pid_in(tmp_path / "child")))


def test_a_child_that_outlives_the_command_is_ended(tmp_path: Path) -> None:
    """If a command ends while its child still holds the pipes, the task does not hang and the child is ended."""
    script = script_with_child(tmp_path).rpartition("; time.sleep(600)")[0]

    result = Command([sys.executable, "-c", f"{script}; print('{{}}')"], say=lambda _line: None).run()

    assert result.code == 0
    assert result.stdout == ("{}",)
    wait_until(lambda: not alive(pid_in(tmp_path / "child")))


def alive(pid: int | None) -> bool:
    return pid is not None and is_running(pid)


def test_empty_arguments_are_dropped() -> None:
    """A template that renders to nothing is not an argument; numbers from XCom become strings."""
    assert argv_of(["finetune", "ChatbotA", "", None, 3]) == ["finetune", "ChatbotA", "3"]
