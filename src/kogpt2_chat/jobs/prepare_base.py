"""Get the base model that all bots begin with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.training.base import PreparedBase


def prepare_base(
    *, settings: Settings, progress: Callable[[str], None], anew: bool = False, into_checkout: bool = False
) -> "PreparedBase":
    """Import the base, or train the small one; doing it again takes it from the cache.

    Args:
        settings: which base, and where the cache is.
        progress: told what is done.
        anew: train the small base again from the corpora, whatever is there.
        into_checkout: put the one that was trained into the checkout, for everybody who gets it.

    Returns:
        The base's folder and facts.

    Raises:
        InvalidInput: a base that was not trained now is to go into the checkout.
    """
    from kogpt2_chat.training.base import prepare, rebuild
    from kogpt2_chat.training.small_key import SHIPPED

    if into_checkout and not anew:
        raise InvalidInput("only a base that is trained now can be shipped: add --rebuild")
    if not anew:
        return prepare(settings, progress)
    made = rebuild(settings, progress)
    if into_checkout:
        from kogpt2_chat.training.small_base import ship

        ship(made.folder)
        progress(f"shipped in {SHIPPED}")
    return made
