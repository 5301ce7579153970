"""The serving workers: ``python -m serving``, each with a number of its own."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import Program, in_checkout, python


def worker_programs(settings: Settings) -> list[Program]:
    """As many as the settings ask for."""
    return [
        Program(
            name=f"worker-{slot}",
            group="worker",
            command=python("-m", "serving"),
            environment={"KOGPT2_SERVING__SLOT": str(slot), "TOKENIZERS_PARALLELISM": "false"},
            setup=in_checkout(),
            ports={"http": worker_port(settings, slot)},
            stop_rank=0,
            # Unusable settings stay so, and a worker whose slot another one took would only oust it in turn.
            final_exit_codes=(0, 2, 3),
            stop_wait_s=10,
            memory_mb=600,
        )
        for slot in range(1, settings.stack.workers + 1)
    ]


def worker_port(settings: Settings, slot: int) -> int:
    """Where worker ``slot`` answers ``/health`` and ``/metrics``."""
    return settings.ports.at(settings.ports.worker_metrics + slot - 1)
