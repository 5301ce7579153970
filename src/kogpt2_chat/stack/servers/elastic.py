"""Elasticsearch: one node, assembled from the transport client's jars. It never runs as root."""

import os
import shlex

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.jars import classpath, plain_jars
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.jvm import LOG4J2, QUIET, heap


def elasticsearch_yml(settings: Settings, folders: Folders) -> str:
    """Return the node's configuration."""
    data = folders.data("elasticsearch", open_to_user=True)
    ports, keep_free_mb = settings.ports, settings.stack.keep_free_mb
    return f"""\
cluster.name: kogpt2-chat
node.name: node-1
path.data: {data}/data
path.logs: {data}/logs
network.host: {settings.own_host}
network.bind_host: {settings.stack.host}
http.port: {ports.at(ports.elasticsearch)}
transport.port: {ports.at(ports.elasticsearch_transport)}
discovery.type: single-node
# A write to an index that was deleted must not create one with guessed types of its fields.
action.auto_create_index: -kogpt2-*,+*
# Many machines have a low vm.max_map_count, and this node's indices are small.
node.store.allow_mmap: false
# In bytes: a large disk must not make the index read-only because it is nearly full by percentage. Below the flood
# stage the index becomes read-only; above the high watermark it becomes writable again automatically.
cluster.routing.allocation.disk.watermark.low: {keep_free_mb}mb
cluster.routing.allocation.disk.watermark.high: {keep_free_mb}mb
cluster.routing.allocation.disk.watermark.flood_stage: {keep_free_mb}mb
cluster.info.update.interval: 10s
# After a failed write the node rejects requests until the next check; the default interval is two minutes.
monitor.fs.health.refresh_interval: 10s
"""


def elastic_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return the node."""
    conf = folders.conf("elasticsearch", open_to_user=True)
    data = folders.data("elasticsearch", open_to_user=True)
    scratch = data / "scratch"
    home = plain_jars(settings) / "elasticsearch"
    options = (
        f"-Des.path.home={home}",
        f"-Des.path.conf={conf}",
        "-Des.distribution.flavor=oss",
        "-Des.distribution.type=tar",
        "-Des.bundled_jdk=false",
        "-Des.networkaddress.cache.ttl=60",
        "-Djava.security.manager=allow",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.allocator.numDirectArenas=0",
        f"-Djava.io.tmpdir={scratch}",
        f"-XX:ErrorFile={data}/logs/hs_err_pid%p.log",
    )
    flags = (*heap(settings.stack.elasticsearch_heap_mb), *(flag for flag in QUIET if not flag.startswith("-Xss")))
    return [
        Program(
            name="elasticsearch",
            group="elasticsearch",
            command=(
                *(str(java.program), *flags, "-Xss1m", *options, "-cp", classpath(settings, "elasticsearch/lib")),
                "org.elasticsearch.bootstrap.Elasticsearch",
            ),
            environment={"LIBFFI_TMPDIR": str(scratch), "HOME": str(data)},
            setup=f"cd {shlex.quote(str(data))}",
            files={
                conf / "elasticsearch.yml": elasticsearch_yml(settings, folders),
                conf / "log4j2.properties": LOG4J2.format(level="warn"),
            },
            folders=(data, data / "data", data / "logs", scratch, conf),
            ports={
                "http": settings.ports.at(settings.ports.elasticsearch),
                "transport": settings.ports.at(settings.ports.elasticsearch_transport),
            },
            user=settings.stack.unprivileged_user if os.geteuid() == 0 else "",
            stop_rank=2,
            fills=data,
            keeps=data / "data" / "nodes",
            when_lost="the indexer creates the indices again and fills them from what Kafka still has; "
            "`kogpt2-chat index` adds older turns from the lake",
            memory_mb=600,
        )
    ]
