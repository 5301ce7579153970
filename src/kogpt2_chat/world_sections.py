"""Sections of the settings tree for the virtual world and its operators. A field's description says what it means."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from kogpt2_chat.domain.chat.signing import key_fault
from kogpt2_chat.section_types import HttpAddress, HttpsAddress, Positive, Proxy, Section


class WebSite(Section):
    """A door to a web site."""

    ko: str = Field(min_length=1, max_length=20, description="the sign in Korean")
    en: str = Field(min_length=1, max_length=20, description="the sign in English")
    url: HttpsAddress = Field(description="the site")


class World(Section):
    """The virtual world, whose gateways vouch for their players."""

    keys: tuple[SecretStr, ...] = Field(
        (),
        description="keys that sign and verify questions and feedback, the same for gateways, workers and ingest; the "
        "first one signs, at most three are valid; empty: those in the home's file `world/keys`",
    )
    ordinal: int = Field(1, ge=1, le=1000, description="number of this gateway, which sets its port and its rooms")
    addresses: tuple[HttpAddress, ...] = Field(
        (), description="addresses of all gateways, in the order of their numbers; empty: those of the local stack"
    )
    rooms: Positive = Field(50, description="number of rooms of a gateway")
    seats: Annotated[int, Field(ge=2, le=100)] = Field(20, description="players per room")
    portals: tuple[WebSite, ...] = Field(
        (),
        description='doors to web sites, at most four: [{"ko": "극장", "en": "Theater", "url": "https://…"}]; players '
        "confirm before one opens",
        max_length=4,
    )
    origins: tuple[HttpAddress, ...] = Field(
        (),
        description="origins from which pages may connect if players reach the gateway by a name, such as that of a "
        "proxy: https://world.example",
    )
    trusted_proxies: tuple[Proxy, ...] = Field(
        (),
        description="addresses or networks of proxies before the gateway, whose X-Forwarded-For and X-Forwarded-Proto "
        "say where a client is and whether it uses https; empty: the headers are ignored",
    )
    ids_per_hour: Positive = Field(60, description="new guests per hour from one network address")
    connections: Positive = Field(40, description="open connections from one network address")
    handshakes_per_minute: Positive = Field(120, description="new connections per minute from one network address")

    @field_validator("keys")
    @classmethod
    def _are_usable(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if fault := key_fault([key.get_secret_value() for key in keys]):
            raise ValueError(fault)
        return keys


class Ops(Section):
    """The operators' pages of the gateways, at `/ops`."""

    username: str = "operator"
    password: SecretStr = Field(SecretStr(""), description="empty: the one that `stack up` generates")
    key: SecretStr = Field(
        SecretStr(""),
        description="key that signs the operators' cookies, the same for all gateways, at least 32 characters; empty: "
        "the one in the home's file `world/operator-key`",
    )
    mlflow_url: HttpAddress = Field(
        "", description="address at which operators' browsers reach MLflow; empty: the one that programs use"
    )
    airflow_url: HttpAddress = Field(
        "", description="address at which operators' browsers reach Airflow; empty: the one that programs use"
    )
    indexer_url: HttpAddress = Field(
        "", description="address of the indexer, whose lag the pages show; empty: the local stack's"
    )

    @field_validator("key")
    @classmethod
    def _is_usable(cls, key: SecretStr) -> SecretStr:
        if key.get_secret_value() and (fault := key_fault([key.get_secret_value()])):
            raise ValueError(fault)
        return key
