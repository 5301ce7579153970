"""List the latest reports of players and chat lines."""

from collections import deque
from dataclasses import dataclass

from kogpt2_chat.domain.chat.moderation import PlayerReport
from kogpt2_chat.domain.chat.topics import REPORT_TOPIC
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReportsResult:
    """The reports.

    Attributes:
        reports: the latest ones, newest first.
        total: how many readable reports the topic contains.
        unreadable: how many records are not reports that this release can read.
    """

    reports: tuple[PlayerReport, ...]
    total: int
    unreadable: int


def list_reports(*, topics: Topics, limit: int) -> ListReportsResult:
    """Read the reports that the topic still contains (30 days).

    Args:
        topics: Kafka.
        limit: how many of the latest reports to return.

    Returns:
        The reports.
    """
    latest: deque[PlayerReport] = deque(maxlen=limit)
    total = unreadable = 0
    starts = topics.start_positions(REPORT_TOPIC)
    for partition, end in topics.end_positions(REPORT_TOPIC).items():
        for record in topics.read(REPORT_TOPIC, partition, starts[partition], end):
            try:
                latest.append(PlayerReport.from_json(record.value or b""))
                total += 1
            except InvalidMessage:
                unreadable += 1
    return ListReportsResult(reports=tuple(reversed(latest)), total=total, unreadable=unreadable)
