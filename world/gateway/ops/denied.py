"""The error for a request of the operators' pages that gets nothing, as the page's code understands it."""

import math
from typing import Literal

from starlette.responses import JSONResponse, Response

Why = Literal[
    "busy", "credentials", "failed", "login", "message", "not_found", "origin", "parameter", "rate", "unavailable",
]  # fmt: skip
_STATUS_BY_WHY: dict[Why, int] = {
    "busy": 503, "credentials": 401, "failed": 500, "login": 401, "message": 400, "not_found": 404, "origin": 403,
    "parameter": 400, "rate": 429, "unavailable": 503,
}  # fmt: skip


class Denied(Exception):
    """A request gets nothing.

    Args:
        why: the reason, as a code.
        what: what is wrong, for the operator; empty if the code says it all. It quotes no secret.
        wait_s: how long to wait before the next try; 0 if waiting does not help.
    """

    def __init__(self, why: Why, what: str = "", wait_s: float = 0) -> None:
        super().__init__(f"{why}: {what}")
        self.why: Why = why
        self.what = what
        self.wait_s = math.ceil(wait_s)

    def response(self) -> Response:
        """Return the answer to the request."""
        body: dict[str, object] = {"reason": self.why}
        if self.what:
            body["what"] = self.what
        headers = {}
        if self.wait_s:
            body["wait_s"] = self.wait_s
            headers["retry-after"] = str(self.wait_s)
        return JSONResponse(body, _STATUS_BY_WHY[self.why], headers)
