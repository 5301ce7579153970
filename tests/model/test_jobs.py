"""The training jobs on doubles: base, fine-tuning, registration, the gate."""

import json

import pytest

from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.jobs.evaluate import evaluate
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.jobs.nominate import nominate
from kogpt2_chat.jobs.register import register
from kogpt2_chat.lake.manifests import record_rebuild
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.training.base import prepare
from tests.model.loop_inputs import SEEDS, loop_settings, put_dataset

TAUGHT = [
    ("거울동굴이 어디야?", "바람언덕 아래 오솔길 끝이에요."),
    ("콩떡이 누구야?", "포털 앞을 지키는 고양이 역장님이에요."),
]


@pytest.fixture
def settings(tmp_path) -> Settings:
    return loop_settings(tmp_path)


def test_training_from_seeds_to_a_taught_version(settings):
    """The second base comes from the cache; version 1 learns the seeds, version 2 also pairs that players taught."""
    said = []
    base = prepare(settings, said.append)
    said.clear()
    assert prepare(settings, said.append) == base
    assert said == []

    files, registry = InMemoryFiles(), InMemoryRegistry()
    put_dataset(files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
    put_dataset(files, "bbbb", lambda rows: rows(SEEDS, "seed", 1) + rows(TAUGHT, "correction", 4))
    ports = {"registry": registry, "settings": settings}
    decisions = {}
    for version, dataset in ((1, "aaaa"), (2, "bbbb")):
        done = finetune(
            bot="ChatbotA", dataset=dataset, mode="from_base", epochs=None, files=files, progress=said.append, **ports
        )
        assert register(bot="ChatbotA", run_id=done.run_id, registry=registry).version == version
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
    record_rebuild(files, "/Chatbot", again)
    said.clear()
    done = finetune(
        bot="ChatbotA", dataset="aaaa", mode="from_champion", epochs=1, files=files, progress=said.append, **ports
    )
    assert done.parent == ""
    assert any("2 pairs that version 2 has learned were withdrawn: starting from the base" in line for line in said)
    assert registry.get("ChatbotA", 2).tags["gate"] == ("pass" if decisions[2].passed else "refused")
    if decisions[2].passed:
        assert nominate(bot="ChatbotA", version=2, registry=registry).version == 2
