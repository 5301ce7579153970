"""Tables and lines as text for a terminal, with external text printed literally.

By default rich interprets ``[...]`` as markup, raises an error at ``[/...]`` and turns ``:name:`` into emoji.
"""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from kogpt2_chat.domain.text.characters import one_line


class TerminalPage:
    """A text page to which tables and lines are appended.

    Args:
        width: width of a table in characters; lines are not wrapped.
    """

    def __init__(self, width: int) -> None:
        self._text = io.StringIO()
        self._console = Console(
            file=self._text, width=width, force_terminal=False, markup=False, emoji=False, highlight=False
        )

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
    ) -> None:
        """Add a table; a cell that is None stays empty.

        Args:
            title: shown above the table.
            columns: column names.
            rows: one cell per column, shown without control characters.
            numbers: names of the right-aligned columns.
        """
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
        for row in rows:
            table.add_row(*("" if cell is None else one_line(str(cell)) for cell in row))
        self._console.print(table)

    def line(self, text: str) -> None:
        """Add a line without wrapping it."""
        self._console.print(text, soft_wrap=True)

    def text(self) -> str:
        """Return the whole page."""
        return self._text.getvalue()
