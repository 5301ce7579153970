"""This release opens and uses the homes of earlier releases: nothing is lost or doubled.

Each packed home in this folder was made by ``make_home.sh`` with the release in its name.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka.record.memory_records import MemoryRecords

from kogpt2_chat import bootstrap
from kogpt2_chat.artifact.card import verify_folder
from kogpt2_chat.client.ask import ReceivedAnswer, Utterance
from kogpt2_chat.corpora.dataset_rows import rows_with_hash, training_rows
from kogpt2_chat.corpora.datasets import local_dataset
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.jobs.build_dataset import build_dataset
from kogpt2_chat.jobs.export_daily_csv import export_daily_csv
from kogpt2_chat.jobs.index import index
from kogpt2_chat.jobs.ingest import IngestResult, ingest
from kogpt2_chat.lake.manifests import newest_manifest, read_manifest
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.stack.stack import down, up
from tests.conftest import free_offset
from tests.loop import ask_bots
from tests.upgrade.homes import HOMES, PLACE, PackedHome, alone, move_times, unpack

MOST_BYTES = 5_000_000
SERVICES = ("kafka", "hdfs", "elasticsearch", "mlflow", "worker")
RELEASES = [home.release for home in HOMES]
ASKED = 3
DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture(params=HOMES, ids=RELEASES, scope="module")
def packed(request: pytest.FixtureRequest) -> PackedHome:
    home: PackedHome = request.param
    return home


def test_a_packed_home_stays_small(packed: PackedHome) -> None:
    """It is part of every clone of the repository."""
    assert packed.packed.stat().st_size <= MOST_BYTES


def test_a_packed_home_has_no_files_outside_its_folder(packed: PackedHome) -> None:
    """Unpacking it writes only into its own folder, and it contains no links."""
    with tarfile.open(packed.packed) as archive:
        members = archive.getmembers()
    assert {member.name.split("/")[0] for member in members} == {"home"}
    assert all(member.isfile() or member.isdir() for member in members)


def test_versions_of_an_earlier_release_are_complete(packed: PackedHome, tmp_path: Path) -> None:
    """The cards of its version folders can be read, and every file has the hash on its card."""
    home = unpack(packed, tmp_path)
    folders = [card.parent for card in home.rglob("model.json")]
    assert {verify_folder(folder).bot for folder in folders} == {packed.facts["bot"]}


def test_records_of_an_old_home_stay_readable_when_their_times_are_moved(packed: PackedHome, tmp_path: Path) -> None:
    """Their checksums are valid, and their values are unchanged."""
    logs = [log for log in unpack(packed, tmp_path).glob(f"data/kafka/{TURN_TOPIC}-*/*.log") if log.stat().st_size]
    for log in logs:
        before, after = log.read_bytes(), move_times(log.read_bytes(), DAY_MS)
        assert [(value, time + DAY_MS) for value, time in values_and_times(before)] == values_and_times(after)
    assert logs


def values_and_times(segment: bytes) -> list[tuple[bytes, int]]:
    batches, found = MemoryRecords(segment), []
    while (batch := batches.next_batch()) is not None:
        assert batch.validate_crc()
        found += [(record.value, record.timestamp) for record in batch]
    return found


def test_one_home_is_opened_at_a_time(tmp_path: Path) -> None:
    """A second test run reports that it waits, and continues when the first one has finished."""
    order, waits = [], threading.Event()

    def second() -> None:
        with alone(tmp_path, lambda line: (order.append(line), waits.set())):  # type: ignore[func-returns-value]
            order.append("second")

    other = threading.Thread(target=second)
    with alone(tmp_path, pytest.fail):
        other.start()
        waits.wait()
        order.append("first")
    other.join()
    assert order == [
        f"another process holds the lock {tmp_path / 'lock'}: waiting until it is released",
        "first",
        "second",
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHome:
    """A home on this release's servers, after a player has asked some of its questions again."""

    settings: Settings
    facts: dict[str, Any]
    replies: list[ReceivedAnswer]

    @property
    def turn_ids(self) -> list[str]:
        """The ids of all its turns, old and new."""
        return sorted([*self.facts["turn_ids"], *self.facts["waiting"], *(reply.turn_id for reply in self.replies)])


@pytest.fixture(scope="module")
def open_home(packed: PackedHome) -> Iterator[OpenHome]:
    """The home, opened by this release's code on other ports; it is stopped and removed at the end."""
    with alone(PLACE, print), pytest.MonkeyPatch.context() as patch:
        variables = {**packed.facts["environment"], "KOGPT2_PORTS__OFFSET": str(free_offset())}
        for name, value in variables.items():
            patch.setenv(name, value)
        settings = load_settings()
        down(settings, progress=print, wipe=True)  # what a killed test run has left
        unpack(packed, PLACE)
        try:
            up(settings, SERVICES, progress=print, on_ready=lambda: bootstrap.prepare_servers(settings))
            asked = packed.facts["replies"][:ASKED]
            replies = ask_bots(
                settings, *(Utterance(bot=reply["bot"], sender="노을", text=reply["question"]) for reply in asked)
            )
            yield OpenHome(settings=settings, facts=packed.facts, replies=replies)
        finally:
            kept = bool(os.environ.get("KOGPT2_TEST_KEEP"))
            down(settings, progress=print, wipe=not kept)
            if not kept:
                shutil.rmtree(settings.home)


