"""What must not be in a worker's process."""

from typing import Final

NOT_IN_A_WORKER: Final = (
    "torch",
    "transformers",
    "sklearn",
    "deltalake",
    *(f"kogpt2_chat.{room}" for room in ("training", "evaluation", "network", "corpora", "jobs", "cli")),
)
