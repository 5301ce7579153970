"""From a turn to what its version was trained on, and from a training row to the versions that learned it."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kogpt2_chat.artifact.profiles import load_profile
from kogpt2_chat.cli import lineage as cli
from kogpt2_chat.cli.output import show
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback, Turn, masked_turn
from kogpt2_chat.domain.gate.block import Rule
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.lake.layout import dataset_path, feedback_row, turn_row
from kogpt2_chat.domain.learning.dataset import Manifest, row_hash
from kogpt2_chat.domain.learning.lineage import Lineage
from kogpt2_chat.domain.learning.row_lineage import HIDDEN, DatasetRow, RowLineage, shown_row
from kogpt2_chat.domain.search.documents import turn_document
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.jobs.distrust import distrust
from kogpt2_chat.jobs.lineage import lineage
from kogpt2_chat.jobs.row_lineage import row_lineage
from kogpt2_chat.lake import trace_turn
from kogpt2_chat.lake.trace_turn import Sources
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from kogpt2_chat.testing.registry import InMemoryRegistry

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
ASKED = "bot_question-3-17"
TAUGHT_ON, PRAISED = "bot_question-1-4", "bot_question-1-5"
CORRECTION = {"question": "콩떡이 누구야?", "answer": "고양이 역장님이에요.", "source": "correction", "turn_id": TAUGHT_ON,
              "player_id": "민수"}  # fmt: skip
PRAISE = {"question": "축제 언제 해?", "answer": "토요일 저녁이에요!", "source": "praised", "turn_id": PRAISED,
          "player_id": "하늘"}  # fmt: skip
SEED = {"question": "안녕", "answer": "안녕하세요!", "source": "seed", "turn_id": "", "player_id": ""}
HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    '"><img src=x onerror=alert(1)>',
    "\x1b[31m빨강\u202e",
]


def a_turn(**changed: Any) -> Turn:
    return Turn(
        **{
            "turn_id": ASKED, "question_id": "q", "bot": "ChatbotA", "player_id": "legacy:하늘", "sender": "하늘",
            "text": "콩떡이가 누구예요?", "answer": "고양이 역장님이에요.", "model_version": 2, "sent_at": None,
            "received_at": "2026-11-24T01:00:01+00:00", "answered_at": "2026-11-24T01:00:02+00:00", "latency_ms": 12,
            "consent_store": True, "consent_train": True, "source": "v1", "worker": "w", "authenticated": True,
            "epoch": 3, **changed,
        }
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class World:
    """Doubles of all servers."""

    broker: Broker
    index: InMemoryIndex
    registry: InMemoryRegistry
    tables: InMemoryTables
    files: InMemoryFiles
    settings: Settings

    @property
    def sources(self) -> Sources:
        return Sources(**{name: getattr(self, name) for name in ("index", "registry", "tables", "files", "settings")})

    def put_turn(self, turn: Turn, *, offset: int = 5) -> None:
        row = turn_row(turn, partition=2, offset=offset, timestamp_ms=0, ingested_at=AT)
        assert not self.index.put(TURN_INDEX, [(turn.turn_id, turn_document(row))]).refused

    def put_version(self, dataset: str, parent: str = "", **tags: str) -> int:
        run_id = self.registry.start_run(dataset, {}, {})
        self.registry.runs[run_id].files["version/model.json"] = b"{}"
        return self.registry.add_version("ChatbotA", run_id, "version", {"dataset": dataset, "parent": parent, **tags})

    def put_dataset(self, dataset: str, rows: list[dict[str, Any]], created_at: str, **manifest: Any) -> None:
        folder = dataset_path("/Chatbot", "ChatbotA", dataset)
        for split in ("train", "val"):
            named = [
                {"topic": "", "weight": 4, "cluster": "c", **row} for row in rows if row.get("split", "train") == split
            ]
            sink = pa.BufferOutputStream()
            columns = ["question", "answer", "source", "topic", "turn_id", "player_id", "cluster"]
            schema = pa.schema([*((name, pa.string()) for name in columns), ("weight", pa.int32())])
            pq.write_table(pa.Table.from_pylist(named, schema=schema), sink)
            self.files.write(f"{folder}/{split}.parquet/part-0.parquet", sink.getvalue().to_pybytes())
        known = {"sources": {"seed": 1}, "rejects": {"no_consent": 4}, "counts": {"train": len(rows)}, **manifest}
        body = Manifest(
            bot="ChatbotA", dataset_id=dataset, content_hash=dataset, created_at=created_at, new_pairs=1, previous=None,
            table_versions={}, **known,
        )  # fmt: skip
        self.files.write(f"{folder}/manifest.json", body.to_json().encode())

    def decide(self, version: int, reasons: tuple[Any, ...], *, passed: bool) -> None:
        decision = Decision(
            bot="ChatbotA", version=version, baseline="champion 1", profile=load_profile("small_base"), passed=passed,
            reasons=reasons,
        )  # fmt: skip
        run = self.registry.runs[self.registry.get("ChatbotA", version).run_id]
        run.files["decision.json"] = json.dumps(decision.as_json()).encode()
        self.registry.tag("ChatbotA", version, {"gate": "pass" if passed else "refused", "gate_reasons": "이유"})

    def trace(self, turn_id: str = ASKED) -> dict[str, Any]:
        found = lineage(turn_id=turn_id, topics=InMemoryTopics(self.broker), sources=self.sources)
        assert cli.as_text(found)
        body: dict[str, Any] = json.loads(json.dumps(found.as_json(), ensure_ascii=False))
        return body

    def row(self, row: str) -> RowLineage:
        return row_lineage(
            row=row, registry=self.registry, tables=self.tables, files=self.files, settings=self.settings
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Version 1 learned the seed, version 2 what players taught too, version 3 started from version 2."""
    broker = Broker()
    InMemoryTopics(broker).ensure()
    world = World(
        broker=broker, index=InMemoryIndex(), registry=InMemoryRegistry(), tables=InMemoryTables(),
        files=InMemoryFiles(), settings=Settings(home=tmp_path),
    )  # fmt: skip
    world.put_dataset("first", [SEED], "2026-11-22T00:00:00+00:00")
    world.put_dataset("second", [SEED, CORRECTION, PRAISE], "2026-11-23T00:00:00+00:00", sources={"correction": 1})
    world.put_dataset("third", [SEED, PRAISE], "2026-11-24T00:00:00+00:00")
    world.put_version("first")
    world.put_version("second", base="small", licence="Apache-2.0")
    world.put_version("third", parent="2")
    world.registry.set_alias("ChatbotA", "champion", 3)
    world.registry.set_alias("ChatbotA", "previous", 2)
    rule = Rule("few_empty", "failures")
    world.decide(
        2,
        (
            replace(rule.at_most(0.0, 0.1, "0 of 9 answers are empty"), baseline=0.2),
            Rule("few_cut", "failures").at_most(0.4, 0.1, "too many"),
            Rule("chrf", "reference", blocking=False).at_least(1.0, 2.0, "chrF"),
        ),
        passed=False,
    )
    world.put_turn(a_turn())
    world.put_turn(a_turn(turn_id=TAUGHT_ON, consent_train=True, authenticated=False))
    world.put_turn(a_turn(turn_id=PRAISED, consent_train=False, minor=True))
    world.tables.append("feedback", [feedback("민수", CORRECTION["answer"], 500)], {"feedback/feedback/0": 1})
    return world


