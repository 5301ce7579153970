"""CSV files that people edit: accepted variants, refused input, and no lost lines."""

import random

import pytest

from kogpt2_chat.domain.text.csv_text import CsvTable, decode, read_table, shown
from kogpt2_chat.errors import InvalidInput

HEADER = ("Q", "A", "label")
BOM = "\ufeff"


def read(text: str | bytes) -> CsvTable:
    content = text if isinstance(text, bytes) else text.encode()
    return read_table(content, name="a.csv", header=HEADER)


def values(text: str | bytes) -> list[tuple[str, ...]]:
    return [row.values for row in read(text).rows]


@pytest.mark.parametrize(
    "text",
    [
        "Q,A,label\n안녕,반가워요,0\n",
        f"{BOM}Q,A,label\n안녕,반가워요,0",
        f"{BOM}{BOM}Q,A,label\n{BOM}안녕,반가워요,0\n",
        f'{BOM}"Q","A","label"\r\n{BOM}"안녕","반가워요","0"\r\n\r\n',
        "Q,A,label\r안녕,반가워요,0\r",
        "Q,A,label,,\n안녕,반가워요,0,,\n,,,,\n   \n",
        "\n Q , A,label\n\n안녕,반가워요,0\n",
        "Q,A,label\n안녕,반가워요,0\nQ,A,label\n",
    ],
    ids=["plain", "bom", "boms", "windows", "old mac", "empty columns", "spaces", "joined"],
)
def test_variants_that_spreadsheets_write_are_read_as_the_same_table(text: str) -> None:
    """Byte order marks, any line ends, empty columns and lines, and a repeated header are accepted."""
    assert values(text) == [("안녕", "반가워요", "0")]


def test_cells_may_contain_commas_quotes_and_line_breaks() -> None:
    """The lines of a cell are counted. A quote inside an unquoted cell is text."""
    table = read('Q,A,label\n"안녕, ""마루""","둘째\n셋째, 줄이에요",0\n그는 "좋아" 했어,네,1\n')
    assert [(row.line, row.lines, row.values) for row in table.rows] == [
        (2, 2, ('안녕, "마루"', "둘째\n셋째, 줄이에요", "0")),
        (4, 1, ('그는 "좋아" 했어', "네", "1")),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['"등대 봤어?,네,0', *["풍선 봤어?,네,1"] * 9], r"line 3: a quoted cell .* has no closing quote: '\"등대"),
        (['"등대 봤어?,네,0', "풍선,네,1", '"그, 래",네,1'], "line 3: .*text follows its closing quote"),
        (['"등대" 봤어?,네,0'], "line 3: .*text follows its closing quote"),
        (['"등대 봤어?,네,0', "풍선,네,1", '우산,",",1'], "line 3: .*lines that look like rows"),
        (['"등대 봤어?,네,0', "풍선,네,1,,", '우산,",",1'], "line 3: .*lines that look like rows"),
    ],
    ids=["to the end", "to the next quote", "a quoted word", "to a lone comma", "empty columns"],
)
def test_an_unclosed_quote_is_refused_with_its_first_line(rows: list[str], message: str) -> None:
    """It would join many rows into one cell, so they would be lost silently."""
    with pytest.raises(InvalidInput, match=message):
        read("\n".join(["Q,A,label", "첫째,네,0", *rows]))


KOREAN = "Q,A,label\n안녕,반가워요,0\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (KOREAN.encode("cp949"), r"a.csv is not UTF-8 \(line 2, byte 10\): it looks like CP949"),
        (KOREAN.encode("utf-16"), "is not UTF-8: it looks like UTF-16"),
        (KOREAN.encode("utf-16-be"), "UTF-16"),
        (KOREAN.encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04rest", "is a workbook"),
        (KOREAN.encode() + b"\xec\x95,\xff,0\n", r"line 3, byte \d+\); save it as CSV UTF-8"),
        (KOREAN.replace(",", ";").encode(), "separated by semicolons, expected commas"),
        (KOREAN.replace(",", "\t").encode(), "separated by tabs"),
        ("Q,A\u200b,label\n".encode(), r"expected the header Q,A,label, found Q,A<U\+200B>,label"),
        (b"", "found nothing"),
        (b"\xef\xbb\xbf\r\n\r\n", "found nothing"),
    ],
)
def test_unreadable_files_are_refused_with_advice(content: bytes, message: str) -> None:
    """The message names CP949, UTF-16, workbooks and other separators, and shows invisible characters."""
    with pytest.raises(InvalidInput, match=message):
        read(content)


def test_a_row_of_another_length_is_shown_with_its_line() -> None:
    """``records`` returns all rows or raises an error."""
    table = read("Q,A,label\n안녕,반가워요,0\n잘 가,또 봐요\u200b\n")
    with pytest.raises(InvalidInput, match=r"a.csv, line 3: expected 3 columns .*, found 2: '잘 가,또 봐요<U\+200B>'"):
        table.records()


def test_values_are_shown_on_one_line_and_cut() -> None:
    """The content of a file cannot break or flood an error message."""
    assert shown("가\u200b나\n다\u00a0라 마") == "'가<U+200B>나<U+000A>다<U+00A0>라 마'"
    assert shown("가" * 50) == "'" + "가" * 40 + "…'"


def test_every_line_is_accounted_for() -> None:
    """A file is either refused, or the lines of its rows, headers and blanks are all its lines."""
    rng = random.Random(12)
    pieces = ["가", ",", '"', '""', "\n", "\r\n", " ", BOM, '",', ',"', "다,라,1"]
    accepted = 0
    for _ in range(3000):
        text = "Q,A,label\n" + "".join(rng.choices(pieces, k=rng.randrange(12)))
        try:
            table = read(text)
        except InvalidInput:
            continue
        accepted += 1
        assert table.lines == len(decode(text.encode(), "a").removesuffix("\n").split("\n"))
        assert table.lines == table.blank + table.headers + sum(row.lines for row in table.rows)
    assert accepted > 500
