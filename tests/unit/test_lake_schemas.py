"""Compatibility of the lake and the search index with earlier and later releases.

``tests/fixtures/lake`` has one folder per schema that the tables ever had. The code of that release wrote it
(``scripts/write_lake_fixture.py``).
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.adapters import delta, elastic
from kogpt2_chat.domain.lake import layout as lake_layout
from kogpt2_chat.domain.lake.layout import TABLE_BY_NAME, TURNS, Table
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, TURN_INDEX
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Hdfs, Settings

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures" / "lake").iterdir())


def lake_at(folder: Path) -> delta.DeltaTables:
    # A local folder replaces HDFS.
    hdfs = Hdfs().model_copy(update={"uri": "file://", "root": str(folder), "retries": 1})
    return delta.DeltaTables(Settings().model_copy(update={"hdfs": hdfs}))


def use_schema(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    """Replace the schema of a table, as in another release."""
    monkeypatch.setattr(delta, "TABLE_BY_NAME", {**TABLE_BY_NAME, table.name: table})


def row(turn_id: str, **other: object) -> dict[str, object]:
    return {"turn_id": turn_id, "bot": "ChatbotA", "date": "2026-11-24", "text": "안녕 😀"} | other


@pytest.fixture(params=FIXTURES, ids=lambda folder: folder.name)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy a lake that an earlier release wrote."""
    shutil.copytree(request.param / "lake", tmp_path / "lake")
    return tmp_path


def test_the_newest_fixture_has_todays_columns() -> None:
    """A new column needs a new fixture, so that later releases are tested with it. Columns are never removed."""
    columns = {name: dict(table.columns) for name, table in TABLE_BY_NAME.items()}
    assert json.loads((FIXTURES[-1] / "columns.json").read_text()) == columns
    for older in FIXTURES:
        for name, known in json.loads((older / "columns.json").read_text()).items():
            assert known.items() <= columns[name].items()


def test_a_lake_of_an_earlier_release_can_be_read_and_extended(earlier: Path) -> None:
    """Columns that it lacks are read as null. New rows and positions are added, and old and new rows are read."""
    tables = lake_at(earlier)
    assert sorted(str(found["turn_id"]) for found in tables.read("turns")) == ["old-1", "old-2"]
    assert tables.positions("turns", ["turns/conversation_log/0"]) == {"turns/conversation_log/0": 2}
    for table in TABLE_BY_NAME.values():
        before = tables.read(table.name)
        assert all(set(found) == set(table.columns) for found in before)
        full = {name: _example(kind) for name, kind in table.columns.items()}
        assert tables.append(table.name, [full], {"a": 1}, {})
        after = tables.read(table.name)
        assert len(after) == len(before) + 1
        assert full in after