def feedback(player: str, text: str, at_ms: int, **stated: Any) -> dict[str, object]:
    body = Feedback(feedback_id=f"f{at_ms}", turn_id=TAUGHT_ON, player_id=player, kind="correction", sent_at="", text=text,
                    **stated)  # fmt: skip
    return feedback_row(body, partition=0, offset=at_ms, timestamp_ms=at_ms, ingested_at=AT)


def test_a_turn_is_traced_to_version_run_dataset_and_gate(world: World) -> None:
    """Every part is what its server says: registry, run, manifest, decision, position in Kafka, consent."""
    found = world.trace()

    assert found["positions"] == {
        "question": {"topic": QUESTION_TOPIC, "partition": 3, "offset": 17},
        "log": {"topic": TURN_TOPIC, "partition": 2, "offset": 5},
    }
    assert found["consent"] == {"store": True, "train": True, "minor": False, "authenticated": True}
    version, run = found["version"], found["run"]
    assert (version["version"], version["aliases"], version["tags"]["licence"]) == (2, ["previous"], "Apache-2.0")
    assert version["url"] == f"{world.settings.mlflow_url}/#/models/ChatbotA/versions/2"
    assert run["run_id"] == world.registry.get("ChatbotA", 2).run_id
    assert run["url"].startswith(f"{world.settings.mlflow_url}/#/")
    dataset = found["dataset"]
    assert (dataset["dataset"], dataset["sources"], dataset["rejects"]) == (
        "second", {"correction": 1}, {"no_consent": 4},
    )  # fmt: skip
    gate = found["gate"]
    assert (gate["result"], gate["summary"], gate["baseline"]) == ("refused", "이유", "champion 1")
    assert gate["blocks"] == [{"block": "failures", "passed": False}]
    assert [(one["rule"], one["passed"], one["baseline"]) for one in gate["reasons"]] == [
        ("few_empty", True, 0.2), ("few_cut", False, None), ("chrf", False, None),
    ]  # fmt: skip
    assert (found["turn"]["outcome"], found["turn"]["model_version"]) == ("model", 2)
    assert found["notes"] == []


