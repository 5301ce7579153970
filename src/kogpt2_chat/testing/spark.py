"""A scripted double of Spark. The real Spark jobs are tested in ``tests/spark``."""

import json
from collections.abc import Callable, Mapping

from kogpt2_chat.errors import InvalidInput, Unavailable

Job = Callable[[Mapping[str, object]], dict[str, object]]


class ScriptedSparkJobs:
    """Spark jobs that are plain functions.

    Args:
        job_by_script: the function to call for each script. It raises InvalidInput to reject its input.

    Attributes:
        submitted: script and arguments of every call, in order.
    """

    def __init__(self, job_by_script: Mapping[str, Job]) -> None:
        self._job_by_script = dict(job_by_script)
        self.submitted: list[tuple[str, dict[str, object]]] = []

    def submit(
        self,
        script: str,
        arguments: Mapping[str, object],
        *,
        progress: Callable[[str], None] = lambda _: None,  # noqa: ARG002 - its jobs report nothing
        timeout_s: float | None = None,  # noqa: ARG002 - nor do they take long
    ) -> dict[str, object]:
        """Call the script's function and return its result; see :class:`~kogpt2_chat.ports.SparkJobs`."""
        if script not in self._job_by_script:
            raise InvalidInput(f"no Spark job {script!r}: expected one of {sorted(self._job_by_script)}")
        read = json.loads(json.dumps(arguments))
        self.submitted.append((script, read))
        try:
            result = self._job_by_script[script](read)
        except (InvalidInput, Unavailable, AssertionError):
            raise
        except Exception as error:
            raise Unavailable(f"Spark job {script} failed: {error!r}") from error
        returned: dict[str, object] = json.loads(json.dumps(result))
        return returned
