"""Kafka: one process that is both broker and controller (KRaft)."""

import base64
import hashlib
import shlex
from pathlib import Path

from kogpt2_chat.domain.chat.topics import OFFSETS_RETENTION_DAYS
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.jars import classpath
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.jvm import LOG4J2, QUIET, heap


def server_properties(settings: Settings, logs: Path) -> str:
    """Return the broker's configuration."""
    ports = settings.ports
    controller = settings.local(ports.kafka_controller)
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{settings.bound(ports.kafka)},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{settings.advertised(ports.kafka)}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
# An undeclared topic name is a typo and must fail.
auto.create.topics.enable=false
# Accept oversized questions, so that workers can send them to the dead letters.
message.max.bytes=2097152
replica.fetch.max.bytes=2097152
# There is only one broker, so every topic has one replica.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
# Keep committed offsets longer than questions; otherwise workers would answer old questions again after a long pause.
offsets.retention.minutes={OFFSETS_RETENTION_DAYS * 24 * 60}
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=10
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
# Rebalance without delay when a worker joins or leaves, so that players do not wait.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
# How often an idle controller writes an empty record to disk; by default twice per second.
metadata.max.idle.interval.ms=10000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
log.segment.bytes=67108864
"""


def cluster_id(home: Path) -> str:
    """Return a stable cluster id for a home: 16 bytes as URL-safe base64 without padding.

    It starts with ``k``, because Kafka's format tool would read a leading dash as an option.
    """
    digest = hashlib.sha256(str(home).encode()).digest()[:16]
    return "k" + base64.urlsafe_b64encode(digest).decode().rstrip("=")[1:]


def kafka_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return the broker."""
    conf, logs = folders.conf("kafka"), folders.data("kafka")
    properties, log4j = conf / "server.properties", conf / "log4j2.properties"
    run = (str(java.program), *QUIET, "-cp", classpath(settings, "kafka"), f"-Dlog4j2.configurationFile={log4j}")
    tool = shlex.join(
        [
            *run,
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            "-t",
            cluster_id(folders.home),
            "-c",
            str(properties),
        ]
    )
    return [
        Program(
            name="kafka",
            group="kafka",
            command=(*run[:1], *heap(settings.stack.kafka_heap_mb), *run[1:], "kafka.Kafka", str(properties)),
            setup=f"[ -f {shlex.quote(str(logs / 'meta.properties'))} ] || {tool}",
            files={properties: server_properties(settings, logs), log4j: LOG4J2.format(level="warn")},
            folders=(logs,),
            fills=logs,
            ports={
                "broker": settings.ports.at(settings.ports.kafka),
                "controller": settings.ports.at(settings.ports.kafka_controller),
            },
            stop_rank=5,
            keeps=logs / "meta.properties",
            when_lost="unanswered questions, unread answers, and the offsets of the workers and the lake are gone; "
            "topics are created again, and `kogpt2-chat rollout BOT` tells the workers again which version to serve",
            memory_mb=450,
        )
    ]
