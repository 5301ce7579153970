"""Packages that a worker's process must not import."""

from typing import Final

NOT_IN_A_WORKER: Final = (
    "torch",
    "transformers",
    "sklearn",
    "deltalake",
    *(f"kogpt2_chat.{name}" for name in ("training", "evaluation", "network", "corpora", "jobs", "cli")),
)
