"""Collect where the answer of a turn came from. Loads no model.

Each part comes from another server. A part that cannot be read is left out, and a note says why.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from kogpt2_chat.corpora.dataset_rows import training_rows
from kogpt2_chat.corpora.datasets import local_dataset
from kogpt2_chat.domain.chat.players import player_key, says_minor
from kogpt2_chat.domain.chat.turns import CONSENT_KEY, MINOR_KEY, Turn
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.lake.layout import FEEDBACK, read_time
from kogpt2_chat.domain.learning.cleaning import fold
from kogpt2_chat.domain.learning.lineage import (
    GateFacts,
    Lineage,
    NearestRow,
    RecordedConsent,
    RunFacts,
    VersionFacts,
    log_position,
)
from kogpt2_chat.domain.learning.row_lineage import DatasetRow, Learner, given_turn_id
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.domain.text.json_records import object_or_empty
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.inference.nearest import Found, Known, NearestQuestions
from kogpt2_chat.lake.find_turn import FoundTurn
from kogpt2_chat.lake.learners import learners, trained_on
from kogpt2_chat.lake.manifests import read_manifest
from kogpt2_chat.ports import Files, Index, ModelVersion, Registry, Row, Tables
from kogpt2_chat.settings import Settings

T = TypeVar("T")
_NEAREST: Final = 5
_MOST_DATASETS: Final = 50
_MOST_COMPARED: Final = 5000
_CLOCKS_DIFFER: Final = timedelta(minutes=10)
_DECISION: Final = "decision.json"
_FEEDBACK_COLUMNS: Final = (
    "turn_id", "player_id", "kind", "received_at", "kafka_partition", "kafka_offset", "authenticated", "extra",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The servers that know parts of a turn's lineage."""

    index: Index
    registry: Registry
    tables: Tables
    files: Files
    settings: Settings


def trace_turn(found: FoundTurn, sources: Sources) -> Lineage:
    """Collect everything that is known about the origin of a turn's answer.

    Args:
        found: the turn.
        sources: the servers.

    Returns:
        The lineage. Parts that are unknown are None or empty; its notes give the reasons.
    """
    turn, notes = found.turn, list(_about_turn(found))
    lineage = Lineage(turn=turn, found_in=found.where, return_ms=found.return_ms)
    if found.partition is not None and found.offset is not None:
        lineage = replace(lineage, log=log_position(found.partition, found.offset))
    versions = _read(lambda: sources.registry.versions(turn.bot), "versions", notes) or []
    if turn.model_version and (version := _served(turn, versions, notes)):
        lineage = _with_version(lineage, version, sources, notes)
    learned = _learned(turn, versions, sources, notes)
    return replace(lineage, learned_by=tuple(learned), notes=tuple(notes))


def _about_turn(found: FoundTurn) -> list[str]:
    turn, notes = found.turn, []
    if not turn.consent_store:
        notes.append("the player did not consent to storing: no text was stored, so no rows are compared with it")
    if not turn.model_version:
        notes.append("no model version was serving")
    elif turn.fallback:
        notes.append(f"the answer is not the model's ({turn.fallback}); the version below served at that time")
    if found.partition is None or found.offset is None:
        notes.append("the position in conversation_log is not stored")
    return notes


def _served(turn: Turn, versions: Sequence[ModelVersion], notes: list[str]) -> ModelVersion | None:
    """Return the version that served, unless the registry gave its number to another one since."""
    version = next((one for one in versions if one.version == turn.model_version), None)
    if version is None:
        if versions:
            notes.append(f"the registry has no {turn.bot} version {turn.model_version} any more")
        return None
    answered_at = read_time(turn.answered_at)
    registered_at = datetime.fromtimestamp(version.created_ms / 1000, UTC)
    if answered_at is not None and registered_at - answered_at > _CLOCKS_DIFFER:
        notes.append(
            f"version {version.version} in the registry was registered after this turn was answered: it is not the one "
            "that served, because the registry was created again"
        )
        return None
    return version


def _with_version(lineage: Lineage, version: ModelVersion, sources: Sources, notes: list[str]) -> Lineage:
    settings, dataset = sources.settings, version.tags.get("dataset", "")
    run = _read(lambda: _run(version, sources), "run", notes) if version.run_id else None
    manifest = None
    if dataset:
        manifest = _read(
            lambda: read_manifest(sources.files, settings.hdfs.root, version.bot, dataset), f"dataset {dataset}", notes
        )
    else:
        notes.append(f"version {version.version} has no tag `dataset`, so its dataset is unknown")
    nearest = []
    if dataset and lineage.turn.consent_store:
        nearest = _read(lambda: _nearest(lineage.turn, dataset, sources, notes), "nearest rows", notes) or []
    return replace(
        lineage,
        version=VersionFacts(
            bot=version.bot,
            version=version.version,
            aliases=version.aliases,
            registered_at=_time(version.created_ms),
            tags=version.tags,
            url=f"{settings.mlflow_url}/{version.page}",
        ),
        run=run,
        dataset=manifest,
        gate=_gate(version, run, sources, notes),
        nearest_rows=tuple(nearest),
    )


def _run(version: ModelVersion, sources: Sources) -> RunFacts:
    run = sources.registry.run(version.run_id)
    url = f"{sources.settings.mlflow_url}/{run.page}"
    return RunFacts(run_id=run.run_id, url=url, started_at=_time(run.started_ms), ended_at=_time(run.ended_ms))


