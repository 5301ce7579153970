"""What may become a training example, and in which part of the dataset it stands.

The only home of these rules: the Spark transforms call the functions below, or read their numbers from
:class:`Rules`. A bot's unmarked answer is never a target; see :func:`ineligible_reason`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Final, Literal

from kogpt2_chat.domain.safety.turns import SAFETY

Source = Literal["seed", "correction", "praised"]
Split = Literal["train", "val", "test"]

SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")
SOURCES: Final[tuple[Source, ...]] = ("seed", "correction", "praised")
"""In order of preference where the same pair comes from several."""

VERSION_CHARS: Final = 12
AGREEING_PLAYERS: Final = 2
MADE_WAY: Final = ("duplicate", "gold", "player_cap", "praiser_cap", "phrase_cap", "seed_share", "superseded")
"""Reasons of pairs that only made way for others. A pair that is gone for any other reason was withdrawn."""
_HELD_OUT_PERCENT: Final = {"val": 5, "test": 5}
_TAUGHT_HELD_OUT_FROM: Final = 30
_TAUGHT_HELD_OUT_EVERY: Final = 10
_LARGE_CLUSTER_ROWS: Final = 20
_LARGE_CLUSTER_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers behind the rules; they come from settings and are written into the manifest.

    Attributes:
        quarantine_hours: turns and feedback younger than this wait.
        auto_review: accept a correction without the agreement of two players.
        seed_share: least share of seed pairs, counted as often as training sees them.
        rows_per_player: most taught pairs of one player; likewise most praised answers of one who praises.
        rows_per_phrase: most taught pairs with one answer.
        new_pair_weight: times a taught pair is seen for each time a seed pair is.
        assumed_consent: whether a correction may be trained on whose author has never said yes or no.
        max_answer_tokens: tokens of an answer and its end; a longer one would be cut, and the cut learned as an end.
    """

    quarantine_hours: float = 24.0
    auto_review: bool = False
    seed_share: float = 0.3
    rows_per_player: int = 50
    rows_per_phrase: int = 20
    new_pair_weight: int = 4
    assumed_consent: bool = False
    max_answer_tokens: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the rules look at in a pair that players made.

    Attributes:
        marked_at: when the turn and the first praise that stands, or the correction, had both arrived, by the servers'
            clocks.
        consent_train: the asker's, and for a correction its author's as well.
        likes: players whose last word on the turn is ``up``.
        dislikes: players whose last word on it is ``down``, ``report`` or a correction.
        distrusted: whether a person has struck out the turn, or the player whose words these are.
    """

    source: Source
    marked_at: datetime
    consent_train: bool = False
    fallback: str | None = None
    likes: int = 0
    dislikes: int = 0
    distrusted: bool = False


def ineligible_reason(candidate: Candidate, rules: Rules, as_of: datetime) -> str | None:
    """Why a pair may not be learned from, whatever its words are.

    A turn that a vetted answer was given to is never learned from, praised or corrected alike.
    A praised answer needs one player who liked it and none who did not. A notice that stood in for the model is
    never praised into the dataset, but the question below it may be corrected. Whether a correction needs the
    agreement of others is asked afterwards, of those that nothing else speaks against: see :func:`needs_review`.

    Args:
        candidate: the pair's circumstances.
        rules: the numbers.
        as_of: the time that ages are counted from.

    Returns:
        The first reason that holds, or None.
    """
    if candidate.source == "seed":
        return None
    if candidate.distrusted:
        return "distrusted"
    if candidate.fallback == SAFETY:
        return "safety"
    if not candidate.consent_train:
        return "no_consent"
    reason = _unpraised(candidate) if candidate.source == "praised" else None
    if reason:
        return reason
    return "quarantine" if as_of - candidate.marked_at < timedelta(hours=rules.quarantine_hours) else None


def _unpraised(candidate: Candidate) -> str | None:
    if candidate.fallback is not None:
        return "fallback"
    if candidate.dislikes:
        return "disliked"
    return None if candidate.likes else "unmarked"


def needs_review(agreeing: int, rules: Rules) -> bool:
    """Whether a correction waits for review.

    Args:
        agreeing: players who gave this very answer to this very question, each by a correction that may itself be
            learned from.
        rules: the numbers.
    """
    return not rules.auto_review and agreeing < AGREEING_PLAYERS


def taught_per_seed(rules: Rules) -> float:
    """How many taught pairs one seed pair carries, so that seeds keep their share of what training sees."""
    if rules.seed_share == 0:
        return float("inf")
    return (1 - rules.seed_share) / (rules.seed_share * rules.new_pair_weight)


def weight_of(source: str, rules: Rules) -> int:
    """How often training sees a pair in one epoch."""
    return 1 if source == "seed" else rules.new_pair_weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The keys that decide where a pair belongs (see :func:`kogpt2_chat.domain.learning.cleaning.phrase_key`)."""

    question_key: str
    answer_key: str
    taught: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pair belongs."""

    cluster: str
    split: Split


def place(pairs: Sequence[Pair]) -> list[Place]:
    """Give each pair of one bot its cluster and its split, so that nothing leaks.

    1. Pairs that share a question or an answer, directly or through others, are one cluster, and a cluster is
       never divided. Its id is the smallest hash of its keys, so the order of the rows does not matter.
    2. A cluster goes to train, val or test (90/5/5) by its id, so that it stays there when others are added.
    3. A cluster with a taught pair goes to train: what players teach is to be learned, and whether it was is
       asked of those very pairs. From 30 such clusters on, one in ten is held out by its id, so that there
       is also a measure of how teaching generalises.
    4. A cluster larger than 20 rows and 2 % of all goes to train: one chance hit would swallow a split.
    5. Where val or test is left without a cluster, the seed cluster with the smallest id moves there.

    Args:
        pairs: the kept pairs of one bot.

    Returns:
        A place for each pair, in their order.
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
    return [Place(cluster=cluster, split=split_by_cluster[cluster]) for cluster in clusters]


