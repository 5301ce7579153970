"""Prepare the base model from which all bots are trained."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.training.base import PreparedBase


def prepare_base(
    *, settings: Settings, progress: Callable[[str], None], anew: bool = False, into_checkout: bool = False
) -> "PreparedBase":
    """Import the base, or train the small base. If the cache has the base, it is used.

    Args:
        settings: which base to use, and where the cache is.
        progress: called with a line on each step.
        anew: whether to train the small base again from the corpora, even if one exists.
        into_checkout: whether to copy the newly trained base into the checkout, to be shipped with it.

    Returns:
        The prepared base: its folder and its facts.

    Raises:
        InvalidInput: ``into_checkout`` without ``anew``.
    """
    from kogpt2_chat.training.base import prepare, rebuild
    from kogpt2_chat.training.small_key import SHIPPED

    if into_checkout and not anew:
        raise InvalidInput("only a newly trained base can be shipped: add --rebuild")
    if not anew:
        return prepare(settings, progress)
    made = rebuild(settings, progress)
    if into_checkout:
        from kogpt2_chat.training.small_base import ship

        ship(made.folder)
        progress(f"shipped in {SHIPPED}")
    return made
