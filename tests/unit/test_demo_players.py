"""The demo's script, on corpora that were edited by hand."""

import shutil
from pathlib import Path

import pytest

from kogpt2_chat.demo.players import load_script
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import CHECKOUT


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    for bot in BOT_IDS:
        (tmp_path / bot).mkdir()
        for name in ("seed.csv", "golden.json"):
            shutil.copy(CHECKOUT / "corpora" / bot / name, tmp_path / bot / name)
    return tmp_path


def test_files_that_a_spreadsheet_saved_give_the_same_script(corpora: Path) -> None:
    """A byte order mark and Windows line ends do not change the script."""
    for path in (corpora / "ChatbotA/seed.csv", corpora / "ChatbotC/golden.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_script(corpora) == load_script(CHECKOUT / "corpora")


def test_a_corpus_that_cannot_be_read_is_reported(corpora: Path) -> None:
    """A file in another encoding, or a missing one, is an InvalidInput."""
    path = corpora / "ChatbotB/seed.csv"
    path.write_bytes(path.read_bytes().decode().encode("cp949", "replace"))
    with pytest.raises(InvalidInput, match="ChatbotB/seed.csv is not UTF-8.*CP949"):
        load_script(corpora)
    path.unlink()
    with pytest.raises(InvalidInput, match="KOGPT2_LEARNING__CORPORA"):
        load_script(corpora)
