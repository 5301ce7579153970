"""CSV files that a person opens in a spreadsheet, such as Excel in Korean, without changed texts or run formulas.

- A byte order mark declares UTF-8; otherwise Excel shows garbled Hangul. Lines end with CR LF, as in files of Excel. A
  line break within a cell is LF only.
- A text that a spreadsheet would compute (`=1+1`, `@SUM(1)`) or convert to a number, date or time (`0101`, `1e5`,
  `010-1234-5678`, `3/4`, `3월 4일`) begins with an apostrophe. Excel shows it, but keeps the characters when the file
  is saved again. A text that itself begins with an apostrophe gets another one, so a program restores a text by
  removing one.
- A cell holds at most 32,767 UTF-16 units; Excel would move the rest to other cells. A longer text is cut and ends with
  `…`.
- Names of months in English (`may 5`) are not recognised as dates.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

MAX_CELL_UNITS: Final = 32_767
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters, including full-width ones, that spreadsheets read as the start of a formula, even after white space."""
_NUMBER: Final = re.compile(r"(?=\D*\d)(?:오전|오후|[\d\s.,:/()%$₩￦원년월일시분초eE+-]|[AaPp][Mm])+")
"""A text with a digit that consists only of what numbers, dates and times are made of."""
_LINE_BREAK: Final = re.compile(r"\r\n?")


def as_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV file.

    Args:
        header: names of the columns.
        rows: the texts of each row.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def cell(text: str) -> str:
    """Return a cell that spreadsheets show as this text."""
    text = _LINE_BREAK.sub("\n", text)
    if text.startswith("'") or text.lstrip().startswith(_FORMULA_STARTS) or _NUMBER.fullmatch(text):
        text = f"'{text}"
    return _cut(text)


def _cut(text: str) -> str:
    if len(text) <= MAX_CELL_UNITS // 2 or len(text.encode("utf-16-le")) // 2 <= MAX_CELL_UNITS:
        return text
    kept = text.encode("utf-16-le")[: 2 * (MAX_CELL_UNITS - 1)].decode("utf-16-le", "ignore")
    return f"{kept}…"
