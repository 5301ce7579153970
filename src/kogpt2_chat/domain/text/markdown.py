"""Put any text into Markdown as text: it becomes neither markup nor HTML, in a table's cell or anywhere else.

Characters with a meaning are written as numeric character references. By the rules of CommonMark these never have the
meaning of the character, and renderers that work with regular expressions (such as MLflow's) do not see it either.
Backslashes would not do: those renderers ignore them before ``<`` and ``|``.
"""

import re
from typing import Final

from kogpt2_chat.domain.text.characters import one_line

_MARKUP: Final = re.compile(r"[!-+./:;<=>@\[-`{-~-]")
"""ASCII punctuation, except the comma and the question mark."""
_CUT: Final = "…"


def as_markdown(text: str, most: int = 120) -> str:
    """Return a text for a place within a line of Markdown.

    Args:
        text: any text. It is put on one line.
        most: the most characters to keep; a longer text ends with ``…``.

    Returns:
        The text with references instead of punctuation: up to six times as long.
    """
    line = one_line(text)
    line = line if len(line) <= most else line[: most - 1] + _CUT
    return _MARKUP.sub(lambda found: f"&#{ord(found.group())};", line)