def test_a_diverged_versions_figures_are_null(world: World) -> None:
    """JSON has no NaN, and a browser would refuse the whole answer."""
    world.decide(2, (Rule("gold_not_worse", "fit").at_most(float("nan"), 0.03, "nan"),), passed=False)
    assert world.trace()["gate"]["reasons"][0]["value"] is None


def test_the_nearest_rows_come_with_their_turns_and_recorded_consent(world: World) -> None:
    """A seed has no turn. The asker's consent is the turn's, the teacher's that of the last correction of the player."""
    world.tables.append(
        "feedback",
        [
            feedback("legacy:민수", "처음 답", 1000, consent_train=True),
            feedback("민수", CORRECTION["answer"], 2000, minor=True),
            feedback("지우", "다른 답", 3000, consent_train=True),
        ],
        {"feedback/feedback/0": 4},
    )
    nearest = world.trace()["nearest_rows"]

    assert nearest[0]["question"] == CORRECTION["question"]
    assert nearest[0]["likeness"] > 0.5
    assert (nearest[0]["kind"], nearest[0]["sources"], nearest[0]["player_id"]) == ("correction", [TAUGHT_ON], "민수")
    assert nearest[0]["consent"] == {
        "asker": {"train": True, "minor": False, "authenticated": False},
        "teacher": {"train": False, "minor": True, "authenticated": False},
    }
    world.put_turn(a_turn(text="축제 언제 해?"))
    praised = world.trace()["nearest_rows"][0]
    assert (praised["kind"], praised["sources"], praised["likeness"]) == ("praised", [PRAISED], 1.0)
    assert praised["consent"] == {"asker": {"train": False, "minor": True, "authenticated": True}, "teacher": None}
    world.put_turn(a_turn(text="안녕"))
    seed = world.trace()["nearest_rows"][0]
    assert (seed["kind"], seed["sources"], seed["consent"]) == ("seed", [], {"asker": None, "teacher": None})


def test_a_large_dataset_is_searched_in_its_most_promising_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is bounded, and the nearest row is still found."""
    monkeypatch.setattr(trace_turn, "_MOST_COMPARED", 1)
    assert [row["question"] for row in world.trace()["nearest_rows"]] == [CORRECTION["question"]]


def test_consent_that_is_not_stored_is_unknown(world: World) -> None:
    """It is neither yes nor no: a note names the turn, and a correction without a record has no teacher's consent."""
    assert world.trace()["nearest_rows"][0]["consent"]["teacher"] == {
        "train": None, "minor": False, "authenticated": False,
    }  # fmt: skip
    world = replace(world, tables=InMemoryTables())
    found = world.trace()
    assert [note for note in found["notes"] if TAUGHT_ON in note] == [
        f"the lake does not have the correction of turn {TAUGHT_ON} that a nearest row is"
    ]
    world.index.remove(TURN_INDEX, [TAUGHT_ON])
    found = world.trace()
    assert found["nearest_rows"][0]["consent"] == {"asker": None, "teacher": None}
    assert any("search index does not have" in note and TAUGHT_ON in note for note in found["notes"])


