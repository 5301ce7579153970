"""Check the health of a server over its own protocol, after checking that this stack's process answers."""

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
"""A DataNode without a heartbeat for this long is unhealthy. It reports every second; the NameNode waits about 15 s."""


class Unhealthy(Exception):
    """The server answered but is unhealthy or not ready yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A running program with its settings and its state."""

    settings: Settings
    program: Program
    state: State


Probe = Callable[[RunningServer], str]
"""Returns a detail about a healthy server; raises Unhealthy, or a network error, for any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The result of a check."""

    healthy: bool
    detail: str


def check(settings: Settings, program: Program, state: State, probe: Probe | None = None) -> Health:
    """Check the health of a program.

    Args:
        settings: the addresses of the servers.
        program: the program to check.
        state: its state as the supervisor reports it.
        probe: the probe to use; None for the probe of the program's kind.

    Returns:
        The health, with a detail for people in either case.
    """
    if program.once:
        return Health(
            healthy=state.state == "EXITED" and state.exit_code == 0 and state.started > 0, detail=state.detail
        )
    if state.pid is None:
        return Health(healthy=False, detail=f"{state.state.lower()}: {state.detail}")
    # Check the owner of the port: an open port may belong to another process.
    if missing := missing_ports(state.pid, program.ports.values()):
        return Health(
            healthy=False, detail=f"pid {state.pid} does not listen on {', '.join(map(str, sorted(missing)))} yet"
        )
    try:
        ask = probe or _probe_of(program)
        return Health(healthy=True, detail=ask(RunningServer(settings=settings, program=program, state=state)))
    except Unhealthy as error:
        return Health(healthy=False, detail=str(error))
    # A server that is starting or ending may send anything, so no error of a probe may abort `up`.
    except Exception as error:  # noqa: BLE001
        return Health(healthy=False, detail=f"no answer: {str(error) or type(error).__name__}")


def kafka(server: RunningServer) -> str:
    """Request the broker's metadata."""
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


def namenode(server: RunningServer) -> str:
    """Check over JMX that the NameNode is out of safe mode."""
    name_system = _jmx(server.settings, "FSNamesystemState")
    if name_system["FSState"] != "Operational":
        raise Unhealthy(f"in {name_system['FSState']} mode")
    return f"{name_system['NumLiveDataNodes']} live DataNodes, {name_system['FilesTotal']} files"


def datanode(server: RunningServer) -> str:
    """Check that the NameNode lists the DataNode as live and receives its heartbeats."""
    nodes: Mapping[str, Mapping[str, object]] = json.loads(str(_jmx(server.settings, "NameNodeInfo")["LiveNodes"]))
    port = server.program.port
    for node in nodes.values():
        if str(node["xferaddr"]).endswith(f":{port}"):
            if int(str(node["lastContact"])) > SILENT_S:
                raise Unhealthy(f"no heartbeat for {node['lastContact']} s")
            return f"{node['numBlocks']} blocks"
    raise Unhealthy("not registered with the NameNode yet")


def elasticsearch(server: RunningServer) -> str:
    """Check the cluster health; with one node, yellow is normal."""
    health = _json(f"http://{server.settings.local(server.settings.ports.elasticsearch)}/_cluster/health?timeout=1s")
    if health["status"] == "red":
        raise Unhealthy("cluster health is red")
    return f"{health['status']}, {health['active_shards']} shards"


def mlflow(server: RunningServer) -> str:
    """Request the health route."""
    url = f"http://{server.settings.local(server.settings.ports.mlflow)}"
    _get(f"{url}/health")
    return url


def airflow(server: RunningServer) -> str:
    """Check the component in Airflow's health report; its heartbeat must be newer than the start of this process."""
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
        raise Unhealthy(f"Airflow reports it as {entry['status'] or 'not started'}")
    if datetime.fromisoformat(heartbeat).timestamp() < server.state.started:
        raise Unhealthy("no heartbeat since its start")
    return f"heartbeat {heartbeat[11:19]}"


def worker(server: RunningServer) -> str:
    """Request the health route; the worker reports which slots are not ready."""
    ordinal = int(server.program.name.rsplit("-", 1)[1])
    url = f"http://{server.settings.own_host}:{worker_port(server.settings, ordinal)}/health"
    try:
        answer = _json(url)
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{url} returned {error.code}: {error.read(300).decode('utf-8', 'replace')}") from error
    return worker_summary(answer.get("slots", []))


