"""A published dataset, copied from the lake and read as pairs."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Files
from kogpt2_chat.settings import Settings

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")
TAUGHT_SOURCES: Final = frozenset({"correction", "praised"})
_COLUMNS: Final = ["question", "answer", "source", "topic", "weight", "cluster"]


def load_dataset(bot: str, version: str, files: Files, settings: Settings) -> dict[Split, list[Pair]]:
    """Pairs by split. Datasets never change, so a local copy is kept below the home folder.

    Args:
        bot: whose.
        version: as ``build-dataset`` names it.
        files: the lake.
        settings: where the lake's root and the home folder are.

    Returns:
        The pairs of each split, in a fixed order.

    Raises:
        InvalidInput: there is no such dataset, or it cannot be read.
    """
    path = dataset_path(settings.hdfs.root, bot, version)
    kept = settings.home / "datasets" / bot
    folder = kept / version
    if not (folder / "manifest.json").exists():
        if not files.exists(f"{path}/manifest.json"):
            raise InvalidInput(f"no dataset {path} in the lake: run `kogpt2-chat build-dataset {bot}` first")
        shutil.rmtree(folder, ignore_errors=True)
        kept.mkdir(parents=True, exist_ok=True)
        files.download(path, kept)
    return {split: _read_split(folder / f"{split}.parquet") for split in SPLITS}


def leave_out_unlearnable(
    pairs: Mapping[Split, Sequence[Pair]], tokenizer: ChatTokenizer, max_answer_tokens: int
) -> tuple[dict[Split, list[Pair]], Counter[str]]:
    """Take out the pairs whose answers a model could not learn whole.

    A dataset that was built with the tokenizer at hand has none of them.

    Args:
        pairs: a dataset.
        tokenizer: of the model.
        max_answer_tokens: bound of an answer and its end.

    Returns:
        The rest of each split, and how many were taken out for each reason.
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
        rows = pq.read_table(path, columns=_COLUMNS).to_pylist()
    except Exception as error:  # pyarrow raises many kinds
        raise InvalidInput(f"{path} is no split of a dataset: {error}") from error
    pairs = [
        Pair(
            question=row["question"], answer=row["answer"], weight=int(row["weight"] or 1), source=row["source"] or "",
            topic=row["topic"] or "", cluster=row["cluster"] or "",
        )
        for row in rows
    ]  # fmt: skip
    # Spark's part files come in no order; training must not depend on it.
    return sorted(pairs, key=lambda pair: (pair.question, pair.answer, pair.source))
