"""Read single rows of a dataset's local copy with their origin: the turn, the player and the row's hash."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kogpt2_chat.domain.learning.dataset import HASHED_COLUMNS, SPLITS, Split, row_hash
from kogpt2_chat.domain.learning.row_lineage import DatasetRow, given_turn_id
from kogpt2_chat.errors import InvalidInput

_COLUMNS: Final = tuple(name for name in HASHED_COLUMNS if name != "split")
_SHOWN: Final = ("question", "answer", "source", "topic", "turn_id", "player_id")


def training_rows(folder: Path) -> list[DatasetRow]:
    """Return the rows of the split ``train``, in no particular order.

    Args:
        folder: a dataset's local copy.

    Raises:
        InvalidInput: the split cannot be read.
    """
    return [_row(row, "train") for row in _read(folder, "train")]


def rows_of_turn(folder: Path, turn_id: str) -> list[DatasetRow]:
    """Return the rows, of all splits, that were made from a turn, or from a later one with the same id.

    Args:
        folder: a dataset's local copy.
        turn_id: the turn's id.

    Raises:
        InvalidInput: a split cannot be read.
    """
    found = ((row, split) for split in SPLITS for row in _read(folder, split))
    return [_row(row, split) for row, split in found if given_turn_id(row.get("turn_id") or "") == turn_id]


def rows_with_hash(folder: Path, beginning: str) -> list[DatasetRow]:
    """Return the rows, of all splits, whose hash begins with a text.

    Args:
        folder: a dataset's local copy.
        beginning: the hash or its first characters; the empty text selects all rows.

    Raises:
        InvalidInput: a split cannot be read.
    """
    found = (_row(row, split) for split in SPLITS for row in _read(folder, split))
    return [row for row in found if row.row_hash.startswith(beginning)]


def _row(row: dict[str, Any], split: Split) -> DatasetRow:
    whole = all(name in row for name in _COLUMNS)
    hashed = row_hash([split if name == "split" else row[name] for name in HASHED_COLUMNS]) if whole else ""
    return DatasetRow(**{name: row.get(name) or "" for name in _SHOWN}, split=split, row_hash=hashed)


def _read(folder: Path, split: Split) -> Iterator[dict[str, Any]]:
    """Yield a split's rows with those columns that the dataset has; nothing if it has no such split."""
    import pyarrow.parquet as pq

    path = folder / f"{split}.parquet"
    if not path.exists():
        return
    try:
        dataset = pq.ParquetDataset(path)
        table = dataset.read([name for name in _COLUMNS if name in dataset.schema.names])
    except Exception as error:  # pyarrow raises many kinds
        raise InvalidInput(f"{path} is not a readable split of a dataset: {error}") from error
    for batch in table.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()
