"""CSV files as people write them with an editor or a spreadsheet: the one reader of them all.

What is harmless is taken: byte order marks wherever they stand, any line ends, empty columns at the right, empty lines,
a header that is repeated. What can be read in two ways is refused with the line where it began, so that no line is lost
without a word.
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
class Row:
    """One row.

    Attributes:
        line: where it begins, from 1.
        lines: over how many lines it goes: a quoted cell may hold line breaks.
        values: its cells as they were written, without empty ones beyond the header's columns.
    """

    line: int
    lines: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a file holds; the lines of ``rows``, ``blank`` and ``headers`` together are ``lines``.

    Attributes:
        name: of the file, for messages.
        header: the names of its columns.
        lines: of the whole file.
        blank: lines without any text.
        headers: lines of the header, which may be repeated where files were joined.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: int
    blank: int
    headers: int

    def records(self) -> list[dict[str, str]]:
        """The rows by column.

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


def read_table(content: bytes, *, name: str, header: Sequence[str]) -> Table:
    """Read a CSV file with a known header.

    Args:
        content: the whole file.
        name: what messages call it.
        header: the columns that it must have, in this order.

    Returns:
        Its rows with their lines.

    Raises:
        InvalidInput: it is not UTF-8, has another header, or a quoted cell that does not end where a cell can end.
    """
    text = decode(content, name)
    found = list(_rows(text, name, len(header)))
    blank = [row for row in found if not any(value.strip() for value in row.values)]
    filled = [row for row in found if any(value.strip() for value in row.values)]
    _check_header(filled[0].values if filled else (), name, header)
    rows = [row for row in filled if not _is(row.values, header)]
    return Table(
        name=name,
        header=tuple(header),
        rows=tuple(rows),
        lines=text.count("\n") + bool(text and not text.endswith("\n")),
        blank=sum(row.lines for row in blank),
        headers=sum(row.lines for row in filled if _is(row.values, header)),
    )


def decode(content: bytes, name: str) -> str:
    r"""The text of a file: UTF-8, with or without byte order marks; lines end with ``\n``.

    Args:
        content: the whole file.
        name: what messages call it.

    Raises:
        InvalidInput: it is in another encoding, which is named where it can be told, or no text at all.
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
        raise InvalidInput(f"{name} is not UTF-8: it holds NUL bytes, as UTF-16 does; {_TO_DO}")
    return text.replace(_BYTE_ORDER_MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def shown(value: str) -> str:
    """A value for a message: in quotes, on one line, cut, with what cannot be seen by its number."""
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


def _rows(text: str, name: str, width: int) -> Iterator[Row]:
    place, line = 0, 1
    while place < len(text):
        values: list[str] = []
        begun = line
        while True:
            value, place = _cell(text, place, f"{name}, line {line}", width)
            values.append(value)
            line += value.count("\n")
            if text[place : place + 1] != ",":
                break
            place += 1
        place += 1
        yield Row(line=begun, lines=line - begun + 1, values=_without_empty_columns(values, width))
        line += 1


def _cell(text: str, place: int, where: str, width: int) -> tuple[str, int]:
    """A cell and the place behind it, which is a comma, a line end or the end."""
    if text[place : place + 1] != '"':
        end = _PLAIN.match(text, place).end()  # type: ignore[union-attr]
        return text[place:end], end
    found = _QUOTED.match(text, place)
    if found is None:
        raise InvalidInput(f"{where}: a quoted cell begins here and never ends: {_excerpt(text, place)}")
    if text[found.end() : found.end() + 1] not in {"", ",", "\n"}:
        raise InvalidInput(
            f"{where}: a quoted cell begins here, and text follows its closing quote: {_excerpt(text, place)}. "
            'Close the quote, or write each quote inside a quoted cell twice ("")'
        )
    value = found.group(1).replace('""', '"')
    if any(len(_without_empty_columns(inner.split(","), width)) == width for inner in value.split("\n")[1:-1]):
        raise InvalidInput(
            f"{where}: a quoted cell begins here and goes over lines that look like rows: {_excerpt(text, place)}. "
            "Close the quote, or write the cell on one line"
        )
    return value, found.end()


def _excerpt(text: str, place: int) -> str:
    end = text.find("\n", place)
    return shown(text[place : end if end >= 0 else len(text)][: SHOWN_CHARS + 1])


def _without_empty_columns(values: Sequence[str], width: int) -> tuple[str, ...]:
    kept = list(values)
    while len(kept) > width and not kept[-1].strip():
        kept.pop()
    return tuple(kept)


def _is(values: Sequence[str], header: Sequence[str]) -> bool:
    return [value.strip() for value in values] == list(header)


def _check_header(values: Sequence[str], name: str, header: Sequence[str]) -> None:
    if _is(values, header):
        return
    found = ",".join(values)
    separators = [
        word for char, word in _OTHER_SEPARATORS.items() if len(values) == 1 and _is(found.split(char), header)
    ]
    hint = f": cells are separated by {separators[0]}, commas are needed; {_TO_DO}" if separators else ""
    raise InvalidInput(f"{name}: expected the header {','.join(header)}, found {_visible(found) or 'nothing'}{hint}")