def _gate(version: ModelVersion, run: RunFacts | None, sources: Sources, notes: list[str]) -> GateFacts:
    result = version.tags.get("gate", "")
    decision = None
    if result:
        decision = _read(
            lambda: Decision.from_json(sources.registry.read_file(version.bot, version.version, _DECISION)),
            "gate's decision",
            notes,
        )
    else:
        notes.append(f"version {version.version} was not evaluated by the gate")
    page = "" if run is None or decision is None else f"{run.url}/artifacts/decision.html"
    return GateFacts(result=result, summary=version.tags.get("gate_reasons", ""), decision=decision, url=page)


def _nearest(turn: Turn, dataset: str, sources: Sources, notes: list[str]) -> list[NearestRow]:
    """Return the rows with the most similar questions, with the consent that their records state."""
    rows = _candidates(training_rows(local_dataset(turn.bot, dataset, sources.files, sources.settings)), turn.text)
    # The position in `rows` takes the place of the source, which leads back to the whole row.
    known = [Known(question=row.question, answer=row.answer, source=str(place)) for place, row in enumerate(rows)]
    found: list[Found] = NearestQuestions(known).find_most(turn.text, _NEAREST)
    near = [NearestRow(row=rows[int(hit.known.source)], likeness=hit.likeness) for hit in found]
    corrected = sorted({given_turn_id(one.row.turn_id) for one in near if one.row.source == "correction"})
    feedback = _read(
        lambda: sources.tables.of_turns(FEEDBACK.name, corrected, _FEEDBACK_COLUMNS), "stated consent", notes
    )
    near = [replace(one, asker=_asker(one, sources, notes), teacher=_teacher(one, feedback or [])) for one in near]
    if feedback is not None:
        notes += [
            f"the lake does not have the correction of turn {one.row.turn_id} that a nearest row is"
            for one in near
            if one.row.source == "correction" and one.teacher is None
        ]
    return near


def _candidates(rows: Sequence[DatasetRow], question: str) -> Sequence[DatasetRow]:
    """Return those rows of a large dataset that have the most syllables and pairs of syllables of the question.

    Comparing them exactly takes half a millisecond a row; likenesses may then differ a little from the worker's.
    """
    if len(rows) <= _MOST_COMPARED:
        return rows
    wanted = _syllables(question)
    return heapq.nlargest(_MOST_COMPARED, rows, key=lambda row: len(wanted & _syllables(row.question)))


def _syllables(text: str) -> set[str]:
    folded = fold(text).replace(" ", "")
    return {*folded, *(folded[start : start + 2] for start in range(len(folded) - 1))}


def _asker(near: NearestRow, sources: Sources, notes: list[str]) -> RecordedConsent | None:
    turn_id = near.row.turn_id
    if not turn_id:
        return None
    if turn_id != given_turn_id(turn_id):
        notes.append(f"turn {turn_id} shares its id with another one: its consent cannot be told from the index")
        return None
    document = _read(lambda: sources.index.find(TURN_INDEX, turn_id), f"turn {turn_id}", notes)
    if document is None:
        notes.append(f"the search index does not have turn {turn_id}, which a nearest row was made from")
        return None
    return RecordedConsent(
        train=_boolean(document.get("consent_train")),
        minor=says_minor(document.get("minor")),
        authenticated=document.get("authenticated") is True,
    )


def _teacher(near: NearestRow, feedback: Sequence[Row]) -> RecordedConsent | None:
    """Return what the last correction of the row's player on its turn says."""
    row = near.row
    own = [
        one
        for one in feedback
        if row.source == "correction"
        and one["kind"] == "correction"
        and one["turn_id"] == given_turn_id(row.turn_id)
        and player_key(str(one["player_id"] or "")) == row.player_id
    ]
    if not own:
        return None
    last = max(own, key=lambda one: tuple(str(one[n] or "").zfill(20) for n in ("received_at", "kafka_offset")))
    stated = object_or_empty(last["extra"])
    minor = says_minor(stated.get(MINOR_KEY))
    return RecordedConsent(
        train=False if minor else _boolean(stated.get(CONSENT_KEY)),
        minor=minor,
        authenticated=last["authenticated"] is True,
    )


def _learned(turn: Turn, versions: Sequence[ModelVersion], sources: Sources, notes: list[str]) -> list[Learner]:
    """Return the versions that learned this turn; only the newest datasets are searched."""
    used = list(dict.fromkeys(version.tags.get("dataset", "") for version in reversed(versions)))
    searched = [dataset for dataset in used if dataset][:_MOST_DATASETS]
    if len(searched) < len([dataset for dataset in used if dataset]):
        notes.append(
            f"only the {_MOST_DATASETS} newest datasets were searched for this turn: "
            f"`kogpt2-chat lineage --row {turn.turn_id}` searches all"
        )

    def contains(dataset: str) -> bool:
        return trained_on(local_dataset(turn.bot, dataset, sources.files, sources.settings), turn.turn_id)

    hits = {one for one in searched if _read(lambda one=one: contains(one), f"dataset {one}", notes)}  # type: ignore[misc]
    return learners(versions, hits) if hits else []


def _read(read: Callable[[], T], what: str, notes: list[str]) -> T | None:
    """Return what a server says; None with a note if it does not answer, or has nothing that can be read."""
    try:
        return read()
    except (NotFound, InvalidInput, Unavailable) as error:
        why: Exception = error
    except (ValueError, TypeError, AttributeError) as error:  # a damaged manifest
        why = error
    if not any(note.endswith(f": {why}") for note in notes):  # a server that is away is named once
        notes.append(f"{what} unknown: {why}")
    return None


def _boolean(value: object) -> bool | None:
    """Return what a record states; a value that is neither true nor missing counts as a refusal."""
    return None if value is None else value is True


def _time(unix_ms: int | None) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat() if unix_ms else ""
