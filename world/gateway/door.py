"""The door: a browser asks who it is, gets a guest's identity, changes its consent, or is forgotten."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from world.gateway.incoming import address_of, check_origin, read_body
from world.gateway.refused import Refused
from world.gateway.rules.limits import AddressLimits, GuestLimits
from world.gateway.rules.names import checked_name
from world.gateway.rules.tokens import LIFETIME_S, Guest, GuestTokens, consenting, new_guest

COOKIE: Final = "kogpt2_guest"


class SignIn(msgspec.Struct, frozen=True):
    """What the door asks of a player."""

    name: str
    store: bool = False
    learn: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Gives guests their identities.

    Attributes:
        tokens: signs and reads the tokens.
        addresses: the limits per address.
        guests: the limits per guest.
        origins: origins besides the gateway's own from which pages may connect.
        facts: what every page gets to know, e.g. the portals.
        last_consent: returns the guest of a token with the consent that counts now.
        signed_in: called with a guest who has signed in or changed the consent.
        signed_out: called with the id of a guest who wants to be forgotten.
        banned: returns whether moderators have banned a guest.
        clock: returns seconds since the epoch.
        monotonic: returns monotonic seconds.
    """

    tokens: GuestTokens
    addresses: AddressLimits
    guests: GuestLimits
    origins: frozenset[str]
    facts: Mapping[str, object]
    last_consent: Callable[[Guest], Guest]
    signed_in: Callable[[Guest], None]
    signed_out: Callable[[str], None]
    banned: Callable[[str], bool]
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def guest_of(self, connection: HTTPConnection) -> Guest | None:
        """Return the guest whose token a request brings."""
        guest = self.tokens.read(connection.cookies.get(COOKIE, ""), self.clock())
        return None if guest is None else self.last_consent(guest)

    def admitted(self, connection: HTTPConnection) -> Guest:
        """Return the guest that may connect.

        Raises:
            Refused: the page comes from another origin, there is no valid token, or the guest is banned.
        """
        check_origin(connection, self.origins)
        guest = self.guest_of(connection)
        if guest is None:
            raise Refused("session", "the token is missing, forged or expired")
        self._check_banned(guest)
        return guest

    async def show(self, request: Request) -> Response:
        """``GET /session``: who the browser is. A token older than a day, or signed with an old key, is renewed."""
        guest = self.guest_of(request)
        response = JSONResponse({"guest": None if guest is None else _shown(guest), **self.facts})
        token = request.cookies.get(COOKIE, "")
        if guest is not None and (renewed := self.tokens.renewed(guest, token, self.clock())) is not None:
            self._set_cookie(request, response, renewed)
        return response

    async def sign_in(self, request: Request) -> Response:
        """``POST /session``: become a guest, or change the name or the consent."""
        try:
            check_origin(request, self.origins)
            wanted = await read_body(request, SignIn, "a name and the consent")
            guest = self._guest(request, wanted)
            self._check_banned(guest)
        except Refused as refused:
            return JSONResponse({"reason": refused.reason, "wait_s": refused.wait_s}, _status(refused))
        self.signed_in(guest)
        response = JSONResponse({"guest": _shown(guest)})
        self._set_cookie(request, response, guest)
        return response

    async def sign_out(self, request: Request) -> Response:
        """``DELETE /session``: forget the identity."""
        try:
            check_origin(request, self.origins)
        except Refused as refused:
            return JSONResponse({"reason": refused.reason, "wait_s": refused.wait_s}, _status(refused))
        if (guest := self.guest_of(request)) is not None:
            self.signed_out(guest.id)
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def _check_banned(self, guest: Guest) -> None:
        if self.banned(guest.id):
            raise Refused("banned", "moderators have banned this guest")

    def _guest(self, request: Request, wanted: SignIn) -> Guest:
        name, now = checked_name(wanted.name), self.clock()
        known = self.guest_of(request)
        if known is None:
            self.addresses.new_id(address_of(request), self.monotonic())
            return new_guest(name, now, store=wanted.store, learn=wanted.learn, minor=wanted.minor)
        self.guests.of(known.id, self.monotonic()).check("sign_in", self.monotonic())
        known = replace(known, name=name, issued=int(now))
        return consenting(known, now, store=wanted.store, learn=wanted.learn, minor=wanted.minor)

    def _set_cookie(self, request: Request, response: Response, guest: Guest) -> None:
        response.set_cookie(
            COOKIE,
            self.tokens.sign(guest),
            max_age=LIFETIME_S,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


def _shown(guest: Guest) -> dict[str, Any]:
    names = ("id", "name", "first_seen", "store", "learn", "minor")
    return {name: getattr(guest, name) for name in names}


def _status(refused: Refused) -> int:
    return {"too_many_ids": 429, "too_fast": 429, "origin": 403, "banned": 403}.get(refused.reason, 400)
