"""Check the two addresses of a stack: the one that its servers bind to and the one that is advertised to clients.

Kafka sends the advertised address to every client, including the stack's own programs, so this machine must be able to
reach itself at that address.
"""

import ipaddress
import secrets
import socket
from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.servers.addresses import is_host_name
from kogpt2_chat.sections import EVERY_ADDRESS, LOOPBACK
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.processes import port_is_free
from kogpt2_chat.stack.program import Program

_ANSWER_S: Final = 5.0


def host_faults(settings: Settings) -> list[str]:
    """Return the problems of the two addresses that can be found without connecting to them."""
    host, advertised = settings.stack.host, settings.stack.advertised_host
    faults = []
    if not _can_bind(host):
        faults.append(
            f"KOGPT2_STACK__HOST={host} is not an IPv4 address of this machine: expected e.g. {LOOPBACK}, the "
            f"machine's address in its network, or {EVERY_ADDRESS} for all of them"
        )
    if host == EVERY_ADDRESS and not advertised:
        faults.append(
            f"KOGPT2_STACK__HOST={host} is not an address that clients can connect to: set "
            "KOGPT2_STACK__ADVERTISED_HOST to the name or address by which other machines reach this one"
        )
    if advertised and (advertised == EVERY_ADDRESS or not is_host_name(advertised)):
        faults.append(
            f"KOGPT2_STACK__ADVERTISED_HOST={advertised} is not an address that clients can connect to: expected a "
            "name of ASCII letters, digits, `-` and dots, or an IPv4 address, without a port"
        )
    elif advertised and _is_loopback(host) and not _is_loopback(_resolved(advertised)):
        faults.append(
            f"KOGPT2_STACK__ADVERTISED_HOST={advertised} does not reach KOGPT2_STACK__HOST={host}, to which only "
            f"programs on this machine can connect: also set KOGPT2_STACK__HOST to {EVERY_ADDRESS}, or to this "
            "machine's address in its network"
        )
    return faults


def reach_faults(settings: Settings, programs: Sequence[Program], answer_s: float = _ANSWER_S) -> list[str]:
    """Return a problem if Kafka is about to start and this machine cannot reach itself at the advertised address."""
    host, advertised, port = settings.stack.host, settings.advertised_host, settings.ports.at(settings.ports.kafka)
    starts = any(program.group == "kafka" for program in programs)
    if not starts or advertised == settings.own_host or not port_is_free(host, port):
        return []
    if not (found := _unreachable_reason(host, advertised, port, answer_s)):
        return []
    fault = (
        f"KOGPT2_STACK__ADVERTISED_HOST={advertised} does not reach this machine ({found}), but the stack's own "
        f"programs connect to Kafka at it: set another address, or, if it is a name, add "
        f"`{settings.own_host} {advertised}` to /etc/hosts"
    )
    return [fault]


def _unreachable_reason(host: str, advertised: str, port: int, answer_s: float) -> str:
    """Return why a connection to the advertised address does not arrive at this machine; empty if it does."""
    token = secrets.token_bytes(16)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(answer_s)
        try:
            server.bind((host, port))
            server.listen()
            with socket.create_connection((advertised, port), answer_s) as client:
                client.sendall(token)
                with server.accept()[0] as arrived:
                    arrived.settimeout(answer_s)
                    return "" if arrived.recv(len(token)) == token else "another program answers"
        except TimeoutError:
            return f"port {port} at that address belongs to another machine"
        except OSError as error:
            return error.strerror or str(error)


def _can_bind(host: str) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except (OSError, UnicodeError):
            return False
    return bool(host)


def _resolved(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except (OSError, UnicodeError):
        return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False
