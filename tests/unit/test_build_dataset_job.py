"""Publishing datasets after Spark has written their rows."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.jobs.build_dataset import BuiltDataset, build_dataset
from kogpt2_chat.lake.manifests import newest_manifest
from kogpt2_chat.settings import Hdfs, Learning, Model, Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.spark import ScriptedSparkJobs
from kogpt2_chat.training.base_record import BaseRecord, write_record
from kogpt2_chat.training.small_key import SHIPPED

HASH = "0123456789abcdef"
LAKE_URI = "hdfs://127.0.0.1:9000"


@pytest.fixture
def files() -> InMemoryFiles:
    return InMemoryFiles()


@pytest.fixture
def tables() -> InMemoryTables:
    return InMemoryTables()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for bot in ("ChatbotA", "ChatbotB"):
        (tmp_path / bot).mkdir()
        for name in ("seed", "gold"):
            (tmp_path / bot / f"{name}.csv").write_text(
                f'question,answer,topic\n{name} 질문,"{name}, 대답",인사\n', encoding="utf-8"
            )
    return Settings(
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        hdfs=Hdfs(uri=LAKE_URI),
        learning=Learning(corpora=tmp_path),
        model=Model(base="small"),
    )


def spark_that_writes(
    files: InMemoryFiles, faults: Mapping[str, list[str]] | None = None, content_hash: str = HASH
) -> ScriptedSparkJobs:
    def job(arguments: Mapping[str, Any]) -> dict[str, object]:
        output = str(arguments["output"]).removeprefix(LAKE_URI)
        for bot in arguments["bots"]:
            for split in ("train", "val", "test"):
                files.write(f"{output}/bot={bot}/split={split}/part-0.parquet", bot.encode())
        return {
            bot: {
                "content_hash": content_hash,
                "counts": {"train": 1, "val": 1, "test": 1},
                "sources": {"seed": 3},
                "rejects": {"unmarked": 2},
                "new_pairs": 3,
                "withdrawn_pairs": 1,
                "seeds_superseded": 2,
                "distrusted": {"players": 1, "turns": 0},
                "faults": (faults or {}).get(bot, []),
            }
            for bot in arguments["bots"]
        }

    return ScriptedSparkJobs({"build_dataset": job})


Build = Callable[..., dict[str, dict[str, object]]]


@pytest.fixture
def build(files: InMemoryFiles, tables: InMemoryTables, settings: Settings) -> Build:
    def run(spark: ScriptedSparkJobs, *bots: str) -> Mapping[str, BuiltDataset]:
        return build_dataset(
            bots=bots, spark=spark, tables=tables, files=files, settings=settings, progress=lambda _: None
        ).datasets

    return run


def test_all_bots_are_built_in_one_application_and_published(files: InMemoryFiles, build: Build) -> None:
    """The id is the first 12 characters of the hash; a manifest is written; no build folder remains."""
    spark = spark_that_writes(files)
    result = build(spark, "ChatbotA", "ChatbotB")
    assert len(spark.submitted) == 1
    assert result["ChatbotA"].dataset_id == "0123456789ab"
    folder = "/Chatbot/datasets/ChatbotB/0123456789ab"
    assert files.list(folder) == ["manifest.json", "test.parquet", "train.parquet", "val.parquet"]
    manifest = Manifest.from_json(files.read(f"{folder}/manifest.json"))
    assert manifest.rejects == {"unmarked": 2}
    assert (manifest.seeds_superseded, manifest.withdrawn_pairs) == (2, 1)
    assert manifest.distrusted == {"players": 1, "turns": 0}
    assert files.list("/Chatbot/datasets/.building") == []


def test_spark_reads_fixed_table_versions(files: InMemoryFiles, tables: InMemoryTables, build: Build) -> None:
    """The newest table version, or None for a missing table; gold is passed by its keys."""
    for _ in range(3):
        tables.append("turns", [], {})
    spark = spark_that_writes(files)
    build(spark, "ChatbotA")
    arguments = spark.submitted[0][1]
    assert arguments["tables"] == {
        "turns": {"path": f"{LAKE_URI}/Chatbot/lake/turns", "table_version": 2},
        "feedback": {"path": f"{LAKE_URI}/Chatbot/lake/feedback", "table_version": None},
        "distrust": {"path": f"{LAKE_URI}/Chatbot/lake/distrust", "table_version": None},
    }
    assert arguments["seeds"] == [["ChatbotA", "seed 질문", "seed, 대답", "인사"]]
    assert arguments["gold"] == [["ChatbotA", "gold대답"], ["ChatbotA", "gold질문"]]
    assert arguments["previous"] == {}


def test_answers_are_measured_with_the_tokenizer_of_the_configured_base(
    files: InMemoryFiles, build: Build, settings: Settings
) -> None:
    """The base that the home recorded does not matter. Spark gets the tokenizer, and the manifest its hash."""
    write_record(settings.home, BaseRecord.now(asked="auto", name="another", folder=settings.home, sha="x"))
    spark = spark_that_writes(files)
    build(spark, "ChatbotB")
    tokenizer = (SHIPPED / "tokenizer.json").read_text("utf-8")
    assert spark.submitted[0][1]["tokenizer"] == tokenizer
    assert spark.submitted[0][1]["rules"]["max_answer_tokens"] == settings.model.max_new_tokens
    manifest = newest_manifest(files, "/Chatbot", "ChatbotB")
    assert manifest is not None
    assert manifest.rules["quarantine_hours"] == settings.learning.min_age_hours, "the name in contracts"
    assert manifest.tokenizer == hashlib.sha256(tokenizer.encode()).hexdigest()[:12]


def test_without_a_base_nothing_is_built(files: InMemoryFiles, build: Build, settings: Settings) -> None:
    """No bot could be trained, so the job fails before it starts Spark."""
    (settings.home / "empty").mkdir(parents=True)
    object.__setattr__(settings, "model", Model(base=str(settings.home / "empty")))
    spark = spark_that_writes(files)
    with pytest.raises(InvalidInput, match="has neither model.safetensors nor"):
        build(spark, "ChatbotA")
    assert spark.submitted == []


def test_the_same_content_is_published_once(files: InMemoryFiles, build: Build) -> None:
    """The second build returns the manifest of the first and changes nothing."""
    build(spark_that_writes(files), "ChatbotA")
    before = dict(files.content_by_path)
    spark = spark_that_writes(files)
    result = build(spark, "ChatbotA")
    assert files.content_by_path == before
    assert (result["ChatbotA"].published, result["ChatbotA"].dataset_id) == (False, "0123456789ab")
    assert spark.submitted[0][1]["previous"] == {"ChatbotA": f"{LAKE_URI}/Chatbot/datasets/ChatbotA/0123456789ab"}


def test_content_that_returns_is_the_newest_dataset_again(files: InMemoryFiles, build: Build) -> None:
    """If a pair was learned and then withdrawn, the withdrawal is recorded, so that it leads to a retraining."""
    build(spark_that_writes(files), "ChatbotA")
    build(spark_that_writes(files, content_hash=HASH[::-1]), "ChatbotA")
    first = files.read("/Chatbot/datasets/ChatbotA/0123456789ab/manifest.json")

    again = build(spark_that_writes(files), "ChatbotA")["ChatbotA"]

    assert (again.published, again.dataset_id, again.withdrawn_pairs) == (False, "0123456789ab", 1)
    newest = newest_manifest(files, "/Chatbot", "ChatbotA")
    assert newest is not None
    assert (newest.dataset_id, newest.previous) == ("0123456789ab", HASH[::-1][:12])
    assert files.read("/Chatbot/datasets/ChatbotA/0123456789ab/manifest.json") == first
    spark = spark_that_writes(files)
    build(spark, "ChatbotA")
    assert spark.submitted[0][1]["previous"] == {"ChatbotA": f"{LAKE_URI}/Chatbot/datasets/ChatbotA/0123456789ab"}


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"bot": "ChatbotA"}', "한글".encode("cp949")])
def test_a_folder_that_is_not_a_dataset_is_skipped(files: InMemoryFiles, build: Build, content: bytes | None) -> None:
    """A foreign folder must not make every later build fail."""
    foreign = "/Chatbot/datasets/ChatbotA/사본"
    files.write(f"{foreign}/notes.txt" if content is None else f"{foreign}/manifest.json", content or b"")
    build(spark_that_writes(files), "ChatbotA")
    spark = spark_that_writes(files)
    build(spark, "ChatbotA")
    assert spark.submitted[0][1]["previous"] == {"ChatbotA": f"{LAKE_URI}/Chatbot/datasets/ChatbotA/0123456789ab"}


def test_a_faulty_dataset_goes_to_quarantine_and_others_pass(files: InMemoryFiles, build: Build) -> None:
    """Its rows and manifest are kept for inspection; it has no dataset id."""
    result = build(spark_that_writes(files, {"ChatbotA": ["val is empty"]}), "ChatbotA", "ChatbotB")
    assert result["ChatbotA"].dataset_id is None
    assert result["ChatbotA"].faults == ("val is empty",)
    assert files.exists(f"{result['ChatbotA'].path}/train.parquet")
    assert newest_manifest(files, "/Chatbot", "ChatbotA") is None
    assert result["ChatbotB"].dataset_id == "0123456789ab"


def test_if_every_dataset_has_faults_the_job_fails(files: InMemoryFiles, build: Build) -> None:
    """The error lists the faults."""
    with pytest.raises(InvalidInput, match="ChatbotA: val is empty"):
        build(spark_that_writes(files, {"ChatbotA": ["val is empty"]}), "ChatbotA")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Q,A,label\n", "expected the header question,answer,topic, found Q,A,label"),
        ("question,answer,topic\n안녕,,인사\n", "line 2: no answer: .안녕,,인사"),
        ("question,answer,topic\n안녕,\n", "line 2: expected 3 columns .question,answer,topic., found 2: .안녕,"),
    ],
)
def test_a_malformed_corpus_is_reported_with_its_row(
    files: InMemoryFiles, build: Build, settings: Settings, content: str, message: str
) -> None:
    """The error comes before Spark starts."""
    (settings.learning.corpora / "ChatbotA" / "seed.csv").write_text(content, encoding="utf-8")
    spark = spark_that_writes(files)
    with pytest.raises(InvalidInput, match=message):
        build(spark, "ChatbotA")
    assert spark.submitted == []


def test_without_a_gold_set_nothing_is_built(files: InMemoryFiles, build: Build, settings: Settings) -> None:
    """No version could pass the gate, so the job fails before it starts Spark and names the bot."""
    (settings.learning.corpora / "ChatbotB" / "gold.csv").write_text("question,answer,topic\n\n", encoding="utf-8")
    spark = spark_that_writes(files)
    with pytest.raises(InvalidInput, match="gold.csv has no pairs: .* no version of ChatbotB"):
        build(spark, "ChatbotA", "ChatbotB")
    assert spark.submitted == []


class ReadOnlyFiles(InMemoryFiles):
    """A lake that refuses changes, as HDFS does in safe mode."""

    def delete(self, path: str) -> None:
        raise Unavailable(f"cannot delete {path}: in safe mode")


def test_the_cause_of_a_failed_build_is_reported_even_if_its_folder_cannot_be_removed(settings: Settings) -> None:
    """A full disk causes both errors. The first one is raised, with a note that names the remaining folder."""

    def fail(_arguments: Mapping[str, Any]) -> dict[str, object]:
        raise Unavailable("Spark job build_dataset ended with code 1")

    with pytest.raises(Unavailable, match="ended with code 1") as raised:
        build_dataset(
            bots=["ChatbotA"],
            spark=ScriptedSparkJobs({"build_dataset": fail}),
            tables=InMemoryTables(),
            files=ReadOnlyFiles(),
            settings=settings,
            progress=lambda _: None,
        )
    (note,) = raised.value.__notes__
    assert "/Chatbot/datasets/.building/2" in note
    assert "safe mode" in note


def test_the_folder_of_a_killed_build_is_removed_after_a_day(files: InMemoryFiles, build: Build) -> None:
    """A younger build may still be running, and the age of a folder without a time in its name is unknown."""
    now = datetime.now(UTC)
    kept = [f"{now - timedelta(hours=23):%Y%m%dT%H%M%SZ}-{'a' * 32}", "b" * 32]
    for name in (*kept, f"{now - timedelta(hours=25):%Y%m%dT%H%M%SZ}-{'c' * 32}"):
        files.write(f"/Chatbot/datasets/.building/{name}/bot=ChatbotA/part", b"")
    build(spark_that_writes(files), "ChatbotA")
    assert files.list("/Chatbot/datasets/.building") == kept
