"""Search Elasticsearch over HTTP with short timeouts, without its client library, whose import takes 70 MB.

A gateway's whole budget is 150 MB, and it only reads.
"""

from collections.abc import Mapping
from typing import Any, Final

import requests

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.settings import Settings

_BAD_REQUEST: Final = 400
_SHOWN_CHARS: Final = 200


class ElasticOverHttp:
    """Searches on an Elasticsearch server. Thread-safe: each search has a connection of its own.

    Args:
        settings: the server's address and login.
        timeout_s: timeout for connecting, and between two received bytes of a reply.
    """

    def __init__(self, settings: Settings, timeout_s: float) -> None:
        elastic = settings.elastic
        self._url = settings.elastic_url.rstrip("/")
        self._login = (elastic.username, elastic.password.get_secret_value()) if elastic.username else None
        self._timeout_s = min(timeout_s, elastic.timeout_s)

    def search(self, index: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        """Return Elasticsearch's response to a search. An index that is missing has no documents.

        Args:
            index: the index.
            body: the search.

        Raises:
            InvalidInput: Elasticsearch does not understand the search.
            Unavailable: it does not answer in time, is too busy, or could not search everything.
        """
        try:
            reply = requests.post(
                f"{self._url}/{index}/_search",
                params={"ignore_unavailable": "true"},
                json=body,
                auth=self._login,
                timeout=self._timeout_s,
                allow_redirects=False,
            )
            content: dict[str, Any] = reply.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(f"Elasticsearch {self._url} did not answer a search ({type(error).__name__})") from error
        if reply.status_code == _BAD_REQUEST:
            raise InvalidInput(f"Elasticsearch {self._url} refused a search of {index}: {_reason(content)}")
        if not reply.ok or content.get("timed_out") or content.get("_shards", {}).get("failed"):
            raise Unavailable(
                f"Elasticsearch {self._url} could not search {index}: {reply.status_code} {_reason(content)}"
            )
        return content


def _reason(content: Mapping[str, Any]) -> str:
    error = content.get("error")
    causes = error.get("root_cause") if isinstance(error, Mapping) else None
    first = causes[0] if causes else error
    return str(first.get("reason", first) if isinstance(first, Mapping) else first or "it was not complete")[
        :_SHOWN_CHARS
    ]
