"""The live indexer on real servers: afterwards each turn has one document, which equals what the lake's row gives."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kogpt2_chat.domain.search.fields import TURN_INDEX
from tests.faults.bulk_proxy import BulkProxy
from tests.faults.indexer_process import IndexAudit, IndexerProcess, IndexerServers, indexer_servers

pytestmark = pytest.mark.stack
TURNS = 1500
MOST_FREE = "9000tb"
"""More than any disk has free: below this flood stage, every disk counts as full."""


@pytest.fixture(scope="module")
def servers() -> Iterator[IndexerServers]:
    with indexer_servers() as made:
        yield made


@pytest.fixture(scope="module")
def audit(servers: IndexerServers) -> IndexAudit:
    return IndexAudit(servers)


@pytest.fixture
def indexer(servers: IndexerServers, tmp_path: Path) -> Iterator[IndexerProcess]:
    made = IndexerProcess(servers.settings, tmp_path)
    yield made
    made.kill()


def test_elasticsearch_killed_in_mid_bulk_loses_and_duplicates_nothing(
    servers: IndexerServers, audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """Twice while a backlog is being written. The indexer stays the same process and continues by itself."""
    audit.send(TURNS)
    indexer.start()
    for _ in range(2):
        before = indexer.documents()
        indexer.wait_for(lambda _, before=before: indexer.documents() > before, "nothing is written")
        servers.kill_elasticsearch()
        audit.send(TURNS // 2)
    audit.wait_until_complete(indexer)


def test_an_index_at_the_flood_stage_is_written_once_it_is_not(
    servers: IndexerServers, audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """Elasticsearch itself makes all indices read-only, and writable again. Meanwhile the lag grows."""
    audit.send(100)
    indexer.start()
    audit.wait_until_complete(indexer)
    before = servers.index.count(TURN_INDEX)
    levels = ("low", "high", "flood_stage")
    names = [f"cluster.routing.allocation.disk.watermark.{level}" for level in levels]
    servers.put_settings("_cluster", dict.fromkeys(names, MOST_FREE))
    try:
        blocks = f"{servers.settings.elastic_url}/{TURN_INDEX}/_settings/index.blocks.*"
        indexer.wait_for(lambda _: requests.get(blocks, timeout=30).json(), "no block")
        audit.send(TURNS)
        indexer.wait_for(lambda health: (health.get("lag_s") or 0) > 2, "no lag")
        assert servers.index.count(TURN_INDEX) == before
    finally:
        servers.put_settings("_cluster", dict.fromkeys(names))
    audit.wait_until_complete(indexer)


def test_a_busy_server_gets_every_document_in_the_end(
    servers: IndexerServers, audit: IndexAudit, tmp_path: Path
) -> None:
    """In each bulk request it may be too busy for some documents or for all, or its reply may be lost."""
    with BulkProxy(servers.settings.elastic_url, seed=0).running() as proxy:
        indexer = IndexerProcess(servers.settings, tmp_path)
        try:
            audit.send(300)  # each batch is tried several times, with growing pauses
            indexer.start(KOGPT2_ELASTIC__URL=proxy.url)
            audit.wait_until_complete(indexer)
        finally:
            indexer.kill()
        assert min(proxy.done[fault] for fault in ("some busy", "all busy", "reply lost")) > 0


def test_a_full_write_queue_only_delays_documents(
    servers: IndexerServers, audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """Other clients fill the queue of one place; Elasticsearch itself answers with 429."""
    refused, stop = threading.Event(), threading.Event()
    lines = '{"index":{}}\n{"text":"가득"}\n' * 2000

    def fill() -> None:
        while not stop.is_set():
            reply = requests.post(
                f"{servers.settings.elastic_url}/load/_bulk?filter_path=items.*.status",
                data=lines.encode(), headers={"content-type": "application/x-ndjson"}, timeout=60,
            )  # fmt: skip
            if '"status":429' in reply.text or reply.status_code == requests.codes.too_many_requests:
                refused.set()

    threads = [threading.Thread(target=fill, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert refused.wait(120), "the queue was never full"
        audit.send(TURNS)
        indexer.start()
        indexer.wait_for(lambda health: (health.get("lag_s") or 0) > 2 or indexer.documents() > 0, "no lag")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    requests.delete(f"{servers.settings.elastic_url}/load", timeout=60)
    audit.wait_until_complete(indexer)


def test_an_index_that_is_deleted_while_the_indexer_runs_is_filled_again(
    servers: IndexerServers, audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """In the middle of a backlog, and again when nothing is left to do. The health report says what the lake adds."""
    audit.send(TURNS)
    indexer.start()
    indexer.wait_for(lambda _: indexer.documents() > 0, "nothing is written")
    servers.delete_index(TURN_INDEX)
    audit.wait_until_complete(indexer)
    servers.delete_index(TURN_INDEX)
    audit.wait_until_complete(indexer)
    (note,) = [note for note in indexer.health()["notes"] if TURN_INDEX in note][-1:]
    assert "kogpt2-chat index" in note


def kill_at_random_moments(audit: IndexAudit, indexer: IndexerProcess, *, seed: int, kills: int, turns: int) -> None:
    """Kill the indexer again and again while turns arrive."""
    draw = random.Random(seed)
    for _ in range(kills):
        audit.send(turns)
        indexer.start()
        indexer.wait_for(lambda health: health, "no answer")
        time.sleep(draw.uniform(0, 2.0))  # a random moment: any state is right
        indexer.kill()
    indexer.start()
    audit.wait_until_complete(indexer)


def test_an_indexer_that_is_killed_at_random_moments_loses_and_duplicates_nothing(
    audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """Documents are written before positions; crises are counted once."""
    kill_at_random_moments(audit, indexer, seed=0, kills=5, turns=600)


def test_the_indexer_ends_soon_after_sigterm(
    servers: IndexerServers, audit: IndexAudit, indexer: IndexerProcess
) -> None:
    """Also while it waits for a read-only index: its pauses end at once."""
    indexer.start()
    audit.wait_until_complete(indexer)
    servers.put_settings(TURN_INDEX, {"index.blocks.write": True})
    try:
        audit.send(50)
        indexer.wait_for(lambda health: (health.get("lag_s") or 0) > 1, "no lag")
        assert indexer.stop() < 10
    finally:
        servers.put_settings(TURN_INDEX, {"index.blocks.write": None})
    indexer.start()
    audit.wait_until_complete(indexer)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thirty_kills_neither_lose_nor_duplicate_a_document(
    audit: IndexAudit, indexer: IndexerProcess, seed: int
) -> None:
    """The same with more kills and more turns."""
    kill_at_random_moments(audit, indexer, seed=seed, kills=30, turns=3000)
