"""One labelled CSV to a corpora folder."""

import csv
import json
from pathlib import Path

import pytest

from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.import_corpus import import_corpus

SYLLABLES = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허"


def lines(per_label: int) -> list[str]:
    words = [a + b for a in SYLLABLES for b in SYLLABLES]
    return [
        f"{word} 질문{label}?,{word} 대답{label}이에요.,{label}" for label in range(3) for word in words[:per_label]
    ]


def write(tmp_path: Path, rows: list[str], header: str = "Q,A,label") -> Path:
    source = tmp_path / "ChatbotData.csv"
    source.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return source


def keys_of(path: Path, column: str) -> set[str]:
    with path.open(encoding="utf-8") as file:
        return {phrase_key(row[column]) for row in csv.DictReader(file)}


def test_every_bot_gets_seed_gold_and_golden_that_share_nothing(tmp_path: Path) -> None:
    """Label 0, 1, 2 are the bots A, B, C; no gold question or answer stands in the seed."""
    result = import_corpus(source=write(tmp_path, lines(300)), folder=tmp_path / "out")
    assert result["bots"]["ChatbotC"] == {"seed": 240, "gold": 30, "dev": 30, "golden": 20}  # type: ignore[index]
    for bot in ("ChatbotA", "ChatbotB", "ChatbotC"):
        folder = tmp_path / "out" / bot
        for column in ("question", "answer"):
            assert not keys_of(folder / "seed.csv", column) & keys_of(folder / "gold.csv", column)
            assert not keys_of(folder / "seed.csv", column) & keys_of(folder / "dev.csv", column)
            assert not keys_of(folder / "gold.csv", column) & keys_of(folder / "dev.csv", column)
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        assert set(golden[0]) == {"question", "any_of", "must_pass"}


def test_the_same_file_gives_the_same_folder(tmp_path: Path) -> None:
    """Byte for byte, also over an older import."""
    source = write(tmp_path, lines(50))
    import_corpus(source=source, folder=tmp_path / "one")
    import_corpus(source=write(tmp_path, lines(60)), folder=tmp_path / "two")
    import_corpus(source=write(tmp_path, lines(50)), folder=tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_few_unusable_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    """Trimmed labels are used; rows that training leaves out are counted apart."""
    rows = [*lines(300), "안녕,반가워요.,7", "안녕,,0", "안녕하세요,반가워요.,2   ", "죽고 싶다,힘내요.,1", lines(1)[0]]
    result = import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")
    assert result["unusable"] == {"label": 1, "no_text": 1}
    assert result["trimmed"] == 1
    assert result["left_out"] == {"duplicate": 1, "safety": 1}
    assert "죽고 싶다" not in (tmp_path / "out" / "ChatbotB" / "seed.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("header", "extra", "message"),
    [
        ("Q,A", [], "expected the header Q,A,label, found Q,A"),
        ("", [], "expected the header Q,A,label, found 가가 질문0"),
        (
            "Q,A,label",
            ["안녕,반가워요.,9"] * 10,
            "10 of 310 rows are unusable .label 10., first line 302: label '9'; .*; at most 1 %",
        ),
        ("Q,A,label", ["안녕,반가워요"] * 10, "columns 10.*first line 302: columns '안녕,반가워요'"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, header: str, extra: list[str], message: str
) -> None:
    """One sentence, and nothing is written."""
    with pytest.raises(InvalidInput, match=message):
        import_corpus(source=write(tmp_path, lines(100) + extra, header), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_another_encoding_or_none_at_all_is_refused(tmp_path: Path) -> None:
    """Named with what to do; a label that nobody has is named with its bot."""
    source = tmp_path / "a.csv"
    with pytest.raises(InvalidInput, match="cannot be read"):
        import_corpus(source=source, folder=tmp_path / "out")
    source.write_bytes("Q,A,label\n안녕,반가워요,0\n".encode("cp949"))
    with pytest.raises(InvalidInput, match="not UTF-8"):
        import_corpus(source=source, folder=tmp_path / "out")
    source.write_text("\n".join(["Q,A,label", *lines(50)[:100]]), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no usable row with label 2 .ChatbotC.. Name the bots .*--bot"):
        import_corpus(source=source, folder=tmp_path / "out")
    result = import_corpus(source=source, folder=tmp_path / "out", bots=["ChatbotA"])
    assert set(result["bots"]) == {"ChatbotA"}  # type: ignore[call-overload]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ChatbotA"]


def test_every_line_of_the_file_is_counted(tmp_path: Path) -> None:
    """Rows of one line each, headers and blank lines are the whole file; the first rows not taken are shown."""
    source = write(tmp_path, ["", *lines(300), ",,", "안녕,반가워요.,2.0", "Q,A,label"])
    result = import_corpus(source=source, folder=tmp_path / "out")
    assert result["lines"] == {"all": 905, "header": 2, "blank": 2}
    assert result["rows"] == 901
    assert result["first_unusable"] == ["line 904: label '2.0'"]


def test_a_quote_that_is_not_closed_stops_the_import(tmp_path: Path) -> None:
    """Not one row is swallowed without a word."""
    rows = lines(100)
    rows[120] = f'"{rows[120]}'
    with pytest.raises(InvalidInput, match="line 122: a quoted cell begins here and never ends"):
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")


def test_rows_that_hang_together_are_refused_with_the_bot_and_the_reason(tmp_path: Path) -> None:
    """The same three answers to everything: no gold set, and no split, can be made."""
    few = [f"{word} 질문?,대답{number}이에요.,1" for word in SYLLABLES for number in range(3)]
    rows = [row for row in lines(50) if not row.endswith(",1")] + few
    with pytest.raises(
        InvalidInput, match="ChatbotB .label 1. can't be taught: nothing is left for gold, val, test"
    ) as e:
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")
    assert "Of 84 rows with 28 questions and 3 answers, 84 hang together" in str(e.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        InvalidInput, match="ChatbotA .label 0. can't be taught: nothing is left for gold: 9 rows are too"
    ):
        import_corpus(source=write(tmp_path, lines(9)), folder=tmp_path / "out")


def test_a_bot_without_rows_is_told_why_they_were_left_out(tmp_path: Path) -> None:
    """Answers that are codes: usable, but nothing that Korean can be learned from."""
    codes = [f"{a}{b} 질문?,P{a},0" for a in SYLLABLES[:5] for b in SYLLABLES]
    rows = [row.replace(f"P{row[0]}", "P") for row in codes] + [row for row in lines(50) if not row.endswith(",0")]
    message = r"label 0 .ChatbotA.; 140 rows were left out .not_korean 140., first line 2: not_korean '가가 질문\?,P,0'"
    with pytest.raises(InvalidInput, match=message):
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")
