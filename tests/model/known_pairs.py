"""Add known pairs to a version's folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from kogpt2_chat.artifact.card import CARD_FILE, file_sha256
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.inference.nearest import Known
from kogpt2_chat.inference.uncertain import FILE, Thresholds, as_text


def add_known(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs that a version has learned, and their hash on its card."""
    known = [Known(question=pair.question, answer=pair.answer, source="seed") for pair in pairs]
    text = as_text(Thresholds(least_logprob=-1.0, least_likeness=0.2, dev_pairs=1), known)
    (folder / FILE).write_text(text, "utf-8")
    card = json.loads((folder / CARD_FILE).read_text("utf-8"))
    card["files"][FILE] = file_sha256(folder / FILE)
    (folder / CARD_FILE).write_text(json.dumps(card), "utf-8")
