"""Question to answer to lake to index, on real servers, with models that Airflow has trained."""

import csv

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.settings import Settings
from tests.loop import champion_versions, run_dag, say


def seed_pairs(settings: Settings, bot: str) -> list[dict[str, str]]:
    return list(csv.DictReader((settings.learning.corpora / bot / "seed.csv").open(encoding="utf-8", newline="")))


@pytest.mark.parametrize("bot", BOT_IDS)
def test_a_bot_has_learned_its_seed_corpus(speaking_bots: Settings, bot: str) -> None:
    """What Airflow trained and rolled out is heard to answer seed questions as its corpus does: the gate judges the model.

    A bot whose first version the gate refused has no champion: it says so with the fixed notice, and never speaks
    with the refused model.
    """
    pairs = seed_pairs(speaking_bots, bot)[:20]
    replies = say(speaking_bots, *(Utterance(bot=bot, sender="하늘", text=pair["question"]) for pair in pairs))
    if champion_versions(speaking_bots)[bot] is None:
        assert {(reply.fallback, reply.version) for reply in replies} == {("degraded", "0")}
        return
    # An unsure version gives way to the nearest known answer, which for a seed question is its own.
    assert {reply.fallback for reply in replies} <= {None, "nearest"}
    right = sum(reply.answer == pair["answer"] for reply, pair in zip(replies, pairs, strict=True))
    assert right >= 14, [(reply.question, reply.answer) for reply in replies]


def test_every_version_carries_its_decision_and_where_it_came_from(speaking_bots: Settings) -> None:
    """Dataset, base, licence and the gate's word stand on each registered version."""
    registry = bootstrap.registry(speaking_bots)
    for bot in BOT_IDS:
        for version in registry.versions(bot):
            assert version.tags["gate"] in {"pass", "refused"}
            assert {"gate_reasons", "dataset", "base", "licence"} <= version.tags.keys()


@pytest.fixture(scope="module")
def ingested(speaking_bots: Settings) -> Settings:
    """The stack after one more turn was said and everything was ingested."""
    say(speaking_bots, Utterance(bot="ChatbotB", sender="별똥별", text="오늘 좀 지쳤어", train=True))
    run_dag(speaking_bots, "ingest_conversations", {})
    return speaking_bots


def test_the_lake_and_the_index_hold_every_turn_once(ingested: Settings) -> None:
    """After ingest, positions in the table are Kafka's committed ends, and documents are distinct turn ids."""
    topics, tables = bootstrap.topics(ingested), bootstrap.tables(ingested)
    ends = topics.end_positions(TURN_TOPIC)
    app_ids = [f"turns/{TURN_TOPIC}/{partition}" for partition in ends]
    positions = tables.positions("turns", app_ids)
    assert all(positions.get(f"turns/{TURN_TOPIC}/{partition}", 0) >= end for partition, end in ends.items() if end)
    turn_ids = [row["turn_id"] for row in tables.read("turns", ["turn_id"])]
    assert len(turn_ids) == len(set(turn_ids)) > 0
    assert bootstrap.index(ingested).count() == len(turn_ids)


def test_ingesting_again_changes_nothing(ingested: Settings) -> None:
    """A second run over the same log adds no row."""
    tables = bootstrap.tables(ingested)
    before = len(tables.read("turns", ["turn_id"]))
    run_dag(ingested, "ingest_conversations", {})
    assert len(tables.read("turns", ["turn_id"])) == before
