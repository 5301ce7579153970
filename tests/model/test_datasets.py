"""The pairs of a dataset, as a training reads them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kogpt2_chat.corpora.datasets import load_dataset
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles

ROWS = {
    "question": ["콩떡이 누구야?", "안녕?"],
    "answer": ["고양이 역장님이에요.", "안녕하세요!"],
    "source": ["correction", "seed"],
    "topic": ["", "인사"],
    "weight": [12, 1],
    "cluster": ["a", None],
    "turn_id": ["t-1", None],
}


@pytest.fixture
def read(tmp_path):
    """Function that returns the pairs of a dataset with these columns in `train`."""

    def write_and_read(columns):
        folder = tmp_path / "datasets" / "ChatbotA" / "0123456789ab"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}", "utf-8")
        pq.write_table(pa.table(columns), folder / "train.parquet")
        return load_dataset("ChatbotA", "0123456789ab", InMemoryFiles(), Settings(home=tmp_path))

    return write_and_read


def test_a_taught_pair_names_its_turn(read):
    """So that a version's known answers can be struck out with a turn; the order of the rows does not matter."""
    pairs = read(ROWS)
    assert pairs["train"] == [
        Pair(question="안녕?", answer="안녕하세요!", topic="인사"),
        Pair(
            question="콩떡이 누구야?", answer="고양이 역장님이에요.", weight=12, cluster="a", source="correction",
            turn_id="t-1",
        ),
    ]  # fmt: skip
    assert pairs["val"] == []


def test_a_dataset_of_an_early_release_has_no_turns(read):
    pairs = read({name: values for name, values in ROWS.items() if name != "turn_id"})
    assert [pair.turn_id for pair in pairs["train"]] == ["", ""]


def test_a_dataset_without_answers_is_refused(read):
    with pytest.raises(InvalidInput, match=r"train\.parquet is not a readable split"):
        read({name: values for name, values in ROWS.items() if name != "answer"})
