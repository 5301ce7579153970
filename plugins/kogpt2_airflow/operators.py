"""The operator that runs one command of the CLI in its own process.

A separate process keeps torch, Spark and deltalake out of Airflow's processes, and a task does exactly what a user can
run by hand.
"""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from kogpt2_airflow.process import Command, ProcessResult

DONE: Final = 0
USAGE: Final = 2
REFUSED: Final = 3
LOST: Final = 4


class JobOperator(BaseOperator):
    """Runs ``kogpt2-chat COMMAND... --json`` and pushes its result to XCom, one key per field.

    Exit 3 (the gate refused) skips the task and its downstream tasks, because a refusal is not a failure. Exit 2 (wrong
    usage) fails without a retry, because the same arguments would fail again. Exit 4 (done, but records were lost) also
    fails without a retry, because a retry would succeed and hide the loss. All other failures are retried.
    """

    template_fields: Sequence[str] = ("command",)
    ui_color = "#d8ecf3"
    program: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "kogpt2_chat.cli")

    def __init__(self, *, command: Sequence[Any], **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.command = command
        self._running: Command | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command.

        Args:
            context: context of the task instance.

        Returns:
            The command's JSON result.

        Raises:
            AirflowSkipException: the gate refused; the result is still pushed to XCom.
            AirflowFailException: wrong usage, lost records, or a result that is not a JSON object.
            AirflowException: the command failed, was killed or interrupted, and can be retried.
        """
        argv = argv_of(self.command)
        self.log.info("running kogpt2-chat %s", " ".join(argv))
        self._running = Command([*self.program, *argv, "--json"], say=self.log.info)
        finished = self._running.run()
        result = result_of(finished)
        if finished.code == REFUSED:
            self._push(context, result or {})
            raise AirflowSkipException(finished.last_stderr_line or "the gate refused")
        if finished.code == LOST:
            self._push(context, result or {})
            raise AirflowFailException(finished.last_stderr_line or "records were lost")
        if finished.code == USAGE:
            raise AirflowFailException(finished.last_stderr_line or "wrong usage")
        if finished.code != DONE:
            cause = finished.last_stderr_line or "no output on stderr"
            raise AirflowException(f"{argv[0]} {_how(finished.code)}: {cause}")
        if result is None:
            raise AirflowFailException(f"{argv[0]} succeeded but printed no JSON object: found {finished.stdout[-1:]}")
        self.log.info("result: %s", json.dumps(result, ensure_ascii=False))
        return result

    def on_kill(self) -> None:
        """Stop the command and all processes it started."""
        if self._running is not None:
            self._running.stop()

    def _push(self, context: Context, result: Mapping[str, Any]) -> None:
        for key, value in {**result, "return_value": dict(result)}.items():
            context["ti"].xcom_push(key=key, value=value)


def argv_of(command: Sequence[Any]) -> list[str]:
    """Return a rendered command's arguments as strings, without the empty ones."""
    return [str(argument) for argument in command if argument is not None and str(argument) != ""]


def result_of(finished: ProcessResult) -> dict[str, Any] | None:
    """Return the last JSON object that is a whole line of standard output, or None."""
    for line in reversed(finished.stdout):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    return "was interrupted" if code == 130 else f"failed with exit code {code}"  # noqa: PLR2004 - the shells' code for SIGINT
