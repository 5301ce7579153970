"""Get the base model that all bots begin with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.model.base import PreparedBase


def prepare_base(*, settings: Settings, progress: Callable[[str], None]) -> "PreparedBase":
    """Import the base, or train the small one; doing it again takes it from the cache.

    Args:
        settings: which base, and where the cache is.
        progress: told what is done.

    Returns:
        The base's folder and facts.
    """
    from kogpt2_chat.model.base import prepare

    return prepare(settings, progress)
