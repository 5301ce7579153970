"""Tables and lines as text for a terminal, in which words from outside stay the words they are.

By itself rich takes ``[...]`` for a command, ends with an error at ``[/...]``, and makes pictures of ``:name:``.
"""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from kogpt2_chat.domain.text.characters import one_line


class TerminalPage:
    """A page that grows from top to bottom.

    Args:
        width: columns of a table; lines are not broken.
    """

    def __init__(self, width: int) -> None:
        self._text = io.StringIO()
        self._console = Console(
            file=self._text, width=width, force_terminal=False, markup=False, emoji=False, highlight=False
        )

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
    ) -> None:
        """Add a table; what is None stays empty.

        Args:
            title: above it.
            columns: their names.
            rows: a cell a column; shown without control characters.
            numbers: names of columns that are set to the right.
        """
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
        for row in rows:
            table.add_row(*("" if cell is None else one_line(str(cell)) for cell in row))
        self._console.print(table)

    def line(self, text: str) -> None:
        """Add a line, however long."""
        self._console.print(text, soft_wrap=True)

    def text(self) -> str:
        """All of it."""
        return self._text.getvalue()
