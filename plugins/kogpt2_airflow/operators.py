"""The operator behind every task: one command of the CLI, in a process of its own.

Its own process, so that torch, Spark and deltalake never live in Airflow's, and so that a task is what a
person can run by hand.
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
    """Run ``kogpt2-chat COMMAND... --json``; its result becomes the XCom, one key for each of its fields.

    Exit 3 (the gate refused) skips the task and what hangs on it: a refusal is an outcome. Exit 2 (wrong
    usage) fails without a retry, since the same words would fail again, and so does exit 4 (done, but records were
    lost), since the retry would be green. Everything else is retried.
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
            context: of the task instance.

        Returns:
            The command's JSON result.

        Raises:
            AirflowSkipException: the gate refused; the result is pushed all the same.
            AirflowFailException: wrong usage, records that were lost, or a result that is no JSON object.
            AirflowException: it failed, was killed or interrupted, and may be tried again.
        """
        words = words_of(self.command)
        self.log.info("running kogpt2-chat %s", " ".join(words))
        self._running = Command([*self.program, *words, "--json"], say=self.log.info)
        ending = self._running.run()
        result = result_of(ending)
        if ending.code == REFUSED:
            self._push(context, result or {})
            raise AirflowSkipException(ending.last_stderr_line or "the gate refused")
        if ending.code == LOST:
            self._push(context, result or {})
            raise AirflowFailException(ending.last_stderr_line or "records were lost")
        if ending.code == USAGE:
            raise AirflowFailException(ending.last_stderr_line or "wrong usage")
        if ending.code != DONE:
            raise AirflowException(f"{words[0]} {_how(ending.code)}: {ending.last_stderr_line or 'it said nothing'}")
        if result is None:
            raise AirflowFailException(f"{words[0]} ended well but printed no JSON object: found {ending.stdout[-1:]}")
        self.log.info("result: %s", json.dumps(result, ensure_ascii=False))
        return result

    def on_kill(self) -> None:
        """End the command with everything it started."""
        if self._running is not None:
            self._running.stop()

    def _push(self, context: Context, result: Mapping[str, Any]) -> None:
        for key, value in {**result, "return_value": dict(result)}.items():
            context["ti"].xcom_push(key=key, value=value)


def words_of(command: Sequence[Any]) -> list[str]:
    """The words of a command after its templates were filled in; empty ones are left out."""
    return [str(word) for word in command if word is not None and str(word) != ""]


def result_of(ending: ProcessResult) -> dict[str, Any] | None:
    """The last line of standard output that is a JSON object."""
    for line in reversed(ending.stdout):
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
    return "was interrupted" if code == 130 else f"failed with exit code {code}"  # noqa: PLR2004 - shells say 130
