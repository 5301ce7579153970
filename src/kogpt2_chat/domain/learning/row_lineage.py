"""Which datasets contain a training row, and which versions learned it. Values only: no I/O."""

from dataclasses import asdict, dataclass
from typing import Final, Literal

from kogpt2_chat.domain.lake.search_masking import mask_names
from kogpt2_chat.domain.learning.cleaning import mentions_crisis
from kogpt2_chat.domain.learning.dataset import Split
from kogpt2_chat.domain.learning.distrust import DistrustEntry

HIDDEN: Final = "[위기일 수 있어 보이지 않는 글 / not shown: may be about a crisis]"
LearnedFrom = Literal["dataset", "parent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """One row of a dataset.

    Attributes:
        source: ``seed``, ``correction`` or ``praised``.
        turn_id: the turn that it was made from; empty for a seed.
        player_id: the key of the player who taught it: who wrote the correction, or asked the praised question.
        row_hash: see :func:`~kogpt2_chat.domain.learning.dataset.row_hash`; empty if the dataset lacks a column for it.
    """

    question: str
    answer: str
    source: str
    topic: str
    split: Split
    turn_id: str
    player_id: str
    row_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A version that learned a row.

    Attributes:
        how: ``dataset`` if the row is in the train split of its dataset; ``parent`` if training started from a version
            that had learned it.
        gate: the tag ``gate``: ``pass`` or ``refused``; empty if the version was not evaluated.
    """

    bot: str
    version: int
    aliases: tuple[str, ...]
    dataset: str
    how: LearnedFrom
    gate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetWithRow:
    """A dataset that contains a row.

    Attributes:
        splits: the splits that contain it; a row in ``val`` or ``test`` measured a version and was not learned.
        newest: whether it is the bot's newest dataset.
    """

    bot: str
    dataset: str
    created_at: str
    splits: tuple[Split, ...]
    newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLineage:
    """Which datasets contain a row, and which versions learned it.

    Attributes:
        asked: the turn id or row hash that was asked for.
        rows: the different rows that were found.
        datasets: oldest first.
        distrusted: entries that exclude the row from the next dataset: on its turn, or on the player who taught it.
        notes: as in :class:`Lineage`.
    """

    asked: str
    rows: tuple[DatasetRow, ...] = ()
    datasets: tuple[DatasetWithRow, ...] = ()
    learned_by: tuple[Learner, ...] = ()
    distrusted: tuple[DistrustEntry, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def withdrawn(self) -> bool | None:
        """Whether a bot that once had the row has it no more in its newest dataset; None if no dataset had it."""
        if not self.datasets:
            return None
        bots = {dataset.bot for dataset in self.datasets}
        return bots != {dataset.bot for dataset in self.datasets if dataset.newest}

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON, with masked texts.

        The shape::

            {"asked", "rows": [as in "nearest_rows" of a turn, without "likeness" and "consent"],
             "datasets": [{"bot", "dataset", "created_at", "splits": [], "newest"}],
             "learned_by": [as for a turn],
             "withdrawn": true | false | null,
             "distrusted": [{"kind": "turn" | "player", "subject", "by", "reason", "at"}], "notes": []}
        """
        return {
            "asked": self.asked,
            "rows": [shown_row(row) for row in self.rows],
            "datasets": [asdict(dataset) for dataset in self.datasets],
            "learned_by": [asdict(learner) for learner in self.learned_by],
            "withdrawn": self.withdrawn,
            "distrusted": [
                {name: str(getattr(entry, name)) for name in ("kind", "subject", "by", "reason", "at")}
                for entry in self.distrusted
            ],
            "notes": list(self.notes),
        }


def given_turn_id(turn_id: str) -> str:
    """Return a dataset row's turn id without the suffix that separates turns with the same id."""
    return turn_id.partition("~")[0]


def shown_row(row: DatasetRow) -> dict[str, object]:
    """Return a row for people to read, with masked texts.

    The texts of a row that may be about a crisis are not shown: an earlier release may have learned it, by fewer rules.
    """
    is_hidden = mentions_crisis(row.question, row.answer)
    return {
        "question": HIDDEN if is_hidden else mask_names(row.question),
        "answer": HIDDEN if is_hidden else mask_names(row.answer),
        "kind": row.source,
        "topic": row.topic,
        "split": row.split,
        "row_hash": row.row_hash,
        "sources": [given_turn_id(row.turn_id)] if row.turn_id else [],
        "player_id": row.player_id or None,
    }
