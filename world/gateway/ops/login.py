"""Logging in to the operators' pages, and the check that everything else under ``/ops`` is behind."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from world.gateway.incoming import address_of, check_origin, read_body
from world.gateway.ops.denied import Denied
from world.gateway.ops.sessions import LIFETIME_S, Session, Sessions
from world.gateway.pages import client_page
from world.gateway.refused import Refused
from world.gateway.rules.limits import LoginLimits

COOKIE: Final = "kogpt2_ops"
PAGE: Final = "ops.html"
_PATH: Final = "/ops"
_SEE_OTHER: Final = 303
_GOALS: Final = re.compile(r"/ops(/turn/[\w-]{1,80}|/conversation\?[\w.*~%&=+:-]{1,2000})?", re.ASCII)
"""The pages that a login leads to. Any other address may be one of somebody else."""
_OWN_SITES: Final = frozenset({None, "none", "same-origin"})
"""Values of ``Sec-Fetch-Site`` of requests that no page of another origin has made. Other ports of this host are other
origins, although the cookie is sent to all of them."""

Handler = Callable[[Request], Awaitable[Response]]
log = structlog.get_logger(__name__)


class Credentials(msgspec.Struct, frozen=True):
    """What an operator types."""

    user: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRoutes:
    """Lets operators in.

    Attributes:
        sessions: checks credentials, signs and reads the cookies.
        origins: origins besides the gateway's own from which pages may send requests.
        limits: limits on wrong tries.
        clock: returns seconds since the epoch.
        monotonic: returns monotonic seconds.
    """

    sessions: Sessions
    origins: frozenset[str] = frozenset()
    limits: LoginLimits = field(default_factory=LoginLimits)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def session_of(self, request: Request) -> Session | None:
        """Return the login whose cookie a request brings."""
        return self.sessions.read(request.cookies.get(COOKIE, ""), self.clock())

    def guarded(self, handler: Handler) -> Handler:
        """Return a handler of data that only answers who is logged in, and answers errors as the page expects them."""

        async def guard(request: Request) -> Response:
            try:
                self._check_site(request)
                if self.session_of(request) is not None:
                    return await handler(request)
            except Denied as denied:
                return denied.response()
            return Denied("login").response()

        return guard

    def guarded_page(self, handler: Handler) -> Handler:
        """Return a handler of a page that sends who is not logged in to the login."""

        async def guard(request: Request) -> Response:
            if self.session_of(request) is not None:
                return await handler(request)
            path, asked_for = request.url.path, f"{request.url.path}?{request.url.query}"
            goal = asked_for if _GOALS.fullmatch(asked_for) else path
            asked = f"?to={quote(goal)}" if goal != _PATH and _GOALS.fullmatch(goal) else ""
            return RedirectResponse(f"{_PATH}/login{asked}", _SEE_OTHER)

        return guard

    async def show(self, request: Request) -> Response:
        """``GET /ops/login``: the page, which shows the form; who is logged in already goes on to where it leads."""
        if self.session_of(request) is None:
            return client_page(PAGE)
        goal = request.query_params.get("to", "")
        return RedirectResponse(goal if _GOALS.fullmatch(goal) else _PATH, _SEE_OTHER)

    async def log_in(self, request: Request) -> Response:
        """``POST /ops/login``: get the cookie for a user name and a password."""
        try:
            self._check_site(request)
            await self._check_credentials(request)
        except Denied as denied:
            return denied.response()
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            self.sessions.begin(self.clock()),
            max_age=LIFETIME_S,
            path=_PATH,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        log.info("operator_logged_in", address=address_of(request))
        return response

    async def log_out(self, request: Request) -> Response:
        """``DELETE /ops/login``: end the login."""
        try:
            self._check_site(request)
        except Denied as denied:
            return denied.response()
        if (session := self.session_of(request)) is not None:
            self.sessions.end(session, self.clock())
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path=_PATH, httponly=True, samesite="strict")
        return response

    async def me(self, request: Request) -> Response:
        """``GET /ops/api/me``: the account that is logged in."""
        session = self.session_of(request)
        return JSONResponse({"user": session.user if session else None})

    async def _check_credentials(self, request: Request) -> None:
        if not self.sessions.has_password:
            raise Denied("unavailable", "there is no password yet: `kogpt2-chat stack up` generates one")
        try:
            given = await read_body(request, Credentials, "a user and a password")
        except Refused as refused:
            raise Denied("message", str(refused)) from None
        address = address_of(request)
        if wait_s := self.limits.take(address, self.monotonic()):
            log.warning("operator_login_limited", address=address)
            raise Denied("rate", wait_s=wait_s)
        if not self.sessions.is_right(given.user, given.password):
            log.warning("operator_login_wrong", address=address)  # without what was typed: it may be a secret
            raise Denied("credentials")
        self.limits.put_back(address)

    def _check_site(self, request: Request) -> None:
        """Check that no page of another origin has made a request, with or without the header ``Origin``.

        Raises:
            Denied: ``origin``.
        """
        try:
            check_origin(request, self.origins)
        except Refused as refused:
            raise Denied("origin", str(refused)) from None
        if request.headers.get("sec-fetch-site") not in _OWN_SITES and request.headers.get("origin") is None:
            raise Denied("origin", "a page of another origin has made this request")
