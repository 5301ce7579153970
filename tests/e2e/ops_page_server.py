"""A server for tests of the operators' page alone: the built page with the gateway's headers, and invented answers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from tests.e2e import ops_facts
from world.gateway.pages import CLIENT, ClientFiles, SecurityHeaders

START_S = 20.0
USER, PASSWORD = "operator", "열려라 참깨"
_COOKIE = "kogpt2_ops"


@dataclass
class OpsServer:
    """A running server, whose answers a test may change.

    Attributes:
        url: its address.
        is_open: whether a login is still valid.
        answers: answers by path, instead of the usual ones; status and body.
        held: paths whose answers wait until the test lets them go.
        asked: paths with queries, in the order of the requests.
        turns: how many turns a conversation has.
    """

    url: str = ""
    is_open: bool = True
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    held: dict[str, threading.Event] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    turns: int = 5

    def count(self, start: str) -> int:
        """Return how many requests began with a path."""
        return sum(path.startswith(start) for path in self.asked)


@contextmanager
def serve_ops() -> Iterator[OpsServer]:
    """Serve on loopback until the context ends."""
    ops = OpsServer()
    server = uvicorn.Server(uvicorn.Config(_app(ops), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline_s, "the server did not start"
        time.sleep(0.01)
    ops.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield ops
    finally:
        for event in ops.held.values():
            event.set()
        server.should_exit = True
        thread.join(START_S)


def _app(ops: OpsServer) -> Starlette:
    def page(request: Request) -> Response:
        if request.url.path == "/ops/login" or _is_known(ops, request):
            return FileResponse(CLIENT / "ops.html")
        return RedirectResponse("/ops/login", status_code=303)

    async def login(request: Request) -> Response:
        return await _log_in(ops, request)

    def api(request: Request) -> Response:
        return _show(ops, request)

    def log_out(request: Request) -> Response:
        del request
        response = Response(status_code=204)
        response.delete_cookie(_COOKIE, path="/ops")
        return response

    routes = [
        Route("/ops/login", login, methods=["POST"]),
        Route("/ops/login", log_out, methods=["DELETE"]),
        Route("/ops/api/{rest:path}", api),
        Route("/ops/{rest:path}", page),
        Route("/ops", page),
        Mount("/", ClientFiles()),
    ]
    return Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)])


def _is_known(ops: OpsServer, request: Request) -> bool:
    return ops.is_open and request.cookies.get(_COOKIE) == "known"


async def _log_in(ops: OpsServer, request: Request) -> Response:
    if found := ops.answers.get("/ops/login"):
        return JSONResponse(found[1], status_code=found[0])
    if await request.json() != {"user": USER, "password": PASSWORD}:
        return JSONResponse({"reason": "credentials"}, status_code=401)
    ops.is_open = True
    response = Response(status_code=204)
    response.set_cookie(_COOKIE, "known", path="/ops", httponly=True, samesite="strict")
    return response


def _show(ops: OpsServer, request: Request) -> Response:
    path = request.url.path
    ops.asked.append(f"{path}?{request.url.query}" if request.url.query else path)
    if not _is_known(ops, request):
        return JSONResponse({"reason": "login"}, status_code=401)
    if held := ops.held.get(path):
        held.wait(START_S)
    if found := ops.answers.get(path):
        return JSONResponse(found[1], status_code=found[0])
    return JSONResponse(_answer(request, ops.turns))


def _answer(request: Request, turns: int) -> Any:
    parts, query = request.url.path.removeprefix("/ops/api/").split("/"), request.query_params
    match parts:
        case ["panel", name]:
            times = (datetime.fromisoformat(query[end]) for end in ("from", "to"))
            return ops_facts.panel_data(name, *times)
        case ["turn", turn]:
            return ops_facts.lineage(turn)
        case ["turn", _, "replay"]:
            return ops_facts.explanation()
        case ["turns"] if "conversation" in query:
            return ops_facts.conversation(datetime.fromisoformat(query["from"]), turns)
        case ["turns"]:
            return ops_facts.turns()
        case [name]:
            return {"me": {"user": USER}, "dashboard": ops_facts.DASHBOARD, "now": ops_facts.NOW}[name]
    raise AssertionError(f"the page asks for {request.url.path}")
