"""The complete dataset job on real servers: from Delta tables on HDFS to published Parquet, with spark-submit."""

import csv
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.lake.layout import feedback_row, turn_row
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.jobs.build_dataset import BuiltDataset, build_dataset
from kogpt2_chat.ports import Files, SparkJobs, Tables
from kogpt2_chat.settings import Settings

pytestmark = pytest.mark.stack
BOTS = ("ChatbotA", "ChatbotB")
OLD = datetime.now(UTC) - timedelta(days=2)


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Return settings with a lake and corpora that only this module uses."""
    corpora = tmp_path_factory.mktemp("corpora")
    for bot in BOTS:
        (corpora / bot).mkdir()
        for name, count in (("seed", 40), ("gold", 3)):
            with (corpora / bot / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["question", "answer", "topic"])
                writer.writerows([f"{name} 질문 {n}번?", f"{name} 대답, {n}번이에요.", "인사"] for n in range(count))
    root = f"/contract/{uuid.uuid4().hex}"
    yield stack_settings.model_copy(
        update={
            "hdfs": stack_settings.hdfs.model_copy(update={"root": root}),
            "learning": stack_settings.learning.model_copy(
                update={"corpora": corpora, "min_age_hours": 24, "auto_review": True}
            ),
        }
    )
    from kogpt2_chat import bootstrap

    bootstrap.files(stack_settings).delete(root)


@pytest.fixture(scope="module")
def files(settings: Settings) -> Files:
    from kogpt2_chat import bootstrap

    return bootstrap.files(settings)


@pytest.fixture(scope="module")
def spark_jobs(settings: Settings) -> SparkJobs:
    from kogpt2_chat import bootstrap

    return bootstrap.spark(settings)


def teach(tables: Tables) -> None:
    """Append one praised turn, one corrected, one without feedback and one without consent."""
    turns, marks = [], []
    for n, (kind, consent) in enumerate([("up", True), ("correction", True), (None, True), ("up", False)]):
        turn = Turn(
            turn_id=f"bot_question-0-{n}",
            question_id=str(n),
            bot="ChatbotA",
            player_id="별이",
            sender="별이",
            text=f"새로운 질문 {n}번?",
            answer=f"봇의 대답 {n}번이에요.",
            received_at=OLD.isoformat(),
            answered_at=OLD.isoformat(),
            latency_ms=1,
            consent_store=True,
            consent_train=consent,
            source="v1",
            worker="worker-1",
        )
        position = {"partition": 0, "offset": n, "timestamp_ms": int(OLD.timestamp() * 1000), "ingested_at": OLD}
        turns.append(turn_row(turn, **position))  # type: ignore[arg-type]
        if kind:
            mark = Feedback(
                feedback_id=str(n),
                turn_id=turn.turn_id,
                player_id="별이",
                kind=kind,  # type: ignore[arg-type]
                text="고친 대답이에요.",
                sent_at=OLD.isoformat(),
            )
            marks.append(feedback_row(mark, **position))  # type: ignore[arg-type]
    tables.append("turns", turns, {})
    tables.append("feedback", marks, {})


def rows_of(folder: Path) -> list[dict[str, object]]:
    from pyarrow import parquet

    return [
        row | {"split": split}
        for split in ("train", "val", "test")
        for row in parquet.read_table(folder / f"{split}.parquet").to_pylist()
    ]


def test_a_dataset_changes_only_with_new_pairs_of_its_bot(
    settings: Settings, files: Files, spark_jobs: SparkJobs, tmp_path: Path
) -> None:
    """The first datasets have only seeds; feedback on one bot changes its dataset and not the other bot's."""
    from kogpt2_chat import bootstrap

    tables = bootstrap.tables(settings)

    def build() -> Mapping[str, BuiltDataset]:
        return build_dataset(
            bots=BOTS, spark=spark_jobs, tables=tables, files=files, settings=settings, progress=print
        ).datasets

    first = build()
    assert first["ChatbotA"].sources == {"seed": 40, "correction": 0, "praised": 0}
    assert first["ChatbotA"].new_pairs == 40

    teach(tables)
    second = build()
    assert second["ChatbotA"].sources == {"seed": 40, "correction": 1, "praised": 1}
    assert second["ChatbotA"].rejects == {"disliked": 1, "no_consent": 1, "unmarked": 1}
    assert second["ChatbotA"].new_pairs == 2
    assert second["ChatbotB"].dataset_id == first["ChatbotB"].dataset_id
    assert second["ChatbotB"].published is False

    rows = rows_of(files.download(second["ChatbotA"].path, tmp_path))
    assert len(rows) == 42
    taught = {(row["source"], row["answer"], row["weight"], row["split"]) for row in rows if row["source"] != "seed"}
    weight = settings.training.new_pair_weight
    assert taught == {
        ("praised", "봇의 대답 0번이에요.", weight, "train"),
        ("correction", "고친 대답이에요.", weight, "train"),
    }
    manifest = Manifest.from_json((tmp_path / str(second["ChatbotA"].dataset_id) / "manifest.json").read_bytes())
    assert manifest.previous == first["ChatbotA"].dataset_id
    assert manifest.table_versions["turns"] is not None
