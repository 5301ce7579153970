"""Show which datasets contain a training row, and which versions learned it."""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from kogpt2_chat.corpora.dataset_rows import rows_of_turn, rows_with_hash
from kogpt2_chat.corpora.datasets import local_dataset
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.turn_ids import is_turn_id
from kogpt2_chat.domain.lake.layout import DISTRUST, datasets_path
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.domain.learning.distrust import DistrustEntry, distrusted_entries
from kogpt2_chat.domain.learning.row_lineage import DatasetRow, DatasetWithRow, Learner, RowLineage, given_turn_id
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.lake.learners import learners
from kogpt2_chat.lake.manifests import read_manifest
from kogpt2_chat.ports import Files, Registry, Tables
from kogpt2_chat.settings import Settings

_HASH: Final = re.compile("[0-9a-f]{12,64}")
_HASH_CHARS: Final = 64


def row_lineage(
    *,
    row: str,
    registry: Registry,
    tables: Tables,
    files: Files,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> RowLineage:
    """Search all datasets of all bots for a row. Each dataset is downloaded once; the rows of one split are in memory.

    Args:
        row: a turn id, or a row's hash or at least the first 12 characters of it.
        registry: the versions and their aliases.
        tables: the lake, for the distrusted players and turns.
        files: the lake, for the datasets.
        settings: name the lake's root and the home folder.
        progress: called with a line for each bot.

    Returns:
        What was found. Datasets that cannot be read, and a registry or a table that does not answer, are in its notes.

    Raises:
        InvalidInput: neither a turn id nor a hash.
        Unavailable: HDFS does not answer.
    """
    if not is_turn_id(row) and not _HASH.fullmatch(row):
        raise InvalidInput(
            f"{row!r} is not a row: expected a turn id ({QUESTION_TOPIC}-PARTITION-OFFSET), or a `row_hash`, of which "
            f"12 to {_HASH_CHARS} characters are enough"
        )
    notes: list[str] = []
    rows: dict[DatasetRow, None] = {}
    datasets: list[DatasetWithRow] = []
    learned: list[Learner] = []
    for bot in BOT_IDS:
        progress(f"searching the datasets of {bot}")
        manifests = _manifests(bot, files, settings, notes)
        found = {
            manifest.dataset_id: _rows(bot, manifest.dataset_id, row, files, settings, notes) for manifest in manifests
        }
        rows |= dict.fromkeys(hit for hits in found.values() for hit in hits)
        datasets += [
            DatasetWithRow(
                bot=bot,
                dataset=manifest.dataset_id,
                created_at=manifest.created_at,
                splits=tuple(dict.fromkeys(hit.split for hit in found[manifest.dataset_id])),
                newest=manifest is manifests[-1],
            )
            for manifest in manifests
            if found[manifest.dataset_id]
        ]
        if any(found.values()):
            learned += _versions(bot, found, registry, notes)
    if not rows:
        notes.append("no dataset contains this row" + ("" if is_turn_id(row) else ": is the hash complete?"))
    return RowLineage(
        asked=row,
        rows=_without_repeats(rows),
        datasets=tuple(datasets),
        learned_by=tuple(learned),
        distrusted=_distrusted(row, rows, tables, notes),
        notes=tuple(notes),
    )


def _manifests(bot: str, files: Files, settings: Settings, notes: list[str]) -> list[Manifest]:
    """Return the manifests of a bot's datasets, oldest first."""
    root, found = settings.hdfs.root, []
    for dataset in files.list(datasets_path(root, bot)):
        try:
            found.append(read_manifest(files, root, bot, dataset))
        except NotFound:
            continue  # not a dataset
        except (ValueError, TypeError, AttributeError) as error:
            notes.append(f"the manifest of dataset {dataset} of {bot} cannot be read and was left out: {error}")
    return sorted(found, key=lambda manifest: manifest.created_at)


def _rows(bot: str, dataset: str, row: str, files: Files, settings: Settings, notes: list[str]) -> list[DatasetRow]:
    try:
        folder = local_dataset(bot, dataset, files, settings)
        return rows_of_turn(folder, row) if is_turn_id(row) else rows_with_hash(folder, row)
    except (InvalidInput, NotFound) as error:
        notes.append(f"dataset {dataset} of {bot} cannot be read and was left out: {error}")
        return []


def _versions(bot: str, found: dict[str, list[DatasetRow]], registry: Registry, notes: list[str]) -> list[Learner]:
    trained = [dataset for dataset, rows in found.items() if any(row.split == "train" for row in rows)]
    try:
        return learners(registry.versions(bot), trained)
    except (NotFound, Unavailable, InvalidInput) as error:
        notes.append(f"which versions of {bot} were trained on these datasets is unknown: {error}")
        return []


def _without_repeats(rows: Collection[DatasetRow]) -> tuple[DatasetRow, ...]:
    """Leave out rows that differ in nothing but the split: a dataset that grows may move a row."""
    return tuple({replace(row, split="train", row_hash=""): row for row in rows}.values())


def _distrusted(
    asked: str, rows: Collection[DatasetRow], tables: Tables, notes: list[str]
) -> tuple[DistrustEntry, ...]:
    turns = {given_turn_id(row.turn_id) for row in rows if row.turn_id} | ({asked} if is_turn_id(asked) else set())
    players = {row.player_id for row in rows if row.player_id}
    try:
        entries = distrusted_entries(tables.read(DISTRUST.name))
    except (Unavailable, InvalidInput) as error:
        notes.append(f"whether its turn or its player is distrusted is unknown: {error}")
        return ()
    return tuple(
        entry
        for entry in entries
        if (entry.kind == "turn" and entry.subject in turns)
        or (entry.kind == "player" and player_key(entry.subject) in players)
    )
