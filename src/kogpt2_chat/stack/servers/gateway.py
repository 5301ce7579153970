"""The gateway of the world: ``python -m world.gateway``."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import Program, in_checkout, python


def gateway_programs(settings: Settings) -> list[Program]:
    """Return the gateway; none if the settings switch it off."""
    if not settings.stack.gateway:
        return []
    return [
        Program(
            name="gateway",
            group="gateway",
            command=python("-m", "world.gateway"),
            setup=in_checkout(),
            ports={"http": settings.ports.at(settings.ports.gateway)},
            stop_rank=0,
            # 0: stopped on request; 2: unusable settings, which a restart does not change.
            final_exit_codes=(0, 2),
            stop_wait_s=6,
            memory_mb=150,
        )
    ]