def test_versions_that_learned_the_turn_are_listed(world: World) -> None:
    """Those trained on it, and those trained further from one of them; not the one before."""
    learned = world.trace(TAUGHT_ON)["learned_by"]
    assert [(one["version"], one["how"], one["aliases"], one["gate"]) for one in learned] == [
        (2, "dataset", ["previous"], "refused"), (3, "parent", ["champion"], ""),
    ]  # fmt: skip
    assert world.trace(ASKED)["learned_by"] == []


def test_only_the_newest_datasets_are_searched_for_a_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note says so, and names the command that searches all."""
    monkeypatch.setattr(trace_turn, "_MOST_DATASETS", 1)
    found = world.trace(TAUGHT_ON)
    assert found["learned_by"] == []
    assert any(f"lineage --row {TAUGHT_ON}" in note for note in found["notes"])


def test_a_later_turn_with_the_same_id_is_found_by_its_id(world: World) -> None:
    """After a topic was created again, a dataset names the second turn with a suffix; it is shown without it."""
    world.put_dataset("third", [{**CORRECTION, "turn_id": f"{TAUGHT_ON}~2"}], "2026-11-24T00:00:00+00:00")
    found = world.row(TAUGHT_ON)
    assert [dataset.dataset for dataset in found.datasets] == ["second", "third"]
    world.put_turn(a_turn(model_version=3))
    traced = world.trace()
    assert traced["nearest_rows"][0]["sources"] == [TAUGHT_ON]
    assert traced["nearest_rows"][0]["consent"]["asker"] is None
    assert any("shares its id" in note for note in traced["notes"])


def test_a_row_is_traced_to_datasets_and_versions(world: World) -> None:
    """By its turn, and by its hash or the beginning of it: datasets oldest first, versions with their aliases."""
    by_turn = world.row(TAUGHT_ON)
    assert [(one.dataset, one.splits, one.newest) for one in by_turn.datasets] == [("second", ("train",), False)]
    assert [(one.version, one.how) for one in by_turn.learned_by] == [(2, "dataset"), (3, "parent")]
    assert by_turn.withdrawn is True
    (row,) = by_turn.rows
    values = [CORRECTION["question"], CORRECTION["answer"], "correction", "", 4, TAUGHT_ON, "민수", "c", "train"]
    assert row.row_hash == row_hash(values)
    for asked in (row.row_hash, row.row_hash[:12]):
        by_hash = world.row(asked)
        assert (by_hash.rows, by_hash.datasets, by_hash.learned_by) == (
            by_turn.rows, by_turn.datasets, by_turn.learned_by,
        )  # fmt: skip
    kept = world.row(PRAISED)
    assert [one.dataset for one in kept.datasets] == ["second", "third"]
    assert ([one.how for one in kept.learned_by], kept.withdrawn) == (["dataset", "dataset"], False)


def test_a_held_out_row_was_not_learned(world: World) -> None:
    """It measured the versions; only the split `train` is learned."""
    world.put_dataset("second", [SEED, {**CORRECTION, "split": "val"}], "2026-11-23T00:00:00+00:00")
    found = world.row(TAUGHT_ON)
    assert [one.splits for one in found.datasets] == [("val",)]
    assert found.learned_by == ()
    assert world.trace(TAUGHT_ON)["learned_by"] == []


@pytest.mark.parametrize("subject", [TAUGHT_ON, "legacy:민수"])
def test_a_distrusted_row_is_marked(world: World, subject: str) -> None:
    """By its turn or its player; an entry that was taken back does not count."""
    distrust(subject=subject, by="운영", reason="장난", tables=world.tables, now=AT)
    shown = world.row(TAUGHT_ON).as_json()["distrusted"]
    assert shown == [
        {"kind": "turn" if subject == TAUGHT_ON else "player", "subject": subject.removeprefix("legacy:"), "by": "운영",
         "reason": "장난", "at": str(AT)}
    ]  # fmt: skip
    assert world.row(PRAISED).distrusted == ()
    distrust(subject=subject, by="운영", reason="오해", tables=world.tables, undo=True)
    assert world.row(TAUGHT_ON).distrusted == ()


def test_an_unknown_row_is_in_no_dataset(world: World) -> None:
    """That is a result with a note, not an error; a text that is neither id nor hash is refused."""
    found = world.row("bot_question-9-9")
    assert (found.datasets, found.withdrawn) == ((), None)
    assert "no dataset" in found.notes[0]
    for wrong in ("17", "0123", "x" * 64, ""):
        with pytest.raises(InvalidInput, match="not a row"):
            world.row(wrong)


def test_a_version_of_an_earlier_release_is_traced_as_far_as_it_is_known(world: World) -> None:
    """Without tags, decision and hashes of rows, those parts are null, and notes say so."""
    version = world.put_version("")
    world.put_turn(a_turn(model_version=version))
    found = world.trace()
    assert (found["dataset"], found["nearest_rows"], found["gate"]["result"]) == (None, [], "")
    assert any("no tag `dataset`" in note for note in found["notes"])
    assert any("not evaluated" in note for note in found["notes"])
    old = dataset_path("/Chatbot", "ChatbotA", "old")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([{name: CORRECTION[name] for name in ("question", "answer", "source")}]), sink)
    world.files.write(f"{old}/train.parquet/part-0.parquet", sink.getvalue().to_pybytes())
    body = {"bot": "ChatbotA", "version": "old", "content_hash": "", "created_at": "2026", "counts": {}, "sources": {},
            "rejects": {}, "new_pairs": 0, "previous": None, "table_versions": {}}  # fmt: skip
    world.files.write(f"{old}/manifest.json", json.dumps(body).encode())
    world.put_turn(a_turn(model_version=world.put_version("old")))
    found = world.trace()
    assert (found["nearest_rows"][0]["row_hash"], found["nearest_rows"][0]["sources"]) == ("", [])
    assert world.row(TAUGHT_ON).datasets[0].dataset == "second"


def test_a_version_of_a_registry_made_anew_is_not_taken_for_the_one_that_served(world: World) -> None:
    """Numbers start again, so a version that was registered after the answer cannot have given it."""
    world.put_turn(a_turn(answered_at="1969-01-01T00:00:00+00:00"))
    world.index.document_by_id[ASKED]["answered_at"] = datetime(1969, 1, 1, tzinfo=UTC).isoformat()
    assert world.trace()["version"] is not None  # an implausible time decides nothing
    model = world.registry._models["ChatbotA"]
    model.versions[2] = replace(model.versions[2], created_ms=int(AT.timestamp() * 1000))
    world.put_turn(a_turn())
    found = world.trace()
    assert (found["version"], found["dataset"], found["gate"]) == (None, None, None)
    assert any("created again" in note for note in found["notes"])


def test_a_version_that_is_gone_and_a_turn_without_one_are_said(world: World) -> None:
    """Nothing is guessed from the champion."""
    world.put_turn(a_turn(model_version=9))
    assert "has no ChatbotA version 9 any more" in " ".join(world.trace()["notes"])
    world.put_turn(a_turn(model_version=0, fallback="degraded", answer="잠시만요"))
    found = world.trace()
    assert (found["version"], found["turn"]["outcome"]) == (None, "degraded")
    assert "no model version was serving" in found["notes"]


def test_a_nearest_answer_names_the_known_question(world: World) -> None:
    """The version served, but the answer is another person's: the note and the known question say so."""
    decoding = {"nearest": {"question": "콩떡이 누구야?", "source": "correction", "likeness": 0.81}}
    world.put_turn(a_turn(fallback="nearest", decoding=decoding))
    found = world.trace()
    assert found["turn"]["nearest"] == decoding["nearest"]
    assert any("not the model's (nearest)" in note for note in found["notes"])


