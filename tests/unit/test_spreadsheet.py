"""Texts in CSV files for spreadsheets."""

import csv
import io

import pytest

from kogpt2_chat.domain.text.spreadsheet import MAX_CELL_UNITS, as_csv, cell


@pytest.mark.parametrize(
    "text",
    ['=HYPERLINK("http://example.invalid")', "@SUM(1)", "+1", "-1", " =1", "\t=1", "\n=1", "＝1＋1", "－1", "＠a"],
)
def test_a_formula_becomes_text(text: str) -> None:
    """A leading apostrophe makes it text."""
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    [
        "0101", "010-1234-5678", "12345678901234567890", "1e5", "3/4", "2026-11-24", "10:30", "3월 4일", "오후 3시",
        "1,000", "₩1,000", "50%", "３", " 7 ", "(5)", "11:30 PM", "1.5", "1\n2",
    ],
)  # fmt: skip
def test_what_looks_like_a_number_or_date_stays_as_it_is_written(text: str) -> None:
    """A spreadsheet would show 101, 100000, a date, or 12345678901234600000."""
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["안녕?", "3월에 보자", "1번이 좋아", "", " ", "오전", "e", "\t탭", "a'b", "1 대 1", "-"]
)
def test_other_texts_stay_unchanged(text: str) -> None:
    """A sentence with a number in it, and a character that numbers contain without a digit, are texts anyway."""
    assert cell(text) == (text if text != "-" else "'-")


@pytest.mark.parametrize("text", ["'안녕", "''", "'=1", "=1", "안녕", "0101"])
def test_removing_one_apostrophe_restores_a_text(text: str) -> None:
    """Also if the text has its own."""
    assert cell(text).removeprefix("'") == text


def test_lines_end_as_in_files_of_excel_and_cells_keep_their_line_breaks() -> None:
    """A lone CR in a cell would end the row; quotes, commas and tabs are preserved."""
    texts = ["하나\r\n둘\r셋\n넷", '그가 "응", 이라고', "탭\t탭"]
    content = as_csv(("Q", "A"), [(text, "답") for text in texts])
    assert content.startswith("\ufeffQ,A\r\n".encode())
    assert content.count(b"\r") == content.count(b"\r\n") == 4
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert rows == [["Q", "A"], ["하나\n둘\n셋\n넷", "답"], [texts[1], "답"], [texts[2], "답"]]


@pytest.mark.parametrize("unit", ["가", "😀", "1"])
def test_a_longer_text_than_a_cell_holds_is_cut(unit: str) -> None:
    """The limit counts UTF-16 units and includes the apostrophe."""
    units = len(unit.encode("utf-16-le")) // 2
    fitting = unit * ((MAX_CELL_UNITS - unit.isdigit()) // units)
    assert cell(fitting).removeprefix("'") == fitting
    found = cell(fitting + unit)
    assert found.endswith("…")
    assert MAX_CELL_UNITS - 1 <= len(found.encode("utf-16-le")) // 2 <= MAX_CELL_UNITS
    assert set(found) <= {unit, "'", "…"}


def test_no_character_is_cut_in_half() -> None:
    """An emoji has two UTF-16 units; here the limit is between them."""
    assert cell("가" + "😀" * MAX_CELL_UNITS) == "가" + "😀" * ((MAX_CELL_UNITS - 2) // 2) + "…"
