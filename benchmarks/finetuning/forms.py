"""The forms that are compared. Each adds one thing to a form above it."""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to train.

    Attributes:
        text: what the table calls it.
        recipe: fields of the recipe that differ from :data:`RECIPE`; None: the tutorial's way.
        frozen: number of lower blocks that are not trained, and neither are the embeddings; 0: all are trained.
        compiled: whether torch compiles the blocks.
        native_bf16: whether it needs a processor with bf16 instructions.
    """

    text: str
    recipe: dict[str, Any] | None = field(default_factory=dict)
    frozen: int = 0
    compiled: bool = False
    native_bf16: bool = False


RECIPE: Final[dict[str, Any]] = {
    "batch_size": 32, "examples_per_row": 4, "learning_rate": 5e-5, "warmup_fraction": 0.1, "weight_decay": 0.01,
    "label_smoothing": 0.1, "dropout": 0.0, "precision": "fp32", "seed": 20, "checkpoint_every_steps": 10**6,
}  # fmt: skip
"""The recipe from KoGPT2 in fp32, from the settings' defaults."""
_LORA: Final = {"lora_rank": 16, "learning_rate": 1e-3}
_LARGE: Final = {"batch_size": 64, "learning_rate": 1e-4}
_BF16: Final = {"precision": "bf16"}

FORMS: Final = {
    "tutorial": Form(text="the tutorial's way", recipe=None),
    "buckets": Form(
        text="buckets, answer-only logits, dropout 0.1 (the trainer before)",
        recipe={"examples_per_row": 1, "dropout": None},
    ),
    "no-dropout": Form(text="buckets, answer-only logits, no dropout", recipe={"examples_per_row": 1}),
    "packed": Form(text="packing, answer-only logits, no dropout"),
    "compiled": Form(text="the same, compiled by torch", compiled=True),
    "packed-64": Form(text="packing, 64 examples a step, rate 1e-4", recipe=_LARGE),
    "frozen": Form(text="packing, embeddings and 6 lower layers frozen", frozen=6),
    "lora": Form(text="packing, LoRA of rank 16", recipe=_LORA),
    "lora-64": Form(text="packing, LoRA of rank 16, 64 examples a step", recipe=_LORA | {"batch_size": 64}),
    "buckets-bf16": Form(
        text="buckets, dropout 0.1, bf16 (the trainer before)",
        recipe={"examples_per_row": 1, "dropout": None} | _BF16,
        native_bf16=True,
    ),
    "packed-bf16": Form(text="packing, bf16", recipe=_BF16, native_bf16=True),
    "packed-64-bf16": Form(text="packing, 64 examples a step, bf16", recipe=_LARGE | _BF16, native_bf16=True),
    "lora-bf16": Form(text="packing, LoRA, bf16", recipe=_LORA | _BF16, native_bf16=True),
    "lora-64-bf16": Form(
        text="packing, LoRA, 64 examples a step, bf16", recipe=_LORA | {"batch_size": 64} | _BF16, native_bf16=True
    ),
}
