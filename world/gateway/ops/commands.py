"""Facts about one turn, read by commands of their own, which load libraries that are too large for a gateway."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from world.gateway.ops.denied import Denied

CLI: Final = (sys.executable, "-m", "kogpt2_chat.cli")
_USAGE: Final = 2
_BUSY_S: Final = 5.0
_SENTENCE: Final = re.compile(r"^kogpt2-chat: ", re.MULTILINE)
"""Before each sentence that the command prints on stderr. The last one is its error, the others are warnings."""

log = structlog.get_logger(__name__)


class TurnCommand:
    """A command that prints JSON about a turn.

    Args:
        name: the command.
        limit_s: how long it may take.
        at_once: how many of them run at the same time.
        waiting: how many more may wait.
        niceness: how much other programs come first, as `nice` counts it.
        program: the command line before it.
    """

    def __init__(
        self,
        name: str,
        *,
        limit_s: float,
        at_once: int = 1,
        waiting: int = 3,
        niceness: int = 0,
        program: Sequence[str] = CLI,
    ) -> None:
        self._name, self._limit_s, self._most = name, limit_s, at_once + waiting
        nice = shutil.which("nice") if niceness else None
        self._program = [*([nice, "-n", str(niceness)] if nice else []), *program]
        self._at_once = asyncio.Semaphore(at_once)
        self._asked = 0

    async def run(self, turn_id: str) -> Any:
        """Return what the command prints about a turn.

        Args:
            turn_id: the turn's id. It has been checked, so it is no option.

        Raises:
            Denied: ``busy``, ``not_found`` (the turn), ``parameter`` (the turn must not be shown), or ``unavailable``.
        """
        if self._asked >= self._most:
            raise Denied("busy", f"{self._name}: too many requests at once", _BUSY_S)
        self._asked += 1
        try:
            async with self._at_once:
                code, output, errors = await self._output(turn_id)
        finally:
            self._asked -= 1
        if code:
            raise _denied(self._name, turn_id, code, errors)
        try:
            return json.loads(output)
        except ValueError:
            log.exception("ops_command_unreadable", command=self._name, turn=turn_id)
            raise Denied("failed", f"`{self._name}` has printed something else than JSON") from None

    async def _output(self, turn_id: str) -> tuple[int, bytes, str]:
        process = await asyncio.create_subprocess_exec(
            *self._program,
            self._name,
            turn_id,
            "--json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), self._limit_s)
        except TimeoutError:
            raise Denied("unavailable", f"`{self._name}` has not ended within {self._limit_s:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        return process.returncode or 0, output, errors.decode("utf-8", "replace")


def _denied(name: str, turn_id: str, code: int, errors: str) -> Denied:
    """Return the error for a failed command. If the command's sentence is about the turn itself, there is none."""
    _, *sentences = _SENTENCE.split(errors)
    if not sentences:
        log.error("ops_command_failed", command=name, turn=turn_id, code=code)
        return Denied("failed", f"`kogpt2-chat {name} {turn_id}` has ended with exit code {code}: run it to see why")
    sentence = sentences[-1].strip()
    if code == _USAGE:
        return Denied("parameter", sentence)
    return Denied("not_found" if sentence.startswith(f"turn {turn_id} ") else "unavailable", sentence)
