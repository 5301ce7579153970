"""Measure the forms of a version in another process.

On some processors a library crashes in a form: the worker must not end with it, and a candidate's gate neither. The
memory that the other forms need is also free again afterwards.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from kogpt2_chat.artifact.forms import Agreement, Form, Speed
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.settings import Settings

SPEED, AGREEMENT = "speed", "agreement"
_TIMEOUT_S: Final = 600
_CRASHES: Final = (signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE)
"""How a library ends a process. SIGKILL is not among them: that is the kernel when memory is short, or a person."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What to measure.

    Attributes:
        kind: ``speed``: of all forms in turn; ``agreement``: of the first form.
        folder: the version's files.
        graph: its graph, which may be elsewhere.
        forms: at least one.
        side_by_side: load them to run concurrently with other bots' models, as in a worker.
        limits: the settings that an engine depends on, by section and name.
    """

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
        command: the program, without its argument.
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
        self._command = command or (sys.executable, "-m", "kogpt2_chat.inference.measure_forms")
        self._place: Any = {
            "folder": str(folder.resolve()), "graph": str(graph.resolve()), "side_by_side": side_by_side,
            "limits": limits,
        }  # fmt: skip

    def speeds(self, forms: Sequence[Form]) -> dict[Form, Speed | None]:
        """Time the forms, in one process if none of them ends it; None for a form that crashes.

        Raises:
            CheckpointCorrupt: a form cannot be loaded.
            RuntimeError: the process failed in another way.
        """
        found = self._run(Measured(kind=SPEED, forms=forms, **self._place))
        if found is not None:
            return {form: Speed(**found[form]) for form in forms}
        if len(forms) > 1:
            return {form: self.speeds([form])[form] for form in forms}
        return {forms[0]: None}

    def agreement(self, form: Form) -> Agreement | None:
        """Compare a form's answers with those in fp32; None if it crashes.

        Raises:
            CheckpointCorrupt: the form cannot be loaded, or the version's prompts do not fit it.
            RuntimeError: the process failed in another way.
        """
        found = self._run(Measured(kind=AGREEMENT, forms=[form], **self._place))
        return None if found is None else Agreement(**found[form])

    def _run(self, measured: Measured) -> dict[str, Any] | None:
        """Return what the process prints; None if it crashes."""
        what = f"measuring the forms {', '.join(measured.forms)} of {measured.folder}"
        try:
            done = subprocess.run(
                [*self._command, json.dumps(asdict(measured))], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{what} took more than {_TIMEOUT_S} s: is this machine overloaded?") from error
        if -done.returncode in _CRASHES:
            log.warning(
                "form_crashes_on_this_machine", forms=list(measured.forms), measured=measured.kind,
                by=signal.Signals(-done.returncode).name,
            )  # fmt: skip
            return None
        if done.returncode:
            raise RuntimeError(f"{what} failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
        if "corrupt" in answer:
            raise CheckpointCorrupt(answer["corrupt"])
        return answer
