"""Is a server well? Asked over its own protocol, after making sure that it is ours that answers."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.processes import missing_ports
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.worker import worker_port
from kogpt2_chat.stack.supervision import State

TIMEOUT_S: Final = 5.0
SILENT_S: Final = 10
"""A DataNode reports every second; the NameNode itself gives it up after about 15."""


class Unhealthy(Exception):
    """The server answered, and is not well, or not ready yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A program that runs, and what is known of it."""

    settings: Settings
    program: Program
    state: State


Probe = Callable[[Server], str]
"""Gives a word about a healthy server; raises Unhealthy, or any error of the network, for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found."""

    healthy: bool
    detail: str


def check(settings: Settings, program: Program, state: State) -> Health:
    """Ask one program how it is.

    Args:
        settings: addresses.
        program: whom to ask.
        state: what the supervisor says of it.

    Returns:
        Health with a detail that a person can use, healthy or not.
    """
    if program.once:
        return Health(
            healthy=state.state == "EXITED" and state.exit_code == 0 and state.started > 0, detail=state.detail
        )
    if state.pid is None:
        return Health(healthy=False, detail=f"{state.state.lower()}: {state.detail}")
    # A bare port probe once took another process's port for ours.
    if missing := missing_ports(state.pid, program.ports.values()):
        return Health(
            healthy=False, detail=f"pid {state.pid} does not listen on {', '.join(map(str, sorted(missing)))} yet"
        )
    try:
        return Health(healthy=True, detail=_probe_of(program)(Server(settings=settings, program=program, state=state)))
    except Unhealthy as error:
        return Health(healthy=False, detail=str(error))
    # A server that is starting or dying sends anything; whatever a probe stumbles over must not end an `up`.
    except Exception as error:  # noqa: BLE001
        return Health(healthy=False, detail=f"no answer: {str(error) or type(error).__name__}")


def kafka(server: Server) -> str:
    """A metadata request, answered by the broker itself."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    address = server.settings.local(server.settings.ports.kafka)
    try:
        client = KafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000, bootstrap_timeout_ms=4000)
    except KafkaError as error:
        raise Unhealthy(f"no metadata from {address}: {error}") from error
    try:
        return f"{len([topic for topic in client.list_topics() if not topic.startswith('__')])} topics"
    except KafkaError as error:
        raise Unhealthy(f"no metadata from {address}: {error}") from error
    finally:
        client.close()


def namenode(server: Server) -> str:
    """JMX: up, and out of safe mode."""
    name_system = _jmx(server.settings, "FSNamesystemState")
    if name_system["FSState"] != "Operational":
        raise Unhealthy(f"in {name_system['FSState']} mode")
    return f"{name_system['NumLiveDataNodes']} DataNodes live, {name_system['FilesTotal']} files"


def datanode(server: Server) -> str:
    """The NameNode counts it among the living."""
    nodes: Mapping[str, Mapping[str, object]] = json.loads(str(_jmx(server.settings, "NameNodeInfo")["LiveNodes"]))
    port = server.program.port
    for node in nodes.values():
        if str(node["xferaddr"]).endswith(f":{port}"):
            if int(str(node["lastContact"])) > SILENT_S:
                raise Unhealthy(f"silent for {node['lastContact']} s")
            return f"{node['numBlocks']} blocks"
    raise Unhealthy("not registered with the NameNode yet")


def elasticsearch(server: Server) -> str:
    """Cluster health; yellow is as good as it gets with one node."""
    health = _json(f"http://{server.settings.local(server.settings.ports.elasticsearch)}/_cluster/health?timeout=1s")
    if health["status"] == "red":
        raise Unhealthy("cluster health is red")
    return f"{health['status']}, {health['active_shards']} shards"


def mlflow(server: Server) -> str:
    """Its health route."""
    url = f"http://{server.settings.local(server.settings.ports.mlflow)}"
    _get(f"{url}/health")
    return url


def airflow(server: Server) -> str:
    """The component's entry in Airflow's own health report, with a heartbeat of this very process."""
    url = f"http://{server.settings.local(server.settings.ports.airflow)}"
    report = _json(f"{url}/api/v2/monitor/health")
    component = server.program.name.removeprefix("airflow-").replace("-", "_")
    if component == "api_server":
        if report["metadatabase"]["status"] != "healthy":
            raise Unhealthy("its database does not answer")
        return url
    entry = report[component]
    heartbeat = entry.get(f"latest_{component}_heartbeat")
    if entry["status"] != "healthy" or heartbeat is None:
        raise Unhealthy(f"Airflow reports it {entry['status'] or 'not started'}")
    if datetime.fromisoformat(heartbeat).timestamp() < server.state.started:
        raise Unhealthy("no heartbeat since its start")
    return f"heartbeat {heartbeat[11:19]}"


def worker(server: Server) -> str:
    """Its health route; the worker says itself what it lacks."""
    slot = int(server.program.name.rsplit("-", 1)[1])
    url = f"http://{server.settings.own_host}:{worker_port(server.settings, slot)}/health"
    try:
        answer = _json(url)
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{url} says {error.code}: {error.read(300).decode('utf-8', 'replace')}") from error
    return worker_words(answer.get("slots", []))


def worker_words(slots: Sequence[Mapping[str, object]]) -> str:
    """One line about a worker's slots: each that is not ready with its reason, else what speaks."""
    unwell = [f"{slot['bot']} {slot['state']}: {slot['detail']}" for slot in slots if slot["state"] != "ready"]
    if unwell:
        return "; ".join(unwell)
    return "ready" + "".join(f", {slot['bot']} {slot['version']}" for slot in slots)


def worker_tally(settings: Settings, slot: int) -> dict[str, int]:
    """What a worker has counted since its start; nothing when it does not answer."""
    try:
        page = _json(f"http://{settings.own_host}:{worker_port(settings, slot)}/health")
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return {name: value for name, value in page.items() if type(value) is int}


def spark(server: Server) -> str:
    """The master's JSON page, for both: the worker is well when the master knows it alive."""
    page = _json(f"http://{server.settings.local(server.settings.ports.spark_master_http)}/json/")
    if page["status"] != "ALIVE":
        raise Unhealthy(f"the master is {page['status']}")
    if server.program.name == "spark-worker" and not page["aliveworkers"]:
        raise Unhealthy("the master knows no living worker yet")
    return f"{page['aliveworkers']} workers, {page['cores']} cores"


_PROBES: Final[Mapping[str, Probe]] = {
    "kafka": kafka,
    "namenode": namenode,
    "datanode-1": datanode,
    "datanode-2": datanode,
    "elasticsearch": elasticsearch,
    "mlflow": mlflow,
}
_PROBES_BY_GROUP: Final[Mapping[str, Probe]] = {"airflow": airflow, "spark": spark, "worker": worker}


def _probe_of(program: Program) -> Probe:
    return _PROBES.get(program.name) or _PROBES_BY_GROUP[program.group]


def _jmx(settings: Settings, bean: str) -> Mapping[str, object]:
    url = f"{settings.local(settings.ports.namenode_http)}/jmx?qry=Hadoop:service=NameNode,name={bean}"
    beans = _json(f"http://{url}")["beans"]
    if not beans:
        raise Unhealthy("still loading")
    return beans[0]


def _json(url: str) -> Any:
    return json.loads(_get(url))


def _get(url: str) -> bytes:
    """GET without the environment's proxies: these servers are local."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        return bytes(answer.read())
