"""The rules that decide which pairs may become training examples, and to which split of a dataset each pair belongs.

The Spark transforms call the functions below or read the limits from :class:`Rules`. A bot's answer without
feedback is never a training target; see :func:`ineligible_reason`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Final, Literal

from kogpt2_chat.domain.safety.turns import SAFETY

PairSource = Literal["seed", "correction", "praised"]
Split = Literal["train", "val", "test"]

SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")
SOURCES: Final[tuple[PairSource, ...]] = ("seed", "correction", "praised")
"""In order of preference: if several sources have the same pair, the first one counts."""

DATASET_ID_CHARS: Final = 12
HASHED_COLUMNS: Final = (
    "question", "answer", "source", "topic", "weight", "turn_id", "player_id", "cluster", "split",
)  # fmt: skip
"""The values of a row that :func:`row_hash` takes, in order."""
AGREEING_PLAYERS: Final = 2
DISPLACED: Final = ("duplicate", "gold", "player_cap", "praiser_cap", "phrase_cap", "seed_share", "superseded")
"""Reject reasons of pairs displaced by another pair or a cap. A pair that any other reason removes was withdrawn."""
_STORED_NAMES: Final = {"dataset_id": "version"}
"""Names in ``manifest.json`` that differ from the fields of :class:`Manifest`; every release reads them."""
_HELD_OUT_PERCENT: Final = {"val": 5, "test": 5}
_TAUGHT_HELD_OUT_FROM: Final = 30
_TAUGHT_HELD_OUT_EVERY: Final = 10
_LARGE_CLUSTER_ROWS: Final = 20
_LARGE_CLUSTER_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits that the rules apply; they come from the settings and are stored in the manifest.

    Attributes:
        min_age_hours: minimum age of a turn or feedback, in hours; younger ones wait.
        auto_review: whether to accept a correction without the agreement of two players.
        seed_share: minimum share of seed pairs, weighted by how often training sees each pair.
        rows_per_player: maximum number of taught pairs per player, and of praised answers per praising player.
        rows_per_phrase: maximum number of taught pairs with the same answer.
        new_pair_weight: how often training sees a taught pair for each time it sees a seed pair.
        assumed_consent: whether a correction may be trained on if its author never stated a consent.
        max_answer_tokens: maximum number of tokens in an answer, including the end token. A longer answer would be
            cut, and the model would learn the cut as the end.
    """

    min_age_hours: float
    auto_review: bool
    seed_share: float
    rows_per_player: int
    rows_per_phrase: int
    new_pair_weight: int
    assumed_consent: bool
    max_answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The facts about a proposed pair that decide whether it may be learned, apart from its text.

    Attributes:
        marked_at: server time at which the turn and its feedback (the earliest praise still in force, or the
            correction) had both arrived.
        consent_train: consent of the player who asked, and for a correction also of its author.
        likes: number of players whose latest feedback on the turn is ``up``.
        dislikes: number of players whose latest feedback on the turn is ``down``, ``report`` or a correction.
        distrusted: whether an operator distrusts the turn, or the player who wrote the text.
    """

    source: PairSource
    marked_at: datetime
    consent_train: bool = False
    fallback: str | None = None
    likes: int = 0
    dislikes: int = 0
    distrusted: bool = False


def ineligible_reason(proposal: Proposal, rules: Rules, as_of: datetime) -> str | None:
    """Return why a proposed pair may not be learned, regardless of its text.

    A turn answered with a vetted safety answer is never learned from, whether it was praised or corrected.
    A praised answer needs at least one player who liked it and no player who disliked it. A notice sent instead of
    the model's answer cannot enter the dataset by praise, but a correction of that turn can. Whether a correction
    also needs the agreement of other players is checked later, only for corrections that have no other reason
    against them: see :func:`needs_review`.

    Args:
        proposal: the proposed pair.
        rules: the limits that the rules apply.
        as_of: the time at which ages are measured.

    Returns:
        The first reason that applies, or None.
    """
    if proposal.source == "seed":
        return None
    if proposal.distrusted:
        return "distrusted"
    if proposal.fallback == SAFETY:
        return "safety"
    if not proposal.consent_train:
        return "no_consent"
    reason = _unpraised(proposal) if proposal.source == "praised" else None
    if reason:
        return reason
    return "quarantine" if as_of - proposal.marked_at < timedelta(hours=rules.min_age_hours) else None


def _unpraised(proposal: Proposal) -> str | None:
    if proposal.fallback is not None:
        return "fallback"
    if proposal.dislikes:
        return "disliked"
    return None if proposal.likes else "unmarked"


def needs_review(agreeing: int, rules: Rules) -> bool:
    """Check whether a correction still waits for review.

    Args:
        agreeing: number of players who corrected the same question with the same answer, counting only corrections
            that may be learned from.
        rules: the limits that the rules apply.
    """
    return not rules.auto_review and agreeing < AGREEING_PLAYERS


def taught_per_seed(rules: Rules) -> float:
    """Return the maximum number of taught pairs per seed pair that keeps ``seed_share``."""
    if rules.seed_share == 0:
        return float("inf")
    return (1 - rules.seed_share) / (rules.seed_share * rules.new_pair_weight)


def weight_of(source: str, rules: Rules) -> int:
    """Return how often training sees a pair in one epoch."""
    return 1 if source == "seed" else rules.new_pair_weight


@dataclass(frozen=True, slots=True, kw_only=True)
class PairKeys:
    """The keys of a pair that decide its cluster (see :func:`kogpt2_chat.domain.learning.cleaning.phrase_key`)."""

    question_key: str
    answer_key: str
    taught: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAssignment:
    """The cluster and the split of a pair."""

    cluster: str
    split: Split


def assign_splits(pairs: Sequence[PairKeys]) -> list[SplitAssignment]:
    """Assign a cluster and a split to each pair of one bot, so that nothing leaks between splits.

    1. Pairs that share a question or an answer, directly or through other pairs, form one cluster. A cluster is
       never divided. Its id is the smallest hash of its keys, so the order of the rows does not matter.
    2. The id decides whether a cluster goes to train, val or test (90/5/5), so a cluster keeps its split when other
       clusters are added.
    3. A cluster with a taught pair goes to train: players expect it to be learned, and the gate measures those same
       pairs. Once 30 such clusters exist, the id holds out one in ten, to measure how well teaching generalises.
    4. A cluster with more than 20 rows and more than 2 % of all rows goes to train: it would take up most of val or
       test.
    5. If val or test has no cluster, the seed cluster with the smallest id moves there from train.

    Args:
        pairs: the kept pairs of one bot.

    Returns:
        The cluster and the split of each pair, in the same order.
    """
    clusters = _clusters(pairs)
    size_by_cluster = Counter(clusters)
    taught = {cluster for cluster, pair in zip(clusters, pairs, strict=True) if pair.taught}
    limit = max(_LARGE_CLUSTER_ROWS, _LARGE_CLUSTER_SHARE * len(pairs))
    split_by_cluster: dict[str, Split] = {}
    for cluster, size in size_by_cluster.items():
        if size > limit:
            split_by_cluster[cluster] = "train"
        elif cluster in taught:
            split_by_cluster[cluster] = _taught_split(cluster, len(taught))
        else:
            split_by_cluster[cluster] = _seed_split(cluster)
    movable = sorted(c for c, size in size_by_cluster.items() if c not in taught and size <= limit)
    _fill_empty_splits(split_by_cluster, movable)
    return [SplitAssignment(cluster=cluster, split=split_by_cluster[cluster]) for cluster in clusters]


def _clusters(pairs: Sequence[PairKeys]) -> list[str]:
    """Return the cluster id of each pair: connected components by union-find, in almost linear time."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    nodes = [(_hash("question", pair.question_key), _hash("answer", pair.answer_key)) for pair in pairs]
    for question, answer in nodes:
        first, second = sorted((root(question), root(answer)))
        parent[second] = first  # the root is the smallest hash, so it serves as the id
    return [root(question)[:16] for question, _ in nodes]


