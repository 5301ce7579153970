"""Where the answer of a turn came from: version, run, dataset, gate, nearest rows, positions and consent.

Values only: no I/O, no model.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turn_ids import position_in
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.lake.search_masking import conversation_of, mask_for_search, mask_names
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.domain.learning.row_lineage import DatasetRow, Learner, shown_row

_MANIFEST_FACTS: Final = (
    "created_at", "previous", "counts", "sources", "rejects", "rules", "new_pairs", "withdrawn_pairs",
    "seeds_superseded", "distrusted",
)  # fmt: skip
_TURN_FACTS: Final = (
    "turn_id", "question_id", "bot", "player_id", "sender", "session_id", "source", "worker", "epoch", "sent_at",
    "received_at", "answered_at", "latency_ms", "kafka_ms", "queue_ms", "decode_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The position of a record in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A registered version, as the registry describes it now.

    Attributes:
        registered_at: RFC 3339; empty if unknown.
        url: of its page in the registry.
    """

    bot: str
    version: int
    aliases: tuple[str, ...]
    registered_at: str
    tags: Mapping[str, str]
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The training run of a version.

    Attributes:
        run_id: its id in MLflow.
        url: of its page.
        started_at: RFC 3339; empty if unknown. So is ``ended_at``, also while the run runs.
    """

    run_id: str
    url: str
    started_at: str
    ended_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the gate decided on a version.

    Attributes:
        result: the tag ``gate``: ``pass`` or ``refused``; empty if the version was not evaluated.
        summary: the tag ``gate_reasons``.
        decision: the stored decision; None if the version has none that can be read.
        url: of the decision's page.
    """

    result: str
    summary: str
    decision: Decision | None
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedConsent:
    """What a record says about the consent of the player who wrote it.

    Attributes:
        train: whether training may use the text; None if the record does not say.
    """

    train: bool | None
    minor: bool
    authenticated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestRow:
    """A row that a version was trained on, and how similar its question is to the turn's.

    Attributes:
        likeness: 0 to 1.
        asker: consent of the player who asked the question; None for a seed, or if its turn is not stored.
        teacher: consent stated with the correction; None if the row is not a correction, or it is not stored.
    """

    row: DatasetRow
    likeness: float
    asker: RecordedConsent | None = None
    teacher: RecordedConsent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where the answer of one turn came from.

    Attributes:
        found_in: where the turn was found.
        log: position of the turn in ``conversation_log``; None if unknown.
        return_ms: how long the answer then took to that record; None if unknown.
        version: the version that served; None if none did, or the registry does not have it. The same holds for
            ``run`` and ``gate``.
        dataset: the manifest of the version's dataset; None if there is none that can be read.
        nearest_rows: the rows of that dataset whose questions are most similar, best first.
        learned_by: the versions that learned this very turn.
        notes: sentences for the reader: what is missing, and why.
    """

    turn: Turn
    found_in: str
    log: Position | None = None
    return_ms: int | None = None
    version: VersionFacts | None = None
    run: RunFacts | None = None
    dataset: Manifest | None = None
    gate: GateFacts | None = None
    nearest_rows: tuple[NearestRow, ...] = ()
    learned_by: tuple[Learner, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON. Texts are masked as in the search index; null means unknown or not stored.

        The shape (``?`` means: may be null)::

            {"turn": {"turn_id", "question_id", "bot", "player_id", "sender", "session_id"?, "source", "worker",
                      "epoch", "sent_at"?, "received_at", "answered_at", "latency_ms", "kafka_ms"?, "queue_ms"?,
                      "decode_ms"?, "return_ms"?, "conversation",
                      "question"?, "answer"?, "outcome": "model" | FALLBACK, "model_version": 0 if none served,
                      "nearest"?: {"question", "source", "likeness"}, "found_in"},
             "positions": {"question": {"topic", "partition", "offset"}, "log"?: {"topic", "partition", "offset"}},
             "consent": {"store", "train", "minor", "authenticated"},
             "version"?: {"bot", "version", "aliases": [], "registered_at", "tags": {}, "url"},
             "run"?: {"run_id", "url", "started_at", "ended_at"},
             "dataset"?: {"dataset", "created_at", "previous"?, "counts": {}, "sources": {}, "rejects": {}, "rules": {},
                          "new_pairs", "withdrawn_pairs", "seeds_superseded", "distrusted": {}},
             "gate"?: {"result": "pass" | "refused" | "", "summary", "baseline"?, "profile"?, "url",
                       "blocks": [{"block", "passed"}],
                       "reasons": [{"block", "rule", "value"?, "threshold"?, "passed", "blocking", "sentence",
                                    "baseline"?}]},
             "nearest_rows": [{"question", "answer", "kind": "seed" | "correction" | "praised", "topic", "split",
                               "row_hash", "sources": [turn ids], "player_id"?, "likeness",
                               "consent": {"asker"?: {"train"?, "minor", "authenticated"},
                                           "teacher"?: {"train"?, "minor", "authenticated"}}}],
             "learned_by": [{"bot", "version", "aliases": [], "dataset", "how": "dataset" | "parent", "gate"}],
             "notes": []}

        ``blocks`` counts blocking rules only. Times are RFC 3339, an unknown one of ``version`` and ``run`` is empty.
        """
        return {
            "turn": self.shown_turn(),
            "positions": {
                "question": asdict(question_position(self.turn.turn_id)),
                "log": None if self.log is None else asdict(self.log),
            },
            "consent": {
                "store": self.turn.consent_store,
                "train": self.turn.consent_train,
                "minor": self.turn.minor,
                "authenticated": self.turn.authenticated,
            },
            "version": None if self.version is None else asdict(self.version),
            "run": None if self.run is None else asdict(self.run),
            "dataset": None if self.dataset is None else _dataset(self.dataset),
            "gate": None if self.gate is None else _gate(self.gate),
            "nearest_rows": [_nearest(row) for row in self.nearest_rows],
            "learned_by": [asdict(learner) for learner in self.learned_by],
            "notes": list(self.notes),
        }

    def shown_turn(self) -> dict[str, object]:
        """Return the facts about the turn itself, with masked texts."""
        turn = self.turn
        row = mask_for_search({"text": turn.text, "answer": turn.answer} | {n: getattr(turn, n) for n in _TURN_FACTS})
        return {
            **{name: row.get(name) for name in _TURN_FACTS},
            "conversation": conversation_of(row),
            "question": row["text"] if turn.consent_store else None,
            "answer": row["answer"] if turn.consent_store else None,
            "outcome": turn.fallback or "model",
            "model_version": turn.model_version,
            "nearest": _nearest_known(turn),
            "found_in": self.found_in,
            "return_ms": self.return_ms,
        }


