"""A report of ``status`` for tests: a stack without servers, with the given parts."""

from typing import Any

from kogpt2_chat.cli.status import NOT_COMPARED, IndexerStatus, KafkaStatus, PageLogin, SafetyStatus, StatusReport


def status_report(**parts: Any) -> StatusReport:
    """Return a report that is empty except for the given parts."""
    empty: dict[str, Any] = {
        "services": (),
        "urls": {},
        "airflow": PageLogin(user="admin", password=None),
        "operators": PageLogin(user="operator", password=None),
        "full_disks": (),
        "bots": (),
        "safety": SafetyStatus(answers={}, checked_on=None, warning=None),
        "indexer": IndexerStatus(),
        "kafka": KafkaStatus(warning=None),
        "champions": NOT_COMPARED,
    }
    return StatusReport(**(empty | parts))
