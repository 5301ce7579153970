"""A scripted stand-in for Spark. The real jobs have their own tests in ``tests/spark``."""

from collections.abc import Callable, Mapping

Job = Callable[[Mapping[str, object]], dict[str, object]]


class ScriptedSparkJobs:
    """Spark jobs that are plain functions.

    Args:
        job_by_script: the function to call for each script.

    Attributes:
        submitted: script and arguments of every call, in order.
    """

    def __init__(self, job_by_script: Mapping[str, Job]) -> None:
        self._job_by_script = dict(job_by_script)
        self.submitted: list[tuple[str, dict[str, object]]] = []

    def submit(self, script: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Call the script's function and return its result."""
        self.submitted.append((script, dict(arguments)))
        return self._job_by_script[script](arguments)
