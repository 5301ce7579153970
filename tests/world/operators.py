"""A gateway with the operators' pages, whose panels count turns in a list, and an operator who logs in."""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from starlette.routing import Route

from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.turns import TurnFilter
from kogpt2_chat.errors import NotFound
from kogpt2_chat.operator_login import OperatorLogin
from tests.world.served import Served, in_memory_topics, serve
from world.gateway.ops.commands import TurnCommand
from world.gateway.ops.login import LoginRoutes
from world.gateway.ops.now import LiveFigures
from world.gateway.ops.ports import Json
from world.gateway.ops.routes import OperatorRoutes, ops_routes
from world.gateway.ops.sessions import Sessions
from world.gateway.ops.work import CallThreads
from world.gateway.rooms.rooms import Rooms
from world.gateway.rules.limits import LoginLimits, Rate

LOGIN = OperatorLogin(username="김하늘", password="별마루 열쇠 7", key="operator-key-" + "o" * 32)
TURN = "bot_question-3-17"
HARMFUL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class ListedTurn:
    """A turn that the panels count."""

    turn_id: str
    bot: str
    at: datetime
    text: str = "안녕?"


class CountedPanels:
    """Panels that count turns in a list.

    Attributes:
        searches: how often they have counted.
        may_count: cleared to let searches wait.
        error: raised instead, if it is set.
        wanted: which turns were asked for last.
    """

    wanted: TurnFilter

    def __init__(self, turns: Sequence[ListedTurn]) -> None:
        self.listed = turns
        self.searches = 0
        self.may_count = threading.Event()
        self.may_count.set()
        self.error: Exception | None = None

    def definition(self) -> Json:
        title = {"ko": "대화", "en": "turns"}
        return {"panels": [{"id": "turns", "title": title, "note": title, "chart": "numbers", "unit": "turns"}]}

    def panel(self, panel_id: str, period: Period) -> Json:
        if panel_id != "turns":
            raise NotFound(f"there is no panel {panel_id!r}")
        title = {"ko": "대화", "en": "turns"}
        return {"numbers": [{"id": "turns", "title": title, "kind": "number", "value": len(self._found(period))}]}

    def turns(self, wanted: TurnFilter) -> Json:
        self.wanted = wanted
        newest = sorted(
            self._found(Period(start=wanted.start, end=wanted.end, bot=wanted.bot)),
            key=lambda turn: turn.at,
            reverse=True,
        )[: wanted.limit]
        return {"columns": [], "rows": [[turn.turn_id, turn.text] for turn in newest], "keys": []}

    def _found(self, period: Period) -> list[ListedTurn]:
        self.searches += 1
        assert self.may_count.wait(20)
        if self.error is not None:
            raise self.error
        return [turn for turn in self.listed if period.start <= turn.at < period.end and period.bot in (None, turn.bot)]


TURNS = [
    ListedTurn(TURN, "ChatbotA", datetime(2026, 3, 1, 9, tzinfo=UTC), HARMFUL),
    ListedTurn("bot_question-0-1", "ChatbotB", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ListedTurn("bot_question-0-2", "ChatbotB", datetime(2026, 3, 2, 10, tzinfo=UTC)),
]
ALL = {"from": "2026-02-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}


@dataclass
class OperatorPages:
    """What the operators' pages are made of.

    Attributes:
        now: seconds since the epoch of the login's clock.
        monotonic_s: monotonic seconds of the limits on wrong tries.
        waiting: the number of questions that wait, or the error of reading it.
        behind_s: how far the indexer is behind, or the error of reading it.
        program: the program that the commands run.
    """

    login: OperatorLogin = LOGIN
    panels: Any = field(default_factory=lambda: CountedPanels(TURNS))
    threads: CallThreads = field(default_factory=lambda: CallThreads("Elasticsearch", threads=2, waiting=3))
    origins: frozenset[str] = frozenset()
    now: float = 1_800_000_000.0
    monotonic_s: float = 0.0
    waiting: int | Exception = 4
    behind_s: float | Exception = 1.5
    program: Sequence[str] = (sys.executable, "-c", "print('{}')")
    limits: LoginLimits = field(default_factory=lambda: LoginLimits(Rate(per_s=1, burst=9e9), Rate(per_s=1, burst=9e9)))

    def routes(self, rooms: Rooms) -> list[Route]:
        login = LoginRoutes(
            sessions=Sessions(self.login),
            origins=self.origins,
            limits=self.limits,
            clock=lambda: self.now,
            monotonic=lambda: self.monotonic_s,
        )
        desk = OperatorRoutes(
            panels=self.panels,
            links={"mlflow": "http://127.0.0.1:5000", "airflow": "http://127.0.0.1:8080"},
            lineage=TurnCommand("lineage", limit_s=20, program=self.program),
            replay=TurnCommand("explain", limit_s=20, waiting=1, niceness=5, program=self.program),
            threads=self.threads,
            clock=lambda: self.now,
        )
        figures = LiveFigures(
            rooms=rooms,
            waiting=lambda: _value(self.waiting),
            behind_s=lambda: _value(self.behind_s),
        )
        return ops_routes(login, desk, figures)


@contextmanager
def serve_operator_pages(pages: OperatorPages, **changed: object) -> Iterator[Served]:
    with serve(in_memory_topics(), ops=pages.routes, **changed) as served:  # type: ignore[arg-type]
        yield served


class Operator(requests.Session):
    """A browser, with or without a login."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def log_in(self, login: OperatorLogin = LOGIN, **headers: str) -> requests.Response:
        body = {"user": login.username, "password": login.password}
        return self.post(f"{self.url}/ops/login", json=body, headers=headers)

    def ask(self, path: str, parameters: Mapping[str, str] | None = None, **headers: str) -> requests.Response:
        return self.get(f"{self.url}/ops/{path}", params=parameters, headers=headers, allow_redirects=False)


def operator(served: Served) -> Operator:
    """Return an operator who is logged in."""
    browser = Operator(served.url)
    assert browser.log_in().status_code == 204
    return browser


def program(folder: Path, source: str) -> Sequence[str]:
    """Return a command line that runs a script in place of ``kogpt2-chat``."""
    path = folder / "command.py"
    path.write_text(source, encoding="utf-8")
    return (sys.executable, str(path))


def _value(given: float | Exception) -> float:
    if isinstance(given, Exception):
        raise given
    return given
