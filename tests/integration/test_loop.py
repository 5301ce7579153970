"""From questions to answers, the lake and the index, on real servers, with models that Airflow trained."""

import csv
import time

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.processes import wait_until
from tests.loop import ask_bots, champion_versions, run_dag


def seed_pairs(settings: Settings, bot: str) -> list[dict[str, str]]:
    return list(csv.DictReader((settings.learning.corpora / bot / "seed.csv").open(encoding="utf-8", newline="")))


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_bot_has_learned_its_seed_corpus(trained_stack: Settings, bot: str) -> None:
    """At least 14 of 20 seed questions get the answer of the corpus.

    A bot whose first version was refused by the gate has no champion. It answers with the notice for degraded bots,
    never with the refused version.
    """
    pairs = seed_pairs(trained_stack, bot)[:20]
    replies = ask_bots(trained_stack, *(Utterance(bot=bot, sender="하늘", text=pair["question"]) for pair in pairs))
    if champion_versions(trained_stack)[bot] is None:
        assert {(reply.fallback, reply.version) for reply in replies} == {("degraded", "0")}
        return
    # If the version is unsure, the nearest known answer replaces its own: for a seed question, the seed's answer.
    assert {reply.fallback for reply in replies} <= {None, "nearest"}
    correct = sum(reply.answer == pair["answer"] for reply, pair in zip(replies, pairs, strict=True))
    assert correct >= 14, [(reply.question, reply.answer) for reply in replies]


def test_every_version_has_its_decision_and_its_origin_as_tags(trained_stack: Settings) -> None:
    """Each registered version has the gate's decision, its dataset, its base and its licence."""
    registry = bootstrap.registry(trained_stack)
    versions = [version for bot in BOT_IDS for version in registry.versions(bot)]
    assert versions
    for version in versions:
        assert version.tags["gate"] in {"pass", "refused"}
        assert {"gate_reasons", "dataset", "base", "licence"} <= version.tags.keys()


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_version_that_airflow_trained_is_described(trained_stack: Settings, bot: str) -> None:
    """Its description has the dataset with the rows by origin, and the gate's table."""
    first = bootstrap.registry(trained_stack).get(bot, 1)
    (line,) = [line for line in first.description.splitlines() if f"Dataset {first.tags['dataset']} of " in line]
    assert "seed " in line.partition(": rows ")[2]
    assert "| loads | yes | 1 | 1 |" in first.description


@pytest.fixture(scope="module")
def ingested(trained_stack: Settings) -> Settings:
    """The stack after one more turn and an ingest."""
    ask_bots(trained_stack, Utterance(bot="ChatbotB", sender="별똥별", text="오늘 좀 지쳤어", train=True))
    run_dag(trained_stack, "ingest_conversations", {})
    return trained_stack


def test_the_lake_and_the_index_contain_every_turn_once(ingested: Settings) -> None:
    """The table's positions are the topic's end offsets, and the indexer writes one document per turn."""
    topics, tables = bootstrap.topics(ingested), bootstrap.tables(ingested)
    ends = topics.end_positions(TURN_TOPIC)
    app_ids = [f"turns/{TURN_TOPIC}/{partition}" for partition in ends]
    positions = tables.positions("turns", app_ids)
    assert all(positions.get(f"turns/{TURN_TOPIC}/{partition}", 0) >= end for partition, end in ends.items() if end)
    turn_ids = [row["turn_id"] for row in tables.read("turns", ["turn_id"])]
    assert len(turn_ids) == len(set(turn_ids)) > 0
    index, deadline = bootstrap.index(ingested), time.monotonic() + 60
    assert wait_until(lambda: index.count(TURN_INDEX) == len(turn_ids), deadline, pause_s=0.5)


def test_ingesting_again_changes_nothing(ingested: Settings) -> None:
    """A second run without new turns adds no row."""
    tables = bootstrap.tables(ingested)
    before = len(tables.read("turns", ["turn_id"]))
    run_dag(ingested, "ingest_conversations", {})
    assert len(tables.read("turns", ["turn_id"])) == before