def test_the_champion_still_answers(open_home: OpenHome) -> None:
    """The registry still has it as champion. Its exact answers may differ, since they depend on the processor."""
    version = open_home.facts["version"]
    assert [(reply.version, reply.fallback) for reply in open_home.replies] == [(str(version), None)] * ASKED
    champion = bootstrap.registry(open_home.settings).by_alias(open_home.facts["bot"], "champion")
    assert champion is not None
    assert (champion.version, champion.tags["gate"]) == (version, "pass")


def test_ingest_continues_where_the_earlier_release_stopped(open_home: OpenHome) -> None:
    """The turns that were not ingested are added once, none is reported as lost, and a second run adds nothing."""
    settings, facts = open_home.settings, open_home.facts
    topics, tables = bootstrap.topics(settings), bootstrap.tables(settings)
    assert turns_in_lake(settings) == facts["turn_ids"]
    first, again = (ingest(topics=topics, tables=tables, settings=settings) for _ in range(2))
    assert (rows(first, "turns"), rows(first, "feedback")) == (len(facts["waiting"]) + ASKED, 0)
    assert (rows(again, "turns"), rows(again, "feedback")) == (0, 0)
    assert first.lost == again.lost == ()
    assert turns_in_lake(settings) == open_home.turn_ids


def turns_in_lake(settings: Settings) -> list[str]:
    return sorted(str(row["turn_id"]) for row in bootstrap.tables(settings).read("turns", ["turn_id"]))


def rows(result: IngestResult, table: str) -> int:
    added: int = getattr(result, table).rows
    return added


def test_index_and_daily_files_are_made_from_the_lake(open_home: OpenHome) -> None:
    """The index is filled again, and the daily files contain all questions of the earlier release."""
    settings, files = open_home.settings, bootstrap.files(open_home.settings)
    tables = bootstrap.tables(settings)
    filled = index(tables=tables, index=bootstrap.index(settings))
    assert (filled.documents, filled.kept_out) == (len(open_home.turn_ids), 0)
    packed_at = datetime.fromtimestamp(open_home.facts["packed_at"], UTC)
    written = export_daily_csv(tables=tables, files=files, settings=settings, now=packed_at).written
    texts = [files.read(path).decode() for path in written]
    assert all(any(reply["question"] in text for text in texts) for reply in open_home.facts["replies"])


def test_an_old_answer_is_traced_to_its_version_and_dataset(open_home: OpenHome) -> None:
    """The old version has no description, and its decision no values of the baseline: all else is found."""
    facts, settings = open_home.facts, open_home.settings
    found = traced(facts["turn_ids"][0])
    assert (found["turn"]["outcome"], found["positions"]["question"]["topic"]) == ("model", "bot_question")
    assert found["positions"]["log"]["topic"] == TURN_TOPIC
    version, run, dataset = found["version"], found["run"], found["dataset"]
    assert (version["version"], version["aliases"]) == (facts["version"], ["champion"])
    assert run["url"].startswith(f"{settings.mlflow_url}/#/experiments/")
    assert run["started_at"] < run["ended_at"] < version["registered_at"]
    assert dataset["dataset"] == facts["dataset"]
    assert found["gate"]["result"] == "pass"
    assert {reason["baseline"] for reason in found["gate"]["reasons"]} == {None}
    assert len(found["nearest_rows"]) == 5
    assert found["notes"] == []
    assert bootstrap.registry(settings).get(facts["bot"], facts["version"]).description == ""


def test_an_old_row_is_traced_to_its_dataset_and_version(open_home: OpenHome) -> None:
    """By its hash, which went into the earlier release's content hash, and by its turn, if a player taught it."""
    bot, dataset, files = open_home.facts["bot"], open_home.facts["dataset"], bootstrap.files(open_home.settings)
    folder = local_dataset(bot, dataset, files, open_home.settings)
    hashes = sorted(row.row_hash for row in rows_with_hash(folder, ""))
    manifest = read_manifest(files, open_home.settings.hdfs.root, bot, dataset)
    assert hashlib.sha256("\n".join(hashes).encode()).hexdigest() == manifest.content_hash
    learned = training_rows(folder)
    for asked in {learned[0].row_hash[:12], *(row.turn_id for row in learned if row.turn_id)}:
        found = traced("--row", asked)
        assert [one["dataset"] for one in found["datasets"]] == [dataset]
        assert [(one["version"], one["aliases"], one["how"]) for one in found["learned_by"]] == [
            (open_home.facts["version"], ["champion"], "dataset")
        ]
        assert (found["withdrawn"], found["distrusted"], found["notes"]) == (False, [], [])


def traced(*arguments: str) -> dict[str, Any]:
    """Return what the command prints."""
    command = [sys.executable, "-m", "kogpt2_chat.cli", "lineage", *arguments, "--json"]
    started = time.monotonic()
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    print(f"lineage {' '.join(arguments)}: {time.monotonic() - started:.1f} s")
    found: dict[str, Any] = json.loads(printed)
    return found


def test_a_dataset_is_made_from_rows_of_both_releases(open_home: OpenHome) -> None:
    """The earlier release's manifest can be read, and the new manifest becomes the newest one."""
    settings, bot = open_home.settings, open_home.facts["bot"]
    files = bootstrap.files(settings)
    before = newest_manifest(files, settings.hdfs.root, bot)
    assert before is not None
    assert before.dataset_id == open_home.facts["dataset"]
    (made,) = build_dataset(
        bots=[bot],
        spark=bootstrap.spark(settings),
        tables=bootstrap.tables(settings),
        files=files,
        settings=settings,
        progress=print,
    ).datasets.values()
    assert made.faults == ()
    newest = newest_manifest(files, settings.hdfs.root, bot)
    assert newest is not None
    assert newest.dataset_id == made.dataset_id
    assert newest.sources["seed"] > 0