def test_without_consent_no_text_is_shown_or_compared(world: World) -> None:
    """Such a turn is only in Kafka; its position is that of its record."""
    unstored = a_turn(turn_id="bot_question-0-1", text="", answer="", consent_store=False, consent_train=False)
    record = Outgoing(
        topic=TURN_TOPIC, key=b"k", value=unstored.to_json().encode(), headers={"turn_id": unstored.turn_id}
    )
    world.broker.append([record], transaction=True)
    found = world.trace(unstored.turn_id)
    assert (found["turn"]["question"], found["turn"]["answer"], found["nearest_rows"]) == (None, None, [])
    assert found["positions"]["log"]["topic"] == TURN_TOPIC
    assert found["version"]["version"] == 2
    assert any("did not consent" in note for note in found["notes"])


def test_a_crisis_turn_is_refused(world: World) -> None:
    """Whether it got a vetted answer or not; the review command is named, the text is not."""
    for turn in (a_turn(fallback="safety"), a_turn(text="죽고 싶어")):
        world.put_turn(turn)
        with pytest.raises(InvalidInput, match=f"review-safety show {ASKED}") as refused:
            world.trace()
        assert turn.text not in str(refused.value)


def test_an_unknown_turn_is_not_found(world: World) -> None:
    """As by `explain`."""
    with pytest.raises(NotFound, match="neither in"):
        world.trace("bot_question-8-8")
    with pytest.raises(InvalidInput, match="not a turn id"):
        world.trace("8")


