"""Converting a labelled CSV file into a folder of corpora."""

import csv
import json
from pathlib import Path

import pytest

from kogpt2_chat.cli.result_fields import fields_of
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


def test_every_bot_gets_seed_gold_and_dev_pairs_that_share_nothing(tmp_path: Path) -> None:
    """The labels 0, 1 and 2 belong to the bots A, B and C. No question or answer is in two of the files."""
    result = fields_of(import_corpus(source=write(tmp_path, lines(300)), folder=tmp_path / "out"))
    assert result["bots"]["ChatbotC"] == {"seed": 240, "gold": 30, "dev": 30, "golden": 20}  # type: ignore[index]
    for bot in ("ChatbotA", "ChatbotB", "ChatbotC"):
        folder = tmp_path / "out" / bot
        for column in ("question", "answer"):
            assert not keys_of(folder / "seed.csv", column) & keys_of(folder / "gold.csv", column)
            assert not keys_of(folder / "seed.csv", column) & keys_of(folder / "dev.csv", column)
            assert not keys_of(folder / "gold.csv", column) & keys_of(folder / "dev.csv", column)
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        assert set(golden[0]) == {"question", "any_of", "must_pass"}


def test_the_same_file_produces_the_same_folder(tmp_path: Path) -> None:
    """All bytes are equal, even if the folder has an older import."""
    source = write(tmp_path, lines(50))
    import_corpus(source=source, folder=tmp_path / "one")
    import_corpus(source=write(tmp_path, lines(60)), folder=tmp_path / "two")
    import_corpus(source=write(tmp_path, lines(50)), folder=tmp_path / "two")
    paths = list((tmp_path / "one").rglob("*.*"))
    assert len(paths) >= 4 * 3
    for path in paths:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_few_unusable_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    """Labels are trimmed; rows that the training rules reject are counted separately."""
    rows = [*lines(300), "안녕,반가워요.,7", "안녕,,0", "안녕하세요,반가워요.,2   ", "죽고 싶다,힘내요.,1", lines(1)[0]]
    result = fields_of(import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out"))
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
            "10 of 310 rows are unusable .label 10., first line 302: label '9'; .*; expected at most 1 %",
        ),
        ("Q,A,label", ["안녕,반가워요"] * 10, "columns 10.*first line 302: columns '안녕,반가워요'"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, header: str, extra: list[str], message: str) -> None:
    """One sentence explains why, and nothing is written."""
    with pytest.raises(InvalidInput, match=message):
        import_corpus(source=write(tmp_path, lines(100) + extra, header), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_or_missing_file_is_refused(tmp_path: Path) -> None:
    """The message says what to do; a bot without rows is named with its label."""
    source = tmp_path / "a.csv"
    with pytest.raises(InvalidInput, match="cannot be read"):
        import_corpus(source=source, folder=tmp_path / "out")
    source.write_bytes("Q,A,label\n안녕,반가워요,0\n".encode("cp949"))
    with pytest.raises(InvalidInput, match="not UTF-8"):
        import_corpus(source=source, folder=tmp_path / "out")
    source.write_text("\n".join(["Q,A,label", *lines(50)[:100]]), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no usable row with label 2 .ChatbotC.. Choose the bots .*--bot"):
        import_corpus(source=source, folder=tmp_path / "out")
    result = fields_of(import_corpus(source=source, folder=tmp_path / "out", bots=["ChatbotA"]))
    assert set(result["bots"]) == {"ChatbotA"}  # type: ignore[call-overload]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ChatbotA"]


def test_every_line_of_the_file_is_counted(tmp_path: Path) -> None:
    """Rows, headers and blank lines add up to the whole file; the first unusable rows are shown."""
    source = write(tmp_path, ["", *lines(300), ",,", "안녕,반가워요.,2.0", "Q,A,label"])
    result = fields_of(import_corpus(source=source, folder=tmp_path / "out"))
    assert result["lines"] == {"all": 905, "header": 2, "blank": 2}
    assert result["rows"] == 901
    assert result["first_unusable"] == ["line 904: label '2.0'"]


def test_an_unclosed_quote_stops_the_import(tmp_path: Path) -> None:
    """Otherwise rows would be lost silently."""
    rows = lines(100)
    rows[120] = f'"{rows[120]}'
    with pytest.raises(InvalidInput, match="line 122: a quoted cell begins here and has no closing quote"):
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")


def test_rows_linked_by_shared_answers_are_refused(tmp_path: Path) -> None:
    """With three answers to all questions, no gold set and no splits can be formed."""
    few = [f"{word} 질문?,대답{number}이에요.,1" for word in SYLLABLES for number in range(3)]
    rows = [row for row in lines(50) if not row.endswith(",1")] + few
    with pytest.raises(
        InvalidInput, match="ChatbotB .label 1. can't be trained: no pairs are left for gold, val, test"
    ) as raised:
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")
    assert "Of 84 rows with 28 questions and 3 answers, 84 are linked" in str(raised.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        InvalidInput, match="ChatbotA .label 0. can't be trained: no pairs are left for gold: 9 rows are too"
    ):
        import_corpus(source=write(tmp_path, lines(9)), folder=tmp_path / "out")


def test_a_bot_without_rows_is_refused_with_the_reasons(tmp_path: Path) -> None:
    """The rows are usable, but their answers are not Korean."""
    codes = [f"{a}{b} 질문?,P{a},0" for a in SYLLABLES[:5] for b in SYLLABLES]
    rows = [row.replace(f"P{row[0]}", "P") for row in codes] + [row for row in lines(50) if not row.endswith(",0")]
    message = r"label 0 .ChatbotA.; 140 rows were left out .not_korean 140., first line 2: not_korean '가가 질문\?,P,0'"
    with pytest.raises(InvalidInput, match=message):
        import_corpus(source=write(tmp_path, rows), folder=tmp_path / "out")
