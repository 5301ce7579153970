"""Build an immutable dataset per bot: Spark writes the rows to a temporary folder, and this job publishes them.

A dataset's id is the beginning of the hash of its content. The same input produces the same dataset, which is published
only once.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from kogpt2_chat.cleanup import clean_up_after
from kogpt2_chat.corpora.shipped import read_rows
from kogpt2_chat.domain.lake.layout import building_path, dataset_path, quarantined_dataset_path, table_path
from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.learning.dataset import DATASET_ID_CHARS, SPLITS, Manifest, Rules
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.lake.manifests import MANIFEST, newest_manifest, record_rebuild
from kogpt2_chat.ports import Files, SparkJobs, Tables
from kogpt2_chat.settings import Settings

_ABANDONED_AFTER: Final = timedelta(days=1)
"""No build takes this long. An older folder is left over from a build that was killed or could not remove it."""
_BUILD_TIME: Final = "%Y%m%dT%H%M%SZ"
_BUILD: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}")
_READ: Final = ("turns", "feedback", "distrust")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDataset:
    """The dataset of one bot.

    Attributes:
        dataset_id: its id; None if the dataset has faults.
        path: its folder; with faults, the folder in quarantine.
        counts: number of rows by split.
        sources: number of rows by source.
        rejects: number of proposals that were left out, by reason.
        new_pairs: pairs that the previous dataset lacks.
        withdrawn_pairs: pairs of the previous dataset that may not be learned any more.
        seeds_superseded: seed pairs that a taught pair replaced.
        published: False if the same dataset already existed.
        faults: why the dataset was quarantined.
    """

    dataset_id: str | None
    path: str
    counts: Mapping[str, int]
    sources: Mapping[str, int]
    rejects: Mapping[str, int]
    new_pairs: int
    withdrawn_pairs: int
    seeds_superseded: int
    published: bool
    faults: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the fields for JSON. Callers of the job know the dataset id as ``version``."""
        body = asdict(self)
        return {"version": body.pop("dataset_id"), **body, "faults": list(self.faults)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """The datasets of one Spark application.

    Attributes:
        datasets: the dataset of each bot.
    """

    datasets: Mapping[str, BuiltDataset]


def build_dataset(
    *,
    bots: Sequence[str],
    spark: SparkJobs,
    tables: Tables,
    files: Files,
    settings: Settings,
    progress: Callable[[str], None],
) -> BuildResult:
    """Build the datasets of all bots in one Spark application, and publish those without faults.

    The length of answers is measured with the tokenizer of the bots' base model, so that an answer too long for the
    model never replaces one that it can learn. If no base exists yet, it is prepared first.

    Args:
        bots: the bots.
        spark: runs ``spark_jobs/build_dataset.py``.
        tables: the lake's tables; Spark reads the newest table version of each at the start of the build.
        files: the lake's file system.
        settings: rules, corpora, base and addresses.
        progress: called with a line on each step of preparing the base.

    Returns:
        The dataset of each bot, published or in quarantine.

    Raises:
        InvalidInput: a corpus is missing or malformed, no base can be prepared, or every bot's dataset has faults.
    """
    root, now = settings.hdfs.root, datetime.now(UTC)
    _remove_abandoned(files, root, now)
    build = f"{now.strftime(_BUILD_TIME)}-{uuid.uuid4().hex}"
    building = building_path(root, build)
    previous = {bot: manifest for bot in bots if (manifest := newest_manifest(files, root, bot))}
    arguments = _arguments(bots, tables, settings, previous) | {
        "tokenizer": _tokenizer(settings, progress),
        "output": settings.hdfs_uri + building,
        "as_of": now.isoformat(),
    }
    try:
        report: dict[str, Any] = spark.submit("build_dataset", arguments)
        results = {
            bot: _publish(bot, report[bot], arguments, previous.get(bot), build, now, files, root) for bot in bots
        }
    except BaseException as error:
        clean_up_after(error, lambda: files.delete(building), f"{building} stays until a later build removes it")
        raise
    files.delete(building)
    if results and all(result.faults for result in results.values()):
        faults = "; ".join(f"{bot}: {', '.join(report[bot]['faults'])}" for bot in bots)
        raise InvalidInput(f"no dataset was published: {faults}. Their rows are kept in {root}/quarantine/datasets.")
    return BuildResult(datasets=results)


def _remove_abandoned(files: Files, root: str, now: datetime) -> None:
    """Remove the folders that earlier builds left behind; a build's name begins with its time."""
    oldest = (now - _ABANDONED_AFTER).strftime(_BUILD_TIME)
    for name in files.list(building_path(root)):
        if _BUILD.fullmatch(name) and name < oldest:
            files.delete(building_path(root, name))


def _arguments(
    bots: Sequence[str], tables: Tables, settings: Settings, previous: Mapping[str, Manifest]
) -> dict[str, Any]:
    root, corpora = settings.hdfs.root, settings.learning.corpora
    gold = {bot: _gold(corpora / bot / "gold.csv", bot) for bot in bots}
    return {
        "bots": list(bots),
        "seeds": [[bot, *row.values()] for bot in bots for row in read_rows(corpora / bot / "seed.csv")],
        "gold": sorted(
            {
                (bot, phrase_key(row[side]))
                for bot, rows in gold.items()
                for row in rows
                for side in ("question", "answer")
            }
        ),
        "tables": {
            table: {"path": settings.hdfs_uri + table_path(root, table), "table_version": tables.table_version(table)}
            for table in _READ
        },
        "previous": {
            bot: settings.hdfs_uri + dataset_path(root, bot, manifest.dataset_id) for bot, manifest in previous.items()
        },
        "rules": asdict(_rules(settings)),
    }


def _tokenizer(settings: Settings, progress: Callable[[str], None]) -> str:
    from kogpt2_chat.training.base import prepare

    return (prepare(settings, progress).folder / "tokenizer.json").read_text("utf-8")


def _gold(path: Path, bot: str) -> list[dict[str, str]]:
    rows = read_rows(path)
    if not rows:
        raise InvalidInput(f"corpus {path} has no pairs: without a gold set no version of {bot} can pass the gate")
    return rows


def _rules(settings: Settings) -> Rules:
    learning = settings.learning
    return Rules(
        min_age_hours=learning.min_age_hours,
        auto_review=learning.auto_review,
        seed_share=learning.seed_share,
        rows_per_player=learning.rows_per_player,
        rows_per_phrase=learning.rows_per_phrase,
        new_pair_weight=settings.training.new_pair_weight,
        assumed_consent=learning.legacy_consent,
        max_answer_tokens=settings.model.max_new_tokens,
    )


def _stored_rules(rules: Mapping[str, float]) -> dict[str, float]:
    """Return the rules under their names in manifests, which earlier releases read too."""
    return {"quarantine_hours" if name == "min_age_hours" else name: value for name, value in rules.items()}


def _publish(
    bot: str,
    report: Mapping[str, Any],
    arguments: Mapping[str, Any],
    previous: Manifest | None,
    build: str,
    now: datetime,
    files: Files,
    root: str,
) -> BuiltDataset:
    """Move one bot's rows to the folder of their dataset id, or to quarantine if they have faults."""
    manifest = Manifest(
        bot=bot,
        dataset_id=report["content_hash"][:DATASET_ID_CHARS],
        content_hash=report["content_hash"],
        created_at=now.isoformat(),
        counts=report["counts"],
        sources=report["sources"],
        rejects=report["rejects"],
        new_pairs=report["new_pairs"],
        previous=previous.dataset_id if previous else None,
        table_versions={name: table["table_version"] for name, table in arguments["tables"].items()},
        rules=_stored_rules(arguments["rules"]),
        seeds_superseded=report["seeds_superseded"],
        withdrawn_pairs=report["withdrawn_pairs"],
        distrusted=report["distrusted"],
        tokenizer=_hash(arguments["tokenizer"]),
    )
    folder = f"{building_path(root, build)}/{bot}"
    _gather(bot, folder, building_path(root, build), files)
    files.write(f"{folder}/{MANIFEST}", manifest.to_json().encode())
    if report["faults"]:
        target = quarantined_dataset_path(root, bot, build)
        files.publish_folder(folder, target)
        return _result(manifest, target, report["faults"], published=False)
    target = dataset_path(root, bot, manifest.dataset_id)
    published = files.publish_folder(folder, target)
    if not published and previous is not None:
        if previous.dataset_id == manifest.dataset_id:
            manifest = previous
        else:
            record_rebuild(files, root, manifest)
    return _result(manifest, target, [], published=published)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DATASET_ID_CHARS]


def _gather(bot: str, folder: str, building: str, files: Files) -> None:
    """Move Spark's folder of each split to the dataset's ``.parquet`` folder of that split."""
    for split in SPLITS:
        rows = f"{building}/bot={bot}/split={split}"
        if files.exists(rows):
            files.publish_folder(rows, f"{folder}/{split}.parquet")


def _result(manifest: Manifest, path: str, faults: Sequence[str], *, published: bool) -> BuiltDataset:
    return BuiltDataset(
        dataset_id=None if faults else manifest.dataset_id,
        path=path,
        counts=manifest.counts,
        sources=manifest.sources,
        rejects=manifest.rejects,
        new_pairs=manifest.new_pairs,
        withdrawn_pairs=manifest.withdrawn_pairs,
        seeds_superseded=manifest.seeds_superseded,
        published=published,
        faults=tuple(faults),
    )
