"""One labelled CSV to a corpora folder."""

import csv
import json
from pathlib import Path

import pytest

from kogpt2_chat.domain.cleaning import phrase_key
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
        ("", [], "found nothing"),
        ("Q,A,label", ["안녕,반가워요.,9"] * 10, "10 of 310 rows are unusable .label 10.; at most 1 %"),
        ("Q,A,label", ["안녕,반가워요"] * 10, "columns 10"),
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
    source.write_text("\n".join(["Q,A,label", *lines(10)[:20]]), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no usable row with label 2"):
        import_corpus(source=source, folder=tmp_path / "out")
