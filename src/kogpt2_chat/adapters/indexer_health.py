"""Ask the live indexer over HTTP how far it is behind."""

from typing import Any, Final

import requests

from kogpt2_chat.errors import Unavailable

TIMEOUT_S: Final = 3.0
"""Timeout for connecting, and between two received bytes of a reply."""


def indexer_lag_s(url: str) -> float:
    """Return how old the oldest record is that the indexer has not written yet, in seconds; 0 if there is none.

    An indexer that cannot write at the moment answers too: it says how far it is behind by now.

    Args:
        url: its address.

    Raises:
        Unavailable: it does not answer, or does not know yet.
    """
    try:
        # 200 or 503, each with the report.
        reply = requests.get(f"{url}/health", timeout=TIMEOUT_S, allow_redirects=False)
        report: dict[str, Any] = reply.json()
        lag_s, problems = report["lag_s"], report["problems"]
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the indexer at {url} did not say how far it is behind ({type(error).__name__})") from error
    if lag_s is None:
        raise Unavailable(
            f"the indexer at {url} does not know yet how far it is behind: {'; '.join(map(str, problems))}"
        )
    return float(lag_s)
