"""The operators' pages of a gateway, from the settings of the platform."""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.routing import Route

from kogpt2_chat import bootstrap
from kogpt2_chat.dashboards.panels import load_dashboard
from kogpt2_chat.domain.servers.addresses import split_login
from kogpt2_chat.operator_login import operator_login
from kogpt2_chat.ports import Topics
from kogpt2_chat.settings import Settings
from world.gateway.ops.login import LoginRoutes
from world.gateway.ops.now import LiveFigures, waiting_questions
from world.gateway.ops.panels import SearchedPanels
from world.gateway.ops.routes import OperatorRoutes, ops_routes
from world.gateway.ops.sessions import Sessions
from world.gateway.rooms.rooms import Rooms

_SEARCH_S: Final = 12.0
"""Longer than a search may take on the server, which ends it after 10 s."""


def operators(settings: Settings, topics: Topics, origins: frozenset[str]) -> Callable[[Rooms], Sequence[Route]]:
    """Return a function that returns the routes for the players of a gateway.

    Args:
        settings: the account, and the servers' addresses.
        topics: Kafka, by connections that nothing else waits for.
        origins: origins besides the gateway's own from which pages may send requests.

    Raises:
        InvalidInput: a file with the account or the key cannot be used.
    """
    login = LoginRoutes(sessions=Sessions(operator_login(settings)), origins=origins)
    panels = SearchedPanels(dashboard=load_dashboard(), search=bootstrap.search_over_http(settings, _SEARCH_S))
    desk = OperatorRoutes(panels=panels, links=_links(settings))

    def routes(rooms: Rooms) -> Sequence[Route]:
        figures = LiveFigures(
            rooms=rooms,
            waiting=lambda: waiting_questions(topics),
            behind_s=lambda: bootstrap.indexer_lag_s(settings),
        )
        return ops_routes(login, desk, figures)

    return routes


def _links(settings: Settings) -> dict[str, str]:
    """Return the addresses at which an operator's browser reaches the other pages: not always those of programs."""
    own = {
        "mlflow": settings.ops.mlflow_url or settings.mlflow.tracking_uri,
        "airflow": settings.ops.airflow_url or settings.airflow.url,
    }
    ports = {"mlflow": settings.ports.mlflow, "airflow": settings.ports.airflow}
    return {name: split_login(url).address or f"http://{settings.advertised(ports[name])}" for name, url in own.items()}
