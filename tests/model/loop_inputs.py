"""The pairs, corpora, datasets and settings of tests that run complete trainings."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.ports import Files
from kogpt2_chat.settings import Settings

SEEDS = [
    ("안녕", "안녕하세요! 별마루에 잘 오셨어요."),
    ("뭐 하고 놀까?", "달빛호수에서 같이 산책해요."),
    ("축제 언제 해?", "등불축제는 토요일 저녁에 열려요."),
    ("피곤해", "힘들었겠어요. 잠깐 쉬어 가요."),
    ("고백하고 싶어", "웃으면서 솔직하게 말해 봐요!"),
    ("배고파", "등불시장 꼬치구이가 맛있대요."),
    ("책 읽고 싶다", "속삭임도서관은 늘 열려 있어요."),
    ("바람 쐬고 싶어", "바람언덕에서 연을 날려 봐요."),
]
RowsOf = Callable[[list[tuple[str, str]], str, float], list[dict[str, object]]]
GOLD = [("하이", "반가워요!"), ("심심해", "같이 산책할래요?"), ("책 추천해 줘", "속삭임도서관에 가 봐요.")]


def csv_lines(pairs: list[tuple[str, str]]) -> str:
    """Return the content of a corpus file with these pairs."""
    return "question,answer,topic\n" + "".join(f"{question},{answer},일상\n" for question, answer in pairs)


def loop_settings(folder: Path) -> Settings:
    """Write small corpora, and return settings for a home and a cache in a folder and a tiny base that learns fast."""
    corpora = folder / "corpora"
    for bot in BOT_IDS:
        (corpora / bot).mkdir(parents=True, exist_ok=True)
        (corpora / bot / "seed.csv").write_text(csv_lines(SEEDS), "utf-8")
        (corpora / bot / "gold.csv").write_text(csv_lines(GOLD), "utf-8")
        golden = [{"question": "축제 언제 해?", "any_of": ["토요일"], "must_pass": True}]
        (corpora / bot / "golden.json").write_text(json.dumps(golden, ensure_ascii=False), "utf-8")
    return Settings(
        home=folder / "home",
        cache=folder / "cache",
        learning={"corpora": corpora},
        model={"base": "small", "threads": 1, "max_new_tokens": 40, "small_layers": 2, "small_width": 64, "small_heads": 2,
               "small_vocabulary": 700, "small_epochs": 40, "small_learning_rate": 5e-3},
        training={"epochs": 25, "batch_size": 8, "precision": "fp32", "learning_rate": 3e-3},
    )  # fmt: skip


def put_dataset(
    files: Files,
    dataset_id: str,
    train: Callable[[RowsOf], list[dict[str, object]]],
    bot: str = "ChatbotA",
    held_out: Sequence[tuple[str, str]] = (),
) -> None:
    """Publish a dataset as a build does.

    Args:
        files: where to publish it.
        dataset_id: its id.
        train: returns the rows of the train split; its argument makes rows of pairs, a source and a weight.
        bot: the bot's id.
        held_out: taught pairs of the test split.
    """

    def rows(pairs: list[tuple[str, str]], source: str, weight: float) -> list[dict[str, object]]:
        return [
            {"question": question, "answer": answer, "source": source, "topic": "", "weight": weight, "turn_id": "",
             "player_id": "", "cluster": f"{source}{index}"}
            for index, (question, answer) in enumerate(pairs)
        ]  # fmt: skip

    folder = dataset_path("/Chatbot", bot, dataset_id)
    test = [*rows(GOLD, "seed", 1), *rows(list(held_out), "correction", 1)]
    for split, content in (("train", train(rows)), ("val", rows(GOLD, "seed", 1)), ("test", test)):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(content), sink)
        files.write(f"{folder}/{split}.parquet/part-0.parquet", sink.getvalue().to_pybytes())
        files.write(f"{folder}/{split}.parquet/_SUCCESS", b"")
    manifest = Manifest(
        bot=bot, dataset_id=dataset_id, content_hash=dataset_id, created_at="", counts={}, sources={}, rejects={},
        new_pairs=0, previous=None, table_versions={},
    )  # fmt: skip
    files.write(f"{folder}/manifest.json", manifest.to_json().encode())
