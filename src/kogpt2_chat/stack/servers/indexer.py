"""The live indexer: ``python -m indexer``, which fills Elasticsearch from Kafka."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.program import Program, in_checkout, python


def indexer_programs(settings: Settings) -> list[Program]:
    """Return the indexer."""
    return [
        Program(
            name="indexer",
            group="indexer",
            command=python("-m", "indexer"),
            setup=in_checkout(),
            ports={"http": settings.ports.at(settings.ports.indexer)},
            stop_rank=0,
            # 0: stopped on request; 2: unusable settings, which a restart does not change.
            final_exit_codes=(0, 2),
            stop_wait_s=6,
            memory_mb=140,
        )
    ]
