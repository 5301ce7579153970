"""The serving workers: ``python -m serving``, each with its own ordinal."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import Program, in_checkout, python


def worker_programs(settings: Settings) -> list[Program]:
    """Return the configured number of workers."""
    return [
        Program(
            name=f"worker-{ordinal}",
            group="worker",
            command=python("-m", "serving"),
            environment={"KOGPT2_SERVING__ORDINAL": str(ordinal), "TOKENIZERS_PARALLELISM": "false"},
            setup=in_checkout(),
            ports={"http": worker_port(settings, ordinal)},
            stop_rank=0,
            # 0: stopped on request. A restart does not help after 2 (unusable settings) or 3 (another process took the
            # ordinal, and the two would fence each other forever).
            final_exit_codes=(0, 2, 3),
            stop_wait_s=10,
            memory_mb=600,
        )
        for ordinal in range(1, settings.stack.workers + 1)
    ]


def worker_port(settings: Settings, ordinal: int) -> int:
    """Return the port on which worker ``ordinal`` serves ``/health`` and ``/metrics``."""
    return settings.ports.at(settings.ports.worker_metrics + ordinal - 1)
