"""Records that were lost before ingest, and how ingest recognises that a topic was deleted and created again."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, Literal

from kogpt2_chat.domain.lake.layout import GAPS, seoul_date
from kogpt2_chat.domain.lake.storable import storable

GapReason = Literal["retention", "topic_made_anew"]
FOUND: Final = "gaps/found"
REPORTED: Final = "gaps/told"
"""Delta application ids under which the table counts its rows, and the rows already reported to the operator."""


def topic_app_id(table: str, topic: str) -> str:
    """Return the Delta application id under which a table stores the mark of the topic that its positions refer to."""
    return f"{table}/{topic}"


def topic_mark(topic_id: str) -> int | None:
    """Return a topic's id (a UUID) as a 63-bit number, so that it can be stored like a position; None without an id."""
    return uuid.UUID(topic_id).int >> 65 if topic_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRange:
    """A range of a topic that is permanently missing from the lake.

    Attributes:
        table: the table that lacks it.
        topic: the topic.
        kafka_partition: partition of the topic.
        start: the first lost offset.
        end: the offset after the last lost one; None if it is unknown.
        reason: how the records were lost.
    """

    table: str
    topic: str
    kafka_partition: int
    start: int
    end: int | None
    reason: GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row of ``gaps``.

    Attributes:
        lost: the range.
        topic_id: id of the topic when the range was found to be lost.
        found_at: one time for all gaps of an ingest run.
    """

    lost: LostRange
    topic_id: str
    found_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Gap":
        """Return the gap of a row of the table."""
        lost = LostRange(**{field.name: row[field.name] for field in fields(LostRange)})
        return cls(lost=lost, topic_id=row["topic_id"], found_at=row["found_at"])

    def as_row(self) -> dict[str, object]:
        """Return a value for each column of the table."""
        lost = {field.name: getattr(self.lost, field.name) for field in fields(LostRange)}
        more = {"topic_id": self.topic_id, "found_at": self.found_at, "date": seoul_date(self.found_at)}
        return storable({**lost, **more}, GAPS)

    def without(self, known: Iterable["Gap"]) -> "Gap | None":
        """Return the part of the gap that is not yet in the table.

        A run that was killed may have stored the beginning of a gap, and the gap may have grown since then.

        Args:
            known: all gaps of the table.

        Returns:
            The gap, starting where the known ones end, or None if they cover it.
        """
        before = [gap.lost for gap in known if self._has_same_subject(gap)]
        if self.lost.end is None:  # the end is unknown, so two gaps with the same start are the same gap
            return None if self.lost.start in {lost.start for lost in before} else self
        start = max([self.lost.start, *(lost.end for lost in before if lost.end is not None)])
        return replace(self, lost=replace(self.lost, start=start)) if start < self.lost.end else None

    def _has_same_subject(self, other: "Gap") -> bool:
        """Return whether another gap is about the same table, partition and reason, wherever it begins and ends."""
        return self.topic_id == other.topic_id and self.lost == replace(
            other.lost, start=self.lost.start, end=self.lost.end
        )
