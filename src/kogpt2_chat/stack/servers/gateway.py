"""The gateways of the world: ``python -m world.gateway``, each with its own number."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import Program, in_checkout, python


def gateway_programs(settings: Settings) -> list[Program]:
    """Return the configured number of gateways."""
    return [
        Program(
            name=f"gateway-{ordinal}",
            group="gateway",
            command=python("-m", "world.gateway"),
            environment={"KOGPT2_WORLD__ORDINAL": str(ordinal)},
            setup=in_checkout(),
            ports={"http": settings.ports.at(settings.ports.gateway + ordinal - 1)},
            stop_rank=0,
            # 0: stopped on request; 2: unusable settings, which a restart does not change.
            final_exit_codes=(0, 2),
            stop_wait_s=6,
            memory_mb=150,
        )
        for ordinal in range(1, settings.stack.gateways + 1)
    ]
