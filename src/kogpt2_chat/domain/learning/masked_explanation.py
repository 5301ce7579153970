"""The replay in an explanation, with the names masked that players state as their own: for pages."""

from collections.abc import Mapping
from typing import Any, Final

from kogpt2_chat.domain.lake.search_masking import mask_names

_HIDDEN: Final = "names are masked in this turn, so its tokens are not shown: `kogpt2-chat explain` shows them"


def masked_explanation(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page draws of an explanation.

    Args:
        found: the JSON of ``kogpt2-chat explain``.

    Returns:
        Prompt, replay, changes and notes, with masked texts. If masking changes a text, there are no tokens:
        they would spell it.
    """
    replay = found.get("replay")
    texts = [found.get("question"), found.get("answer"), None if replay is None else replay.get("answer")]
    stated = found.get("changes") or []
    changes = [_masked(change) for change in stated]
    has_names = any(mask_names(str(text)) != text for text in texts if text) or changes != stated
    notes = [mask_names(str(note)) for note in found.get("notes") or []]
    if has_names and replay is not None:
        replay = {**replay, "answer": mask_names(str(replay.get("answer") or "")), "steps": [], "difference": None}
    return {
        "exact_prompt": found.get("exact_prompt"),
        "prompt": [] if has_names else found.get("prompt") or [],
        "replay": replay,
        "changes": changes,
        "notes": [*notes, _HIDDEN] if has_names else notes,
    }


def _masked(change: dict[str, Any]) -> dict[str, Any]:
    return {**change, **{name: mask_names(str(change.get(name) or "")) for name in ("before", "after")}}
