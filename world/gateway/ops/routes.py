"""The routes under ``/ops``. All but those of the login answer only who is logged in."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kogpt2_chat.domain.chat.bots import BOTS
from kogpt2_chat.domain.learning.masked_explanation import masked_explanation
from world.gateway.ops.commands import TurnCommand
from world.gateway.ops.denied import Denied
from world.gateway.ops.login import PAGE, LoginRoutes
from world.gateway.ops.now import LiveFigures
from world.gateway.ops.parameters import period_of, turn_filter, turn_id_of
from world.gateway.ops.ports import Json, Panels
from world.gateway.ops.work import CallThreads, ResultCache
from world.gateway.pages import client_page

REFRESH_S: Final = 30
LINEAGE_S: Final = 60.0
REPLAY_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRoutes:
    """Answers the requests of operators who are logged in.

    Attributes:
        panels: the panels.
        links: addresses of other servers' pages, by name.
        lineage: the command that follows a turn.
        replay: the command that runs a turn's prompt again; it loads the model, so only one runs at a time.
        threads: run the queries.
        clock: returns seconds since the epoch.
    """

    panels: Panels
    links: Mapping[str, str]
    lineage: TurnCommand = field(default_factory=lambda: TurnCommand("lineage", limit_s=LINEAGE_S, at_once=2))
    replay: TurnCommand = field(default_factory=lambda: TurnCommand("explain", limit_s=REPLAY_S, waiting=1, niceness=5))
    threads: CallThreads = field(default_factory=lambda: CallThreads("Elasticsearch"))
    clock: Callable[[], float] = time.time
    _recent: ResultCache[Json] = field(default_factory=ResultCache, init=False)

    async def show_dashboard(self, request: Request) -> Response:
        """``GET /ops/api/dashboard``: what the page needs to draw the panels, without data."""
        del request
        bots = [{"id": bot.id, "name": bot.name} for bot in BOTS]
        return JSONResponse({**self.panels.definition(), "bots": bots, "links": {**self.links}, "refresh_s": REFRESH_S})

    async def show_panel(self, request: Request) -> Response:
        """``GET /ops/api/panel/ID``: a panel's data, at most a few seconds old."""
        panel_id, period = request.path_params["panel_id"], period_of(request.query_params, self.clock())

        async def find() -> Json:
            return await self.threads.run(lambda: _timed(lambda: self.panels.panel(panel_id, period)))

        return JSONResponse({**await self._recent.get((panel_id, period), find), "id": panel_id})

    async def show_turns(self, request: Request) -> Response:
        """``GET /ops/api/turns``: single turns, the newest first; those of one conversation the oldest first."""
        wanted = turn_filter(request.query_params, self.clock())

        async def find() -> Json:
            return await self.threads.run(lambda: _timed(lambda: self.panels.turns(wanted)))

        return JSONResponse({**await self._recent.get(wanted, find), "id": "turns"})

    async def show_turn(self, request: Request) -> Response:
        """``GET /ops/api/turn/ID``: where a turn's answer came from."""
        return await _while_connected(request, self.lineage.run(turn_id_of(request.path_params["turn_id"])))

    async def show_replay(self, request: Request) -> Response:
        """``GET /ops/api/turn/ID/replay``: the turn's prompt, run again on its version."""
        turn_id = turn_id_of(request.path_params["turn_id"])

        async def replay() -> Json:
            return masked_explanation(await self.replay.run(turn_id))

        return await _while_connected(request, replay())


def ops_routes(login: LoginRoutes, desk: OperatorRoutes, figures: LiveFigures) -> list[Route]:
    """Return all routes under ``/ops``.

    Args:
        login: lets operators in.
        desk: answers those who are in.
        figures: the figures of this moment.
    """
    data: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "me": login.me,
        "dashboard": desk.show_dashboard,
        "now": figures.show,
        "panel/{panel_id}": desk.show_panel,
        "turns": desk.show_turns,
        "turn/{turn_id}": desk.show_turn,
        "turn/{turn_id}/replay": desk.show_replay,
        "{unknown:path}": _unknown,
    }
    return [
        Route("/ops/login", login.show, methods=["GET"]),
        Route("/ops/login", login.log_in, methods=["POST"]),
        Route("/ops/login", login.log_out, methods=["DELETE"]),
        *(Route(f"/ops/api/{path}", login.guarded(handler), methods=["GET"]) for path, handler in data.items()),
        Route("/ops", login.guarded_page(_page), methods=["GET"]),
        Route("/ops/conversation", login.guarded_page(_page), methods=["GET"]),
        Route("/ops/turn/{turn_id}", login.guarded_page(_page), methods=["GET"]),
        Route("/ops/{unknown:path}", login.guarded_page(_start), methods=["GET"]),
    ]


async def _page(request: Request) -> Response:
    del request
    return client_page(PAGE)


async def _start(request: Request) -> Response:
    del request
    return RedirectResponse("/ops", 303)


async def _unknown(request: Request) -> Response:
    raise Denied("not_found", f"there is no {request.url.path}")


async def _while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Response:
    """Return what work returns as JSON. If the browser leaves before, the work is ended: it may take minutes."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(working.result()) if working.done() else Response(status_code=204)  # nobody reads it
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _timed(find: Callable[[], Json]) -> Json:
    began_s = time.monotonic()
    found = find()
    return {**found, "took_ms": round((time.monotonic() - began_s) * 1000)}
