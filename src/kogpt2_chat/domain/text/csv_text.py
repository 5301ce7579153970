"""The reader for all CSV files that people write with an editor or a spreadsheet.

It accepts byte order marks anywhere, any line ends, empty columns at the right, empty lines and repeated headers. For
ambiguous input it raises an error that names the line, so that no line is lost silently.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.errors import InvalidInput

SHOWN_CHARS: Final = 40
_BYTE_ORDER_MARK: Final = "\ufeff"
_TO_DO: Final = "save it as CSV UTF-8"
_MARKS: Final = (
    (b"\xff\xfe", "looks like UTF-16, the Unicode Text of spreadsheets"),
    (b"\xfe\xff", "looks like UTF-16, the Unicode Text of spreadsheets"),
    (b"PK\x03\x04", "is a workbook (.xlsx, .ods), not a CSV file"),
    (b"\xd0\xcf\x11\xe0", "is a workbook (.xls), not a CSV file"),
)
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*+)"')
_PLAIN: Final = re.compile(r"[^,\n]*")
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_LEAST_HANGUL_SHARE: Final = 0.8
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """A row.

    Attributes:
        line: number of its first line, from 1.
        lines: number of its lines; a quoted cell may contain line breaks.
        values: its cells as written, without the empty ones beyond the last column of the header.
    """

    line: int
    lines: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """The content of a file. The lines of ``rows``, ``blank`` and ``headers`` add up to ``lines``.

    Attributes:
        name: name of the file for error messages.
        header: the column names.
        lines: number of lines of the file.
        blank: number of lines without text.
        headers: number of header lines; concatenated files have several.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[CsvRow, ...]
    lines: int
    blank: int
    headers: int

    def records(self) -> list[dict[str, str]]:
        """Return the rows as dictionaries by column name.

        Raises:
            InvalidInput: a row has fewer or more cells than the header.
        """
        for row in self.rows:
            if len(row.values) != len(self.header):
                raise InvalidInput(
                    f"{self.name}, line {row.line}: expected {len(self.header)} columns "
                    f"({','.join(self.header)}), found {len(row.values)}: {shown(','.join(row.values))}"
                )
        return [dict(zip(self.header, row.values, strict=True)) for row in self.rows]


def read_table(content: bytes, *, name: str, header: Sequence[str]) -> CsvTable:
    """Parse a CSV file with a known header.

    Args:
        content: content of the file.
        name: name of the file for error messages.
        header: the expected column names, in this order.

    Returns:
        The rows with their line numbers.

    Raises:
        InvalidInput: the file is not UTF-8, has another header, or has a quoted cell that is not closed properly.
    """
    text = decode(content, name)
    found = list(_rows(text, name, len(header)))
    blank = [row for row in found if not any(value.strip() for value in row.values)]
    filled = [row for row in found if any(value.strip() for value in row.values)]
    _check_header(filled[0].values if filled else (), name, header)
    rows = [row for row in filled if not _is_header(row.values, header)]
    return CsvTable(
        name=name,
        header=tuple(header),
        rows=tuple(rows),
        lines=text.count("\n") + bool(text and not text.endswith("\n")),
        blank=sum(row.lines for row in blank),
        headers=sum(row.lines for row in filled if _is_header(row.values, header)),
    )


def decode(content: bytes, name: str) -> str:
    r"""Decode a UTF-8 file, remove byte order marks and convert line ends to ``\n``.

    Args:
        content: content of the file.
        name: name of the file for error messages.

    Raises:
        InvalidInput: the file is not UTF-8 text; the message names the likely encoding or file type.
    """
    for mark, what in _MARKS:
        if content.startswith(mark):
            raise InvalidInput(f"{name} is not UTF-8: it {what}; {_TO_DO}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{name} is not UTF-8 (line {line}, byte {error.start}){_guess(content)}; {_TO_DO}"
        ) from error
    if "\0" in text:
        raise InvalidInput(f"{name} is not UTF-8: it has NUL bytes and may be UTF-16; {_TO_DO}")
    return text.replace(_BYTE_ORDER_MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def shown(value: str) -> str:
    """Return a value for a message: quoted, on one line, cut, with invisible characters as ``<U+XXXX>``."""
    return f"'{_visible(value)}'"


def _visible(value: str) -> str:
    cut = value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "…"
    return "".join(
        f"<U+{ord(char):04X}>" if char != " " and unicodedata.category(char) in _INVISIBLE else char for char in cut
    )


def _guess(content: bytes) -> str:
    if b"\0" in content:
        return ": it looks like UTF-16, the Unicode Text of spreadsheets"
    try:
        foreign = [character for character in content.decode("cp949") if not character.isascii()]
    except UnicodeDecodeError:
        return ""
    hangul = sum("가" <= character <= "힣" for character in foreign)
    if hangul < _LEAST_HANGUL_SHARE * len(foreign):
        return ""
    return ": it looks like CP949, the plain CSV of Korean spreadsheets (iconv -f CP949 -t UTF-8)"


def _rows(text: str, name: str, width: int) -> Iterator[CsvRow]:
    position, line = 0, 1
    while position < len(text):
        values: list[str] = []
        first_line = line
        while True:
            value, position = _cell(text, position, f"{name}, line {line}", width)
            values.append(value)
            line += value.count("\n")
            if text[position : position + 1] != ",":
                break
            position += 1
        position += 1
        yield CsvRow(line=first_line, lines=line - first_line + 1, values=_without_empty_columns(values, width))
        line += 1


def _cell(text: str, position: int, where: str, width: int) -> tuple[str, int]:
    """Return a cell and the position after it, which is a comma, a line end or the end of the text."""
    if text[position : position + 1] != '"':
        end = _PLAIN.match(text, position).end()  # type: ignore[union-attr]
        return text[position:end], end
    found = _QUOTED.match(text, position)
    if found is None:
        raise InvalidInput(f"{where}: a quoted cell begins here and has no closing quote: {_excerpt(text, position)}")
    if text[found.end() : found.end() + 1] not in {"", ",", "\n"}:
        raise InvalidInput(
            f"{where}: a quoted cell begins here, and text follows its closing quote: {_excerpt(text, position)}. "
            'Close the quote, or write each quote inside a quoted cell twice ("")'
        )
    value = found.group(1).replace('""', '"')
    if any(len(_without_empty_columns(inner.split(","), width)) == width for inner in value.split("\n")[1:-1]):
        raise InvalidInput(
            f"{where}: a quoted cell begins here and contains lines that look like rows: {_excerpt(text, position)}. "
            "Close the quote, or write the cell on one line"
        )
    return value, found.end()


def _excerpt(text: str, position: int) -> str:
    end = text.find("\n", position)
    return shown(text[position : end if end >= 0 else len(text)][: SHOWN_CHARS + 1])


def _without_empty_columns(values: Sequence[str], width: int) -> tuple[str, ...]:
    kept = list(values)
    while len(kept) > width and not kept[-1].strip():
        kept.pop()
    return tuple(kept)


def _is_header(values: Sequence[str], header: Sequence[str]) -> bool:
    return [value.strip() for value in values] == list(header)


def _check_header(values: Sequence[str], name: str, header: Sequence[str]) -> None:
    if _is_header(values, header):
        return
    found = ",".join(values)
    separators = [
        word for char, word in _OTHER_SEPARATORS.items() if len(values) == 1 and _is_header(found.split(char), header)
    ]
    hint = f": the cells are separated by {separators[0]}, expected commas; {_TO_DO}" if separators else ""
    raise InvalidInput(f"{name}: expected the header {','.join(header)}, found {_visible(found) or 'nothing'}{hint}")