def test_a_later_releases_column_is_added_and_read_by_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a rolling deployment both releases write and read alternately, and no data is lost."""
    tables = lake_at(tmp_path)
    later = replace(TURNS, columns={**TURNS.columns, "channel": "string", "mood": "long"})
    tables.append("turns", [row("a")], {"turns/t/0": 1}, {})
    use_schema(monkeypatch, later)
    assert tables.read("turns", ["turn_id", "channel", "mood"]) == [{"turn_id": "a", "channel": None, "mood": None}]
    tables.append("turns", [row("b", channel="c", mood=3)], {"turns/t/0": 2}, {"turns/t/0": 1})
    use_schema(monkeypatch, TURNS)
    tables.append("turns", [row("c")], {"turns/t/0": 3}, {"turns/t/0": 2})
    assert {str(found["turn_id"]) for found in tables.read("turns")} == {"a", "b", "c"}
    assert all(set(found) == set(TURNS.columns) for found in tables.read("turns"))
    use_schema(monkeypatch, later)
    tables.append("turns", [row("d", mood=4)], {"turns/t/0": 4}, {"turns/t/0": 3})
    moods = {found["turn_id"]: found["mood"] for found in tables.read("turns", ["turn_id", "mood"])}
    assert moods == {"a": None, "b": 3, "c": None, "d": 4}
    assert tables.positions("turns", ["turns/t/0"]) == {"turns/t/0": 4}
    assert [found["turn_id"] for found in tables.read("turns", ["turn_id", "mood"], table_version=1)] == ["a"]


def test_positions_can_be_reset(tmp_path: Path) -> None:
    """After a topic was recreated, the positions and the mark of the topic change in one commit."""
    tables = lake_at(tmp_path)
    tables.append("turns", [row("a")], {"turns/t/0": 5}, {})
    assert tables.append("turns", [], {"turns/t/0": 0, "turns/t": 2**62 + 1}, {"turns/t/0": 5})
    assert tables.positions("turns", ["turns/t/0", "turns/t"]) == {"turns/t/0": 0, "turns/t": 2**62 + 1}
    assert not tables.append("turns", [], {"turns/t/0": 0, "turns/t": 2**62 + 1}, {"turns/t/0": 5})


@pytest.mark.parametrize("use", ["read", "append"])
def test_a_column_of_another_type_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """The error is not retried, since a retry cannot succeed."""
    tables = lake_at(tmp_path)
    tables.append("turns", [row("a")], {"turns/t/0": 1}, {})
    use_schema(monkeypatch, replace(TURNS, columns={**TURNS.columns, "text": "long"}))
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: pytest.fail("tried again"))
    with pytest.raises(InvalidInput, match=r"`text` is .*string.*expected"):
        tables.read("turns") if use == "read" else tables.append("turns", [row("b", text=1)], {"turns/t/0": 2})


def test_a_row_with_a_wrong_type_is_refused(tmp_path: Path) -> None:
    """It is an error of the caller and not of the server."""
    with pytest.raises(InvalidInput, match="does not fit"):
        lake_at(tmp_path).append("turns", [row("a", latency_ms="soon")], {"turns/t/0": 1})


class Indices:
    """A double for the index API of Elasticsearch, with mappings only. Only the index of turns exists."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.properties = properties

    def exists(self, index: str) -> bool:
        return index == TURN_INDEX

    def create(self, index: str, **_: object) -> None:
        assert index != TURN_INDEX

    def put_index_template(self, name: str, allow_auto_create: bool, **_: object) -> None:
        assert name in FIELDS_BY_INDEX
        assert not allow_auto_create

    def get_mapping(self, index: str) -> dict[str, Any]:
        return {index: {"mappings": {"dynamic": "strict", "properties": self.properties}}}

    def put_mapping(self, index: str, properties: dict[str, Any]) -> None:
        assert index == TURN_INDEX
        self.properties = {**self.properties, **properties}


def index_with(properties: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[elastic.ElasticIndex, Indices]:
    index, indices = elastic.ElasticIndex(Settings()), Indices(properties)
    monkeypatch.setattr(index._client, "indices", indices)
    return index, indices


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_an_index_of_an_earlier_release_accepts_todays_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing fields are added, and existing fields do not change."""
    before = json.loads((folder / "mapping.json").read_text())
    index, indices = index_with(before, monkeypatch)
    index.ensure()
    assert set(indices.properties) >= set(FIELDS_BY_INDEX[TURN_INDEX]) > set(TURNS.columns)
    assert before.items() <= indices.properties.items()


def test_an_index_keeps_the_fields_of_a_later_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release adds its field. An earlier release keeps it and writes without it."""
    before = json.loads((FIXTURES[0] / "mapping.json").read_text())
    index, indices = index_with(before, monkeypatch)
    channel = {"type": "keyword", "ignore_above": 1024}
    with monkeypatch.context() as later:
        fields = {**FIELDS_BY_INDEX[TURN_INDEX], "channel": channel}
        later.setattr(elastic, "FIELDS_BY_INDEX", {**FIELDS_BY_INDEX, TURN_INDEX: fields})
        index.ensure()
    assert indices.properties["channel"] == channel
    index.ensure()
    assert "channel" in indices.properties


def test_a_field_of_another_type_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that rebuilds the index."""
    before = json.loads((FIXTURES[0] / "mapping.json").read_text())
    index, _ = index_with({**before, "epoch": {"type": "text"}}, monkeypatch)
    with pytest.raises(InvalidInput, match=r"`epoch` is text, expected long.*--rebuild"):
        index.ensure()


def _example(kind: lake_layout.ColumnKind) -> object:
    from datetime import UTC, datetime

    examples: dict[lake_layout.ColumnKind, object] = {
        "string": "안녕",
        "long": 7,
        "bool": True,
        "time": datetime(2026, 11, 24, 3, 30, tzinfo=UTC),
        "longs": [1, 2],
    }
    return examples[kind]
