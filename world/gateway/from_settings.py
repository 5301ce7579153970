"""A gateway's settings, from those of the platform."""

from urllib.parse import urlsplit

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.world_keys import KEY_FILE, signing_keys
from world.gateway.app import GatewaySettings
from world.gateway.send import SEND_TIMEOUT_S


def impatient(settings: Settings) -> Settings:
    """Return settings with which Kafka's client gives up a request while its question can still be answered."""
    timeout_s = min(settings.kafka.request_timeout_s, SEND_TIMEOUT_S)
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"request_timeout_s": timeout_s})})


def gateway_settings(settings: Settings) -> GatewaySettings:
    """Return what a gateway needs to know.

    Raises:
        InvalidInput: there is no key, the file of keys cannot be read, or there is no address for the gateway's number.
    """
    keys, world = signing_keys(settings), settings.world
    if not keys.keys:
        raise InvalidInput(
            f"there is no key to sign guests' tokens with: run `kogpt2-chat stack up`, which writes {KEY_FILE} in the "
            "home, or set KOGPT2_WORLD__KEYS"
        )
    portals = [
        {"ko": portal.ko, "en": portal.en, "url": portal.url, "host": urlsplit(portal.url).netloc}
        for portal in world.portals
    ]
    urls, number = settings.gateway_urls, world.ordinal - 1
    if number >= len(urls):
        raise InvalidInput(
            f"KOGPT2_WORLD__ORDINAL: found {world.ordinal}, expected at most {len(urls)}, the number of gateways"
        )
    return GatewaySettings(
        keys=keys,
        name=f"gateway-{world.ordinal}",
        url=urls[number],
        others=tuple(url for url in urls if url != urls[number]),
        first_room=number * world.rooms + 1,
        rooms=world.rooms,
        seats=world.seats,
        origins=frozenset((*world.origins, *urls)),
        trusted_proxies=world.trusted_proxies,
        ids_per_hour=world.ids_per_hour,
        handshakes_per_minute=world.handshakes_per_minute,
        connections=world.connections,
        facts={"portals": portals},
    )
