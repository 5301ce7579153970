"""A Spark that does what a test tells it; the real one has its own tests in ``tests/spark``."""

from collections.abc import Callable, Mapping

Job = Callable[[Mapping[str, object]], dict[str, object]]


class ScriptedSparkJobs:
    """Answers each script from a function.

    Args:
        job_by_script: what each script does.

    Attributes:
        submitted: script and arguments of every call, in order.
    """

    def __init__(self, job_by_script: Mapping[str, Job]) -> None:
        self._job_by_script = dict(job_by_script)
        self.submitted: list[tuple[str, dict[str, object]]] = []

    def submit(self, script: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Run the function that stands for the script."""
        self.submitted.append((script, dict(arguments)))
        return self._job_by_script[script](arguments)