def worker_summary(slots: Sequence[Mapping[str, object]]) -> str:
    """Return one line about a worker's slots: those that are not ready with the reason, or each bot's version."""
    not_ready = [f"{slot['bot']} {slot['state']}: {slot['detail']}" for slot in slots if slot["state"] != "ready"]
    if not_ready:
        return "; ".join(not_ready)
    return "ready" + "".join(f", {slot['bot']} {slot['version']}" for slot in slots)


def worker_counters(settings: Settings, ordinal: int) -> dict[str, int]:
    """Return a worker's counters since its start; empty if it does not answer."""
    try:
        page = _json(f"http://{settings.own_host}:{worker_port(settings, ordinal)}/health")
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return {name: value for name, value in page.items() if type(value) is int}


def gateway(server: RunningServer) -> str:
    """Request the health route: the gateway must be able to send questions and read answers."""
    url = f"http://{server.settings.own_host}:{server.program.port}"
    try:
        report = _json(f"{url}/health")
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{url}: {problems_of(error.read()) or error.code}") from error
    return f"{url}, {report['players']} players" + ("" if report["client"] else "; the client is not built: no page")


def indexer(server: RunningServer) -> str:
    """Request the health route: the indexer must reach Kafka and be able to write to Elasticsearch."""
    try:
        report = _json(_indexer_url(server.settings))
    except urllib.error.HTTPError as error:
        raise Unhealthy(problems_of(error.read()) or f"returned {error.code}") from error
    return indexer_summary(report)


def indexer_summary(report: Mapping[str, Any]) -> str:
    """Return one line about what the indexer has done since its start."""
    lag_s, refused = report["lag_s"], sum(report["refused"].values())
    unreadable = sum(report["unreadable"].values())
    faults = [f"{count} {what}" for count, what in ((refused, "refused"), (unreadable, "unreadable")) if count]
    behind = "lag not known yet" if lag_s is None else f"{lag_s:.0f} s behind"
    return ", ".join([behind, f"{sum(report['documents'].values())} documents", *faults])


def indexer_report(settings: Settings) -> Mapping[str, Any]:
    """Return what the indexer of this stack reports, whether it is ready or not; empty if it does not answer."""
    try:
        return dict(_json(_indexer_url(settings)))
    except urllib.error.HTTPError as error:
        body = error.read()
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError):
        return {}


def _indexer_url(settings: Settings) -> str:
    return f"http://{settings.local(settings.ports.indexer)}/health"


def problems_of(body: bytes) -> str:
    """Return what a gateway or the indexer says does not work; empty if it does not say."""
    try:
        return "; ".join(str(problem) for problem in json.loads(body)["problems"])
    except (ValueError, LookupError, TypeError):
        return ""


def spark(server: RunningServer) -> str:
    """Check the master's JSON page; the worker is healthy if it is live there and its heartbeats arrive."""
    return spark_summary(
        _json(f"http://{server.settings.local(server.settings.ports.spark_master_http)}/json/"), server
    )


def spark_summary(page: Mapping[str, Any], server: RunningServer) -> str:
    """Return one line about the master or the worker.

    The master may list workers of other machines, and an entry of this worker's previous process.

    Args:
        page: the master's JSON page.
        server: the master or the worker.

    Returns:
        The number of live workers and their cores.

    Raises:
        Unhealthy: the master is not active, or has received no heartbeat of this worker since its process started.
    """
    if page["status"] != "ALIVE":
        raise Unhealthy(f"the master is {page['status']}")
    if server.program.name.startswith("spark-worker"):
        ours = [one for one in page["workers"] if str(one["webuiaddress"]).endswith(f":{server.program.port}")]
        if not any(one["state"] == "ALIVE" and one["lastheartbeat"] / 1000 >= server.state.started for one in ours):
            raise Unhealthy("the master has received no heartbeat from this worker yet")
    return f"{page['aliveworkers']} workers, {page['cores']} cores"


_PROBES: Final[Mapping[str, Probe]] = {
    "kafka": kafka,
    "namenode": namenode,
    "datanode-1": datanode,
    "datanode-2": datanode,
    "elasticsearch": elasticsearch,
    "mlflow": mlflow,
}
_PROBES_BY_GROUP: Final[Mapping[str, Probe]] = {
    "airflow": airflow,
    "spark": spark,
    "worker": worker,
    "gateway": gateway,
    "indexer": indexer,
}


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
    """Send a GET request without the environment's proxies: these servers are local."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        return bytes(answer.read())
