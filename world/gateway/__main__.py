"""`python -m world.gateway`: run one gateway until SIGTERM."""

import sys

import structlog
import uvicorn

from kogpt2_chat import bootstrap
from kogpt2_chat.errors import KogptChatError
from kogpt2_chat.log import configure_logging
from kogpt2_chat.settings import load_settings
from world.gateway.app import Gateway, server_config
from world.gateway.facts import FactsReader
from world.gateway.from_settings import gateway_settings, impatient
from world.gateway.operators import operators

SETTINGS_WRONG = 2

log = structlog.get_logger("world.gateway")


def main() -> int:
    """Serve players until asked to stop.

    Returns:
        The exit code: 0 stopped on request, 2 unusable settings.
    """
    configure_logging("json")
    try:
        settings = impatient(load_settings())
        own = gateway_settings(settings)
        gateway = Gateway(
            settings=own,
            topics=bootstrap.topics(settings),
            read_facts=FactsReader(settings, bootstrap.topics(settings)).read,
            ops=operators(settings, bootstrap.topics(settings), own.origins),
        )
    except KogptChatError as error:
        log.error("settings_wrong", error=str(error))  # noqa: TRY400 - a traceback would not help
        return SETTINGS_WRONG
    port = settings.ports.at(settings.ports.gateway + settings.world.ordinal - 1)
    uvicorn.Server(server_config(gateway, settings.stack.host, port)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
