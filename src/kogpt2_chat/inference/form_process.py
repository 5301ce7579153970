"""Measure the forms of a version in another process.

On some processors a library crashes in a form: neither a worker nor a candidate's gate may end with it. The memory that
the other forms need is also free again afterwards.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from kogpt2_chat.artifact.forms import Agreement, Form, Speed
from kogpt2_chat.errors import CheckpointCorrupt, Unavailable
from kogpt2_chat.settings import Settings

SPEED, AGREEMENT = "speed", "agreement"
_TIMEOUT_S: Final = 600
_CRASHES: Final = (
    signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS,
)  # fmt: skip
"""How a library ends a process. SIGKILL is not among them: that is the kernel when memory is short, or a person."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to measure.

    Attributes:
        parent: id of the process that waits for the figures.
        kind: ``speed``: of all forms in turn; ``agreement``: of the first form.
        folder: the version's files.
        graph: its graph, which may be elsewhere.
        forms: at least one.
        side_by_side: load them to run concurrently with other bots' models, as in a worker.
        limits: the settings that :func:`kogpt2_chat.inference.loading.load_form` uses, by section and name.
    """

    parent: int
    kind: str
    folder: str
    graph: str
    forms: Sequence[Form]
    side_by_side: bool
    limits: Mapping[str, Mapping[str, int]]


class FormProcess:
    """Measures the forms of one version; each measurement runs in a new process.

    Args:
        folder: the version's files.
        graph: its graph, which may be elsewhere.
        settings: limits and threads.
        side_by_side: load the forms to run concurrently with other bots' models, as in a worker.
        command: the program, without its argument. By default Python without the working directory on its path.
    """

    def __init__(
        self, folder: Path, graph: Path, settings: Settings, *, side_by_side: bool, command: Sequence[str] = ()
    ) -> None:
        model, serving = settings.model, settings.serving
        limits = {
            "model": {"max_prompt_tokens": model.max_prompt_tokens, "max_new_tokens": model.max_new_tokens},
            "serving": {
                "max_batch": serving.max_batch, "threads": serving.threads, "short_list": serving.short_list,
            },
        }  # fmt: skip
        self._command = command or (sys.executable, "-P", "-m", "kogpt2_chat.inference.measure_forms")
        self._version: Any = {
            "folder": str(folder.resolve()), "graph": str(graph.resolve()), "side_by_side": side_by_side,
            "limits": limits,
        }  # fmt: skip

    def speeds(self, forms: Sequence[Form]) -> dict[Form, Speed | None]:
        """Time the forms, in one process if none of them ends it; None for a form that crashes.

        Raises:
            CheckpointCorrupt: a form cannot be loaded.
            Unavailable: the process failed in another way.
        """
        found = self._run(SPEED, forms)
        if found is not None:
            return {form: Speed(**found[form]) for form in forms}
        if len(forms) > 1:
            return {form: self.speeds([form])[form] for form in forms}
        return {forms[0]: None}

    def agreement(self, form: Form) -> Agreement | None:
        """Compare a form's answers with those in fp32; None if it crashes.

        Raises:
            CheckpointCorrupt: the form cannot be loaded, or the version's prompts do not fit it.
            Unavailable: the process failed in another way.
        """
        found = self._run(AGREEMENT, [form])
        return None if found is None else Agreement(**found[form])

    def _run(self, kind: str, forms: Sequence[Form]) -> dict[str, Any] | None:
        """Return what the process prints; None if it crashes."""
        order = Order(parent=os.getpid(), kind=kind, forms=forms, **self._version)
        what = f"measuring the form {' and '.join(forms)} of {order.folder} on this machine"
        try:
            done = subprocess.run(
                [*self._command, json.dumps(asdict(order))], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{what} took more than {_TIMEOUT_S} s: is it overloaded?") from error
        except OSError as error:
            raise Unavailable(f"{what} failed, because no process could be started: {error}") from error
        if -done.returncode in _CRASHES:
            if len(forms) == 1:
                by = signal.Signals(-done.returncode).name
                log.warning("form_crashes_on_this_machine", form=forms[0], measured=kind, by=by)
            return None
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2] or "is there enough memory?"
            raise Unavailable(f"{what} ended with {done.returncode}: {reason}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
        if "corrupt" in answer:
            raise CheckpointCorrupt(answer["corrupt"])
        return answer