def _seed_split(cluster: str) -> Split:
    percent = _bucket(cluster, 100)
    if percent < _HELD_OUT_PERCENT["val"]:
        return "val"
    return "test" if percent < _HELD_OUT_PERCENT["val"] + _HELD_OUT_PERCENT["test"] else "train"


def _taught_split(cluster: str, taught_clusters: int) -> Split:
    bucket = _bucket(cluster, 2 * _TAUGHT_HELD_OUT_EVERY)
    if taught_clusters < _TAUGHT_HELD_OUT_FROM or bucket > 1:
        return "train"
    return "val" if bucket else "test"


def _fill_empty_splits(split_by_cluster: dict[str, Split], movable: Sequence[str]) -> None:
    for split in ("val", "test"):
        in_train = [cluster for cluster in movable if split_by_cluster[cluster] == "train"]
        if split not in split_by_cluster.values() and in_train:
            split_by_cluster[in_train[0]] = split


def _bucket(cluster: str, buckets: int) -> int:
    # Hash again: the id is the minimum of several hashes, so it is not evenly distributed.
    return int(_hash("split", cluster)[:8], 16) % buckets


def row_hash(values: Sequence[object]) -> str:
    """Return the hash of one dataset row, of its values in the order of :data:`HASHED_COLUMNS`."""
    return _hash(*(json.dumps(value, ensure_ascii=False) for value in values))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record of what a dataset was built from.

    The input determines every field except ``created_at`` and those that compare with the previous dataset.

    Attributes:
        dataset_id: the first 12 characters of ``content_hash``.
        content_hash: hash of the sorted row hashes, so that files and their order do not matter.
        created_at: RFC 3339 time of the build.
        counts: number of rows by split.
        sources: number of rows by source.
        rejects: number of rejected proposals by reason.
        new_pairs: number of pairs that the previous dataset does not contain.
        previous: id of the dataset published before this one.
        table_versions: table version read of each Delta table; None if the table did not exist yet.
        rules: the limits that the rules apply.
        seeds_superseded: number of seed pairs replaced by a correction.
        withdrawn_pairs: number of pairs of the previous dataset that may no longer be learned: consent or praise taken
            back, reported, distrusted, or removed from the corpus.
        distrusted: number of distrusted players and turns at build time.
        tokenizer: hash of the tokenizer that measured the answers; empty if an earlier release measured none.
    """

    bot: str
    dataset_id: str
    content_hash: str
    created_at: str
    counts: Mapping[str, int]
    sources: Mapping[str, int]
    rejects: Mapping[str, int]
    new_pairs: int
    previous: str | None
    table_versions: Mapping[str, int | None]
    rules: Mapping[str, float] = field(default_factory=dict)
    seeds_superseded: int = 0
    withdrawn_pairs: int = 0
    distrusted: Mapping[str, int] = field(default_factory=dict)
    tokenizer: str = ""
    v: int = 1

    def to_json(self) -> str:
        """Return the manifest as indented JSON."""
        body = {_STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        return json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Read a manifest; unknown fields are ignored."""
        body = json.loads(text)
        names = {_STORED_NAMES.get(known.name, known.name): known.name for known in fields(cls)}
        return cls(**{names[stored]: value for stored, value in body.items() if stored in names})