class Away:
    """A server that does not answer."""

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> None:
            raise Unavailable(f"{name}: does not answer")

        return call


@pytest.mark.parametrize(
    ("session", "player"),
    [("s-19", "legacy:하늘"), (None, "legacy:하늘"), ("", "legacy:하늘"), (None, "legacy:010-1234-5678"),
     ("010-1234-5678", "legacy:하늘"), ("제 이름은 김철수입니다", "legacy:하늘")],
)  # fmt: skip
def test_a_conversation_has_the_name_that_the_index_gives_it(session: str | None, player: str) -> None:
    """Also if it must be masked; otherwise a turn's page would lead nowhere."""
    turn = a_turn(session_id=session, player_id=player)
    shown = Lineage(turn=turn, found_in="").shown_turn()["conversation"]
    row = turn_row(masked_turn(turn), partition=2, offset=0, timestamp_ms=0, ingested_at=AT)
    assert shown == turn_document(row)["conversation"]
    assert not re.search("1234|김철수", str(shown))


@pytest.mark.parametrize("away", ["registry", "files", "tables"])
def test_what_answers_is_shown_if_another_server_is_away(world: World, away: str) -> None:
    """The parts of the missing server are null, its notes name it once, and the turn itself is complete."""
    found = lineage(
        turn_id=ASKED, topics=InMemoryTopics(world.broker), sources=replace(world.sources, **{away: Away()})
    ).as_json()
    assert found["turn"]["question"] == "콩떡이가 누구예요?"  # type: ignore[index]
    assert any("does not answer" in note for note in found["notes"])  # type: ignore[attr-defined]
    assert (found["version"] is None) == (away == "registry")
    assert (found["dataset"] is None) == (away != "tables")
    assert (found["gate"] is None) == (away == "registry")


def test_kafka_is_asked_if_the_index_is_away(world: World) -> None:
    """If Kafka does not have the turn either, the index is the reason."""
    topics, sources = InMemoryTopics(world.broker), replace(world.sources, index=Away())
    with pytest.raises(Unavailable, match="find"):
        lineage(turn_id=ASKED, topics=topics, sources=sources)
    record = Outgoing(topic=TURN_TOPIC, key=b"k", value=a_turn().to_json().encode(), headers={"turn_id": ASKED})
    world.broker.append([record], transaction=True)
    found = lineage(turn_id=ASKED, topics=topics, sources=sources)
    assert found.version is not None
    assert found.found_in.startswith(TURN_TOPIC)


