"""The training jobs on doubles: base, fine-tuning, registration, the gate."""

import json
import shutil
from dataclasses import dataclass
from typing import Any

import pytest

from kogpt2_chat.domain.gate.block import Block, Rule
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.jobs.evaluate import evaluate
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.jobs.register import register
from kogpt2_chat.lake.manifests import record_rebuild
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry, InMemoryRun
from kogpt2_chat.training.base import PreparedBase, prepare
from tests.model.loop_inputs import SEEDS, loop_settings, put_dataset

TAUGHT = [
    ("거울동굴이 어디야?", "바람언덕 아래 오솔길 끝이에요."),
    ("콩떡이 누구야?", "포털 앞을 지키는 고양이 역장님이에요."),
]


@dataclass(frozen=True, kw_only=True)
class TrainedHome:
    """A home in which two versions were trained, registered and evaluated, one after the other."""

    settings: Settings
    files: InMemoryFiles
    registry: InMemoryRegistry
    base: PreparedBase
    decision_by_version: dict[int, Decision]
    first_cards: list[str]

    @property
    def ports(self) -> dict[str, Any]:
        return {"files": self.files, "registry": self.registry, "settings": self.settings}

    @property
    def runs(self) -> dict[int, InMemoryRun]:
        return {
            version: self.registry.runs[self.registry.get("ChatbotA", version).run_id]
            for version in self.decision_by_version
        }


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainedHome:
    """Version 1 learned the seeds and became champion; version 2 learned pairs that players taught, too."""
    files, registry = InMemoryFiles(), InMemoryRegistry()
    put_dataset(files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
    put_dataset(files, "bbbb", lambda rows: rows(SEEDS, "seed", 1) + rows(TAUGHT, "correction", 4))
    settings, lines = loop_settings(tmp_path_factory.mktemp("trained")), []
    base = prepare(settings, lines.append)
    assert lines
    made = TrainedHome(
        settings=settings, files=files, registry=registry, base=base, decision_by_version={}, first_cards=[]
    )
    for version, dataset in ((1, "aaaa"), (2, "bbbb")):
        done = finetune(
            bot="ChatbotA", dataset=dataset, mode="from_base", epochs=None, progress=lambda _: None, **made.ports
        )
        assert register(bot="ChatbotA", run_id=done.run_id, **made.ports).version == version
        made.first_cards.append(registry.get("ChatbotA", version).description)
        made.decision_by_version[version] = evaluate(
            bot="ChatbotA", version=version, progress=lambda _: None, **made.ports
        )
        registry.set_alias("ChatbotA", "champion", version)
    return made


def test_a_base_is_made_once(trained):
    """The second time it comes from the cache."""
    lines = []
    assert prepare(trained.settings, lines.append) == trained.base
    assert lines == []


def test_a_version_carries_its_training(trained):
    """Its card names where it comes from; its run has the loss of each epoch, and answers that it learned."""
    run = trained.runs[2]
    assert len(run.metrics["loss"]) == trained.settings.training.epochs
    assert {"version/model.json", "version/model.safetensors", "training/loss.png", "training/samples.md"} <= set(
        run.files
    )
    card = json.loads(run.files["version/model.json"])
    assert (card["dataset"], card["base"], card["licence"], card["bot"]) == ("bbbb", "small", "Apache-2.0", "ChatbotA")
    samples = json.loads(run.files["training/samples.json"])
    assert [row["answer"] for row in samples] == [row["expected"] for row in samples]


def test_the_gate_compares_a_first_version_with_the_base_and_a_later_one_with_the_champion(trained):
    """The later one knows what players taught since, and both answer the must-pass question."""
    first, second = trained.decision_by_version[1], trained.decision_by_version[2]
    assert (first.baseline, second.baseline) == ("base", "champion 1")
    for decision in (first, second):
        reasons = {reason.rule: reason for reason in decision.reasons}
        assert reasons["better_on_taught"].passed
        assert reasons["must_pass"].passed
    assert "on 2 newly taught pairs" in reasons["better_on_taught"].sentence
    assert {reason.baseline for reason in first.reasons} == {None}
    beside = {reason.rule for reason in second.reasons if reason.baseline is not None}
    assert {"few_looping", "no_leaks", "must_pass", "chrf", "p95_ms"} <= beside
    assert reasons["p95_ms"].threshold > 0
    assert "p95_ms" not in {reason.rule for reason in first.reasons}


def test_the_decision_is_stored_with_the_version(trained):
    """As files, tags and metrics; whether it passed decides whether the version may become candidate."""
    for version, decision in trained.decision_by_version.items():
        run, found = trained.runs[version], trained.registry.get("ChatbotA", version)
        assert Decision.from_json(run.files["decision.json"]) == decision
        assert decision.profile.name == found.tags["profile"] == "small_base"
        assert found.tags["gate"] == ("pass" if decision.passed else "refused")
        assert b"<html" in run.files["decision.html"]
        assert {"gate_must_pass", "gold_nll", "taught_nll_opponent", "chrf", "engine_same_answers"} <= set(run.metrics)
        assert 0 < run.metrics["answer_p50_ms"][-1] <= run.metrics["answer_p95_ms"][-1]


def test_a_version_is_described_by_its_model_card(trained):
    """First by its data; then with the gate's table, own answers beside the champion's, and links."""
    assert "Not evaluated yet" in trained.first_cards[1]
    assert "Dataset bbbb" in trained.first_cards[1]
    card = trained.registry.get("ChatbotA", 2).description
    assert card.startswith("# 마루 (ChatbotA), version 2\n")
    assert "compared with champion 1" in card
    assert "Base small, licence Apache&#45;2&#46;0" in card
    assert "NLL of newly taught answers" in card.split("## Data")[0]
    table = card.split("## Gate")[1].split("##")[0]
    assert table.count("\n|") == 2 + len(trained.decision_by_version[2].reasons)
    samples = card.split("## Own answers to gold questions")[1].split("##")[0]
    assert all(question.replace("?", "") in samples for question in ("하이", "심심해", "책 추천해 줘"))
    assert "[decision](#/runs/" in card
    assert len(card) <= 5000
    run = trained.runs[2]
    assert run.metrics["gate_passed"][-1] == float(trained.decision_by_version[2].passed)
    assert {"pairs_new", "pairs_withdrawn"} <= set(run.metrics)


def test_a_version_is_registered_again_without_losing_its_card(trained):
    """A repeated task does not replace what the gate wrote."""
    found = trained.registry.get("ChatbotA", 2)
    register(bot="ChatbotA", run_id=found.run_id, **trained.ports)
    assert trained.registry.get("ChatbotA", 2).description == found.description


def test_a_version_that_does_not_load_is_refused(trained):
    """Nothing else is measured."""
    run = trained.runs[2]
    whole = run.files["version/engine.bin"]
    run.files["version/engine.bin"] = whole[:-1]
    shutil.rmtree(trained.settings.home / "versions")
    try:
        decision = evaluate(bot="ChatbotA", version=2, progress=lambda _: None, **trained.ports)
    finally:
        run.files["version/engine.bin"] = whole
    assert [reason.rule for reason in decision.reasons] == ["loads"]
    assert "engine.bin" in decision.refusals()[0]
    refused = trained.registry.get("ChatbotA", 2)
    assert refused.tags["gate"] == "refused"
    assert "does not load" in refused.description.split("## Known weaknesses")[1]


@dataclass(frozen=True)
class Brevity(Block):
    """A block that the gate does not have: the longest answer, in characters."""

    longest: int

    def reasons(self, case, /):
        return [Rule("brief", "style").at_most(float(self.longest), 1.0, f"{self.longest} characters, at most 1")]

    def metrics(self):
        return {"longest_answer": float(self.longest)}


def test_a_new_block_of_the_gate_is_an_entry_in_the_tuple(trained, monkeypatch):
    """The decision, its page and its metrics take it in without any other change."""
    from kogpt2_chat.evaluation import blocks

    def measure(trial):
        return Brevity(max(len(answer.text) for answer in trial.heard_answers))

    monkeypatch.setattr(blocks, "BLOCKS", (*blocks.BLOCKS, measure))
    decision = evaluate(bot="ChatbotA", version=2, progress=lambda _: None, **trained.ports)
    longest = decision.reasons[-1].value
    assert longest > 1
    assert not decision.passed
    assert decision.refusals()[-1] == f"{longest:.0f} characters, at most 1"
    run = trained.runs[2]
    assert f"{longest:.0f} characters, at most 1" in run.files["decision.html"].decode()
    assert run.metrics["longest_answer"] == [longest]
    assert run.metrics["gate_brief"] == [longest]


def test_training_starts_from_the_base_if_the_champion_learned_what_was_withdrawn(trained):
    """The dataset without these pairs is the first one again, because its id is the hash of its content."""
    again = Manifest(
        bot="ChatbotA", dataset_id="aaaa", content_hash="aaaa", created_at="", counts={}, sources={}, rejects={},
        new_pairs=0, previous="bbbb", table_versions={}, withdrawn_pairs=len(TAUGHT),
    )  # fmt: skip
    record_rebuild(trained.files, "/Chatbot", again)
    lines = []
    done = finetune(
        bot="ChatbotA", dataset="aaaa", mode="from_champion", epochs=1, progress=lines.append, **trained.ports
    )
    assert done.parent == ""
    assert any("2 pairs that version 2 has learned were withdrawn: starting from the base" in line for line in lines)
