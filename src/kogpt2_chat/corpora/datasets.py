"""Read the pairs of a published dataset, from a local copy of the lake's files."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.dataset import SPLITS, Split
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Files
from kogpt2_chat.settings import Settings

_COLUMNS: Final = ["question", "answer", "source", "topic", "weight", "cluster"]
_OPTIONAL: Final = ("turn_id",)
"""Columns that datasets of early releases do not have."""


def load_dataset(bot: str, dataset_id: str, files: Files, settings: Settings) -> dict[Split, list[Pair]]:
    """Read a dataset's pairs by split. A dataset never changes, so a local copy is kept below the home folder.

    Args:
        bot: the bot's id.
        dataset_id: the id that ``build-dataset`` prints.
        files: the lake.
        settings: name the lake's root and the home folder.

    Returns:
        The pairs of each split, in a fixed order.

    Raises:
        InvalidInput: the dataset does not exist or cannot be read.
    """
    folder = local_dataset(bot, dataset_id, files, settings)
    return {split: _read_split(folder / f"{split}.parquet") for split in SPLITS}


def local_dataset(bot: str, dataset_id: str, files: Files, settings: Settings) -> Path:
    """Return the folder of a dataset's local copy, which is downloaded if it does not exist yet.

    Raises:
        InvalidInput: the dataset does not exist.
    """
    path = dataset_path(settings.hdfs.root, bot, dataset_id)
    copies = settings.home / "datasets" / bot
    folder = copies / dataset_id
    if not (folder / "manifest.json").exists():
        if not files.exists(f"{path}/manifest.json"):
            raise InvalidInput(f"no dataset {path} in the lake: run `kogpt2-chat build-dataset {bot}` first")
        shutil.rmtree(folder, ignore_errors=True)
        copies.mkdir(parents=True, exist_ok=True)
        files.download(path, copies)
    return folder


def leave_out_unlearnable(
    pairs: Mapping[Split, Sequence[Pair]], tokenizer: ChatTokenizer, max_answer_tokens: int
) -> tuple[dict[Split, list[Pair]], Counter[str]]:
    """Remove the pairs whose answers the model cannot learn completely.

    A dataset that was built with the same tokenizer does not contain such pairs.

    Args:
        pairs: a dataset's pairs by split.
        tokenizer: of the model.
        max_answer_tokens: longest answer, including the end token.

    Returns:
        The remaining pairs of each split, and the number of removed pairs by reason.
    """
    faults = {
        pair: fault
        for split in pairs.values()
        for pair in split
        if (fault := tokenizer.answer_fault(pair.answer, max_answer_tokens))
    }
    rest = {split: [pair for pair in some if pair not in faults] for split, some in pairs.items()}
    return rest, Counter(faults.values())


def _read_split(path: Path) -> list[Pair]:
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        dataset = pq.ParquetDataset(path)
        optional = [name for name in _OPTIONAL if name in dataset.schema.names]
        rows = dataset.read([*_COLUMNS, *optional]).to_pylist()
    except Exception as error:  # pyarrow raises many kinds
        raise InvalidInput(f"{path} is not a readable split of a dataset: {error}") from error
    pairs = [
        Pair(
            question=row["question"], answer=row["answer"], weight=int(row["weight"] or 1), source=row["source"] or "",
            topic=row["topic"] or "", cluster=row["cluster"] or "", turn_id=row.get("turn_id") or "",
        )
        for row in rows
    ]  # fmt: skip
    # The order of Spark's part files is arbitrary; training must not depend on it.
    return sorted(pairs, key=lambda pair: (pair.question, pair.answer, pair.source))