def test_a_damaged_manifest_or_decision_is_missing_not_fatal(world: World) -> None:
    """The note names the file's trouble; the nearest rows are still there."""
    world.files.write(f"{dataset_path('/Chatbot', 'ChatbotA', 'second')}/manifest.json", b"[1]")
    world.registry.runs[world.registry.get("ChatbotA", 2).run_id].files["decision.json"] = b"{}"
    found = world.trace()
    assert (found["dataset"], found["gate"]["reasons"], found["gate"]["result"]) == (None, [], "refused")
    assert len(found["nearest_rows"]) > 0
    assert len(found["notes"]) == 2
    assert any("second" in note for note in world.row(PRAISED).notes)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_data(world: World, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON keeps them as text, and the terminal gets no control characters."""
    world.put_dataset("second", [{**CORRECTION, "question": text, "answer": text}], "2026-11-23T00:00:00+00:00")
    world.put_turn(a_turn(text=text, answer=text, sender=text))
    found = lineage(turn_id=ASKED, topics=InMemoryTopics(world.broker), sources=world.sources)
    assert found.nearest_rows[0].row.question == text
    show(found, cli.as_text(found), as_json=False)
    shown = capsys.readouterr().out
    assert not set("\x1b\u202e") & set(shown)
    show(found, "", as_json=True)
    assert json.loads(capsys.readouterr().out)["turn"]["question"] == text


def test_a_turn_says_where_it_waited(world: World) -> None:
    """The way back is known from the record's time, and not before the turn is logged."""
    assert world.trace()["turn"]["return_ms"] is None  # type: ignore[index]
    world.index.document_by_id[ASKED] |= {"return_ms": 35, "kafka_ms": 4}
    turn = world.trace()["turn"]
    assert (turn["kafka_ms"], turn["return_ms"]) == (4, 35)  # type: ignore[index]


def test_rows_that_may_be_about_a_crisis_are_not_shown() -> None:
    """Only a review opens such texts; an old dataset may have learned one before a rule was added."""
    row = DatasetRow(
        question="죽고 싶어", answer="그러지 마", source="seed", topic="", split="train", turn_id="", player_id="",
        row_hash="h",
    )  # fmt: skip
    assert (shown_row(row)["question"], shown_row(row)["answer"]) == (HIDDEN, HIDDEN)
    assert shown_row(replace(row, question="안녕", answer="반가워"))["question"] == "안녕"


def test_names_and_personal_data_are_masked(world: World) -> None:
    """As in the search index, also in rows of datasets that earlier releases wrote."""
    row = {**CORRECTION, "question": "내 이름은 김하늘이야", "answer": "010-1234-5678로 전화해"}
    world.put_dataset("second", [row], "2026-11-23T00:00:00+00:00")
    world.index.document_by_id[ASKED] |= {"text": "내 이름은 김하늘이야", "answer": "010-1234-5678로 전화해"}
    found = world.trace()
    for shown in (found["turn"], found["nearest_rows"][0], world.row(TAUGHT_ON).as_json()["rows"][0]):  # type: ignore[index]
        assert "김하늘" not in shown["question"]
        assert "1234" not in shown["answer"]


def test_no_model_is_loaded() -> None:
    """The page of a turn waits for the command, so it loads neither torch nor the engine."""
    code = (
        "import sys, kogpt2_chat.jobs.lineage, kogpt2_chat.jobs.row_lineage, kogpt2_chat.cli, pyarrow.parquet\n"
        "import kogpt2_chat.adapters.mlflow, kogpt2_chat.adapters.elastic, kogpt2_chat.adapters.delta\n"
        "print({'torch', 'transformers', 'openvino'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_takes_a_turn_or_a_row() -> None:
    """Not both, and not neither."""
    for arguments in ([], ["--row", ASKED, ASKED]):
        done = subprocess.run(
            [sys.executable, "-m", "kogpt2_chat.cli", "lineage", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "either a TURN_ID, or --row" in done.stderr


def test_positions_are_plain(world: World) -> None:
    """A document of an earlier release may lack its position: it is unknown then."""
    del world.index.document_by_id[ASKED]["kafka_offset"]
    found = world.trace()
    assert found["positions"]["log"] is None
    assert any("position in conversation_log" in note for note in found["notes"])
    assert asdict(trace_turn.log_position(1, 2)) == {"topic": TURN_TOPIC, "partition": 1, "offset": 2}