def question_position(turn_id: str) -> Position:
    """Return the position of the question that a turn id names."""
    found = position_in(turn_id)
    if found is None:
        raise ValueError(f"{turn_id!r} is not a turn id")
    return Position(topic=QUESTION_TOPIC, partition=found[0], offset=found[1])


def log_position(partition: int, offset: int) -> Position:
    """Return a position in ``conversation_log``."""
    return Position(topic=TURN_TOPIC, partition=partition, offset=offset)


def _nearest_known(turn: Turn) -> dict[str, object] | None:
    """Return the known question whose answer the player received instead of the model's."""
    nearest = turn.decoding.get("nearest")
    if turn.fallback != "nearest" or not isinstance(nearest, dict):
        return None
    known = {name: nearest.get(name) for name in ("question", "source", "likeness")}
    return {**known, "question": mask_names(str(known["question"] or ""))}


def _dataset(manifest: Manifest) -> dict[str, object]:
    return {"dataset": manifest.dataset_id, **{name: getattr(manifest, name) for name in _MANIFEST_FACTS}}


def _gate(gate: GateFacts) -> dict[str, object]:
    decision = gate.decision
    reasons = decision.reasons if decision else ()
    blocks = dict.fromkeys((reason.block for reason in reasons if reason.blocking), True)
    for reason in reasons:
        if reason.blocking and not reason.passed:
            blocks[reason.block] = False
    return {
        "result": gate.result,
        "summary": gate.summary,
        "baseline": decision.baseline if decision else None,
        "profile": decision.profile.name if decision else None,
        "url": gate.url,
        "blocks": [{"block": block, "passed": passed} for block, passed in blocks.items()],
        "reasons": [{name: _finite(value) for name, value in asdict(reason).items()} for reason in reasons],
    }


def _finite(value: object) -> object:
    """Return null instead of a number that JSON does not have: a model that has diverged is measured as one."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _nearest(near: NearestRow) -> dict[str, object]:
    return {
        **shown_row(near.row),
        "likeness": round(near.likeness, 3),
        "consent": {
            "asker": None if near.asker is None else asdict(near.asker),
            "teacher": None if near.teacher is None else asdict(near.teacher),
        },
    }