def _clusters(pairs: Sequence[Pair]) -> list[str]:
    """The cluster id of each pair: connected components by union and find, almost linear."""
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
        parent[second] = first  # the smallest hash is the root, hence the id
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
    # Hashed again: the id is the smallest of many hashes, and so anything but evenly spread.
    return int(_hash("split", cluster)[:8], 16) % buckets


def row_hash(values: Sequence[object]) -> str:
    """Hash of one dataset row: its values in the order of the dataset's columns, then its split."""
    return _hash(*(json.dumps(value, ensure_ascii=False) for value in values))


def content_hash(row_hashes: Iterable[str]) -> str:
    """Hash of a dataset: of its rows' hashes in sorted order, so that files and their order do not matter."""
    return hashlib.sha256("\n".join(sorted(row_hashes)).encode()).hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a dataset is made of. All but its time and what is counted against ``previous`` follows from the input.

    Attributes:
        version: the first 12 characters of ``content_hash``.
        created_at: RFC 3339.
        counts: rows by split.
        sources: rows by source.
        rejects: candidates left out, by reason.
        new_pairs: pairs that the dataset published before this one does not hold.
        previous: that dataset's version.
        table_versions: the Delta version read of each table; None where there was no table yet.
        rules: the numbers behind the rules.
        seeds_superseded: seed pairs that a correction took the place of.
        withdrawn_pairs: pairs of the dataset before this one that may no longer be learned: taken back, complained
            about, distrusted, removed from the corpus.
        distrusted: players and turns that were struck out at the time.
        tokenizer: hash of the tokenizer that answers were measured with; empty where an earlier release had none.
    """

    bot: str
    version: str
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
        """Readable JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Read a manifest; fields that this version does not know are left out."""
        body = json.loads(text)
        names = {known.name for known in fields(cls)}
        return cls(**{name: value for name, value in body.items() if name in names})
