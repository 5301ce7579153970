"""Find texts that repeat themselves."""

import re
from typing import Final

# A phrase of up to four words three times in a row, or up to twelve letters five times in a row.
_WORD_LOOP: Final = re.compile(r"(?:^| )(\S+(?: \S+){0,3})(?: \1){2,}(?: |$)")
_LETTER_LOOP: Final = re.compile(r"([^\s.!?~ㅋㅎㅠㅜ]{1,12}?)\1{4,}")


def is_loop(text: str) -> bool:
    """Check whether a text repeats the same few words or letters; laughter (ㅋㅋㅋ) is not a loop."""
    return _WORD_LOOP.search(text) is not None or _LETTER_LOOP.search(text) is not None
