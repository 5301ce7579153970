"""The client's built files, and the headers that every response has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from world.gateway.places import PLACES_FILE

CLIENT: Final = Path(__file__).resolve().parents[1] / "client" / "dist"
_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'"
)
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_PAGES_BEHIND_A_LOGIN: Final = frozenset({"ops.html"})
"""They have routes of their own."""
_A_YEAR: Final = "public, max-age=31536000, immutable"
_MISSING: Final = (
    "The world's client is not built, so there is no page here: run `make setup` where npm's registry can be reached.\n"
    "월드 클라이언트가 아직 빌드되지 않았습니다. npm 레지스트리에 연결되는 곳에서 `make setup`을 실행해 주세요.\n"
)


class SecurityHeaders:
    """Adds the security headers to every HTTP response, and forbids caches to keep those that name no lifetime.

    Args:
        app: the application.
        gateways: addresses of the world's other gateways, to which pages may connect too.
    """

    def __init__(self, app: ASGIApp, gateways: Sequence[str] = ()) -> None:
        self._app = app
        sources = "".join(f" ws{url.removeprefix('http')}" for url in gateways)
        self._headers = {**_HEADERS, "content-security-policy": _POLICY + sources}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class ClientFiles(StaticFiles):
    """The client's files. Those below ``assets`` have a hash in their names, so they are kept for a year.

    Until the client is built, a text says how to build it. A running gateway shows the page as soon as it is there.
    """

    def __init__(self, folder: Path = CLIENT) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a file, or with the text."""
        if is_built(self._folder):
            await super().__call__(scope, receive, send)
        else:
            await _missing()(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with the caching that fits it."""
        if path in _PAGES_BEHIND_A_LOGIN:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        is_hashed = path.startswith("assets/") and response.status_code in (200, 304)
        response.headers["cache-control"] = _A_YEAR if is_hashed else "no-cache"
        return response


def client_page(name: str) -> Response:
    """Return a page of the client, or the text that says how to build it."""
    path = CLIENT / name
    return FileResponse(path, headers={"cache-control": "no-cache"}) if path.exists() else _missing()


def _missing() -> Response:
    return PlainTextResponse(_MISSING, status_code=503)


async def show_places(request: Request) -> Response:
    """``GET /places``: where things are, for clients that have no file of their own."""
    del request
    return FileResponse(PLACES_FILE, media_type="application/json")


def is_built(folder: Path = CLIENT) -> bool:
    """Return whether the client was built."""
    return (folder / "index.html").exists()
