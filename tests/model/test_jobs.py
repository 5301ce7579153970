"""The training jobs on doubles: base, fine-tuning, registration, the gate."""

import json

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.jobs.evaluate import evaluate
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.jobs.nominate import nominate
from kogpt2_chat.jobs.prepare_base import prepare_base
from kogpt2_chat.jobs.register import register
from kogpt2_chat.lake.manifests import note_rebuilt
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import MemoryRegistry

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
TAUGHT = [
    ("거울동굴이 어디야?", "바람언덕 아래 오솔길 끝이에요."),
    ("콩떡이 누구야?", "포털 앞을 지키는 고양이 역장님이에요."),
]
GOLD = [("하이", "반가워요!"), ("심심해", "같이 산책할래요?"), ("책 추천해 줘", "속삭임도서관에 가 봐요.")]


def csv_lines(pairs):
    return "question,answer,topic\n" + "".join(f"{question},{answer},일상\n" for question, answer in pairs)


@pytest.fixture
def settings(tmp_path) -> Settings:
    corpora = tmp_path / "corpora"
    for bot in BOT_IDS:
        folder = corpora / bot
        folder.mkdir(parents=True)
        (folder / "seed.csv").write_text(csv_lines(SEEDS), "utf-8")
        (folder / "gold.csv").write_text(csv_lines(GOLD), "utf-8")
        golden = [{"question": "축제 언제 해?", "any_of": ["토요일"], "must_pass": True}]
        (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False), "utf-8")
    return Settings(
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        learning={"corpora": corpora},
        model={"base": "small", "threads": 1, "max_new_tokens": 40, "small_layers": 2, "small_width": 64, "small_heads": 2,
               "small_vocabulary": 700, "small_epochs": 40, "small_learning_rate": 5e-3},
        training={"epochs": 25, "batch_size": 8, "precision": "fp32", "learning_rate": 3e-3},
    )  # fmt: skip


def put_dataset(files, version, train, bot="ChatbotA"):
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(pairs, source, weight):
        return [
            {"question": question, "answer": answer, "source": source, "topic": "", "weight": weight, "turn_id": "",
             "player_id": "", "cluster": f"{source}{number}"}
            for number, (question, answer) in enumerate(pairs)
        ]  # fmt: skip

    folder = dataset_path("/Chatbot", bot, version)
    for split, content in (("train", train(rows)), ("val", rows(GOLD, "seed", 1)), ("test", rows(GOLD, "seed", 1))):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(content), sink)
        files.write(f"{folder}/{split}.parquet/part-0.parquet", sink.getvalue().to_pybytes())
        files.write(f"{folder}/{split}.parquet/_SUCCESS", b"")
    manifest = Manifest(
        bot=bot, version=version, content_hash=version, created_at="", counts={}, sources={}, rejects={}, new_pairs=0,
        previous=None, table_versions={},
    )  # fmt: skip
    files.write(f"{folder}/manifest.json", manifest.to_json().encode())


def test_training_from_seeds_to_a_taught_version(settings):
    """The second base comes from the cache; version 1 learns the seeds, version 2 also pairs that players taught."""
    said = []
    base = prepare_base(settings=settings, progress=said.append)
    said.clear()
    assert prepare_base(settings=settings, progress=said.append) == base
    assert said == []

    files, registry = InMemoryFiles(), MemoryRegistry()
    put_dataset(files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
    put_dataset(files, "bbbb", lambda rows: rows(SEEDS, "seed", 1) + rows(TAUGHT, "correction", 4))
    ports = {"registry": registry, "settings": settings}
    decisions = {}
    for version, dataset in ((1, "aaaa"), (2, "bbbb")):
        done = finetune(
            bot="ChatbotA", dataset=dataset, mode="from_base", epochs=None, files=files, progress=said.append, **ports
        )
        assert register(bot="ChatbotA", run_id=done["run_id"], **ports)["version"] == version
        decisions[version] = evaluate(bot="ChatbotA", version=version, files=files, progress=said.append, **ports)
        registry.set_alias("ChatbotA", "champion", version)

    run = registry.runs[registry.get("ChatbotA", 2).run_id]
    assert len(run.metrics["loss"]) == settings.training.epochs
    assert {"version/model.json", "version/model.safetensors", "training/loss.png", "training/samples.md",
            "decision.json", "decision.html"} <= set(run.files)  # fmt: skip
    card = json.loads(run.files["version/model.json"])
    assert (card["dataset"], card["base"], card["licence"], card["bot"]) == ("bbbb", "small", "Apache-2.0", "ChatbotA")
    samples = json.loads(run.files["training/samples.json"])
    assert [row["answer"] for row in samples] == [row["expected"] for row in samples]

    reasons = {reason.rule: reason for reason in decisions[2].reasons}
    assert decisions[1].opponent == "base"
    assert decisions[2].opponent == "champion 1"
    assert reasons["better_on_taught"].passed
    assert reasons["must_pass"].passed

    # The champion has learned pairs that were withdrawn since, so training must start from the base.
    # The dataset without these pairs is the first one again, because its id is the hash of its content.
    again = Manifest(
        bot="ChatbotA", version="aaaa", content_hash="aaaa", created_at="", counts={}, sources={}, rejects={},
        new_pairs=0, previous="bbbb", table_versions={}, withdrawn_pairs=len(TAUGHT),
    )  # fmt: skip
    note_rebuilt(files, "/Chatbot", again)
    said.clear()
    done = finetune(
        bot="ChatbotA", dataset="aaaa", mode="from_champion", epochs=1, files=files, progress=said.append, **ports
    )
    assert done["parent"] == ""
    assert any("2 pairs that version 2 has learned were withdrawn: starting from the base" in line for line in said)
    assert registry.get("ChatbotA", 2).tags["gate"] == ("pass" if decisions[2].passed else "refused")
    if decisions[2].passed:
        assert nominate(bot="ChatbotA", version=2, registry=registry)["version"] == 2
