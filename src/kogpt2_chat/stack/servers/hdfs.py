"""HDFS: a NameNode and two DataNodes."""

import shlex
from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.jars import classpath
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.jvm import QUIET, heap

_PACKAGE: Final = "org.apache.hadoop.hdfs.server"
_LOG4J: Final = """\
log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""
_COMMON: Final = {
    # One machine, one user of the operating system: the lake's users are not its users.
    "dfs.permissions.enabled": "false",
    "dfs.replication": "2",
    "dfs.namenode.datanode.registration.ip-hostname-check": "false",
    "dfs.namenode.safemode.extension": "0",
    "dfs.namenode.safemode.min.datanodes": "1",
    # A dead DataNode is noticed within seconds instead of ten minutes.
    "dfs.heartbeat.interval": "1",
    "dfs.namenode.heartbeat.recheck-interval": "5000",
    "dfs.namenode.stale.datanode.interval": "3000",
    "dfs.namenode.avoid.read.stale.datanode": "true",
    "dfs.namenode.avoid.write.stale.datanode": "true",
    # The thread that forgets blocks of deleted files looks for work so often; a hundred times a second by default.
    "dfs.namenode.block.deletion.unlock.interval.ms": "1000",
    "dfs.namenode.handler.count": "5",
    "dfs.datanode.handler.count": "4",
    # Two DataNodes: there is no third to take the place of one that failed in mid-write.
    "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
}


def site_xml(properties: Mapping[str, str]) -> str:
    """A Hadoop configuration file."""
    rows = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n{rows}</configuration>\n'


def core_site(settings: Settings) -> dict[str, str]:
    """Where the file system is."""
    return {
        "fs.defaultFS": f"hdfs://{settings.local(settings.ports.namenode)}",
        "hadoop.http.staticuser.user": settings.hdfs.user,
    }


def namenode_site(settings: Settings, folders: Folders) -> dict[str, str]:
    """The NameNode's own settings."""
    return {
        **_COMMON,
        "dfs.namenode.name.dir": folders.data("namenode").as_uri(),
        # Below that it takes nothing (safe mode), and goes on by itself when there is room again.
        "dfs.namenode.resource.du.reserved": str(_reserved(settings)),
        "dfs.namenode.http-address": settings.local(settings.ports.namenode_http),
        "dfs.namenode.rpc-bind-host": settings.stack.host,
        "dfs.namenode.http-bind-host": settings.stack.host,
    }


def datanode_site(settings: Settings, folders: Folders, number: int) -> dict[str, str]:
    """Settings of DataNode ``number`` (1 or 2)."""
    ports = settings.ports
    return {
        **_COMMON,
        "dfs.datanode.data.dir": folders.data(f"datanode-{number}").as_uri(),
        "dfs.datanode.du.reserved": str(_reserved(settings)),
        # Beside what is reserved and a block; a gigabyte more by default.
        "dfs.datanode.round-robin-volume-choosing-policy.additional-available-space": "0",
        "dfs.datanode.hostname": settings.own_host,
        "dfs.datanode.address": settings.bound(ports.datanode[number - 1]),
        "dfs.datanode.http.address": settings.bound(ports.datanode_http[number - 1]),
        "dfs.datanode.ipc.address": settings.bound(ports.datanode_ipc[number - 1]),
        "dfs.datanode.scan.period.hours": "-1",
    }


def _reserved(settings: Settings) -> int:
    """Bytes of the disk that the lake leaves to others, Kafka above all."""
    return settings.stack.keep_free_mb << 20


def hdfs_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """NameNode and DataNodes."""
    ports = settings.ports
    image = shlex.quote(str(folders.data("namenode") / "current"))
    namenode = _server(settings, folders, java, "namenode", "namenode.NameNode")
    # A format that was interrupted leaves a version file but no image; only then is there nothing to lose.
    # DataNodes that kept their data know the cluster by its id, and would refuse a NameNode with another.
    versions = shlex.join(str(folders.data(f"datanode-{number}") / "current" / "VERSION") for number in (1, 2))
    cluster = f"$(sed -n 's/^clusterID=/-clusterid /p' {versions} 2>/dev/null | head -n 1)"
    form = (
        f"ls {image}/fsimage_*.md5 >/dev/null 2>&1 || "
        f"{{ rm -rf {image}; {namenode} -format -nonInteractive {cluster}; }}"
    )
    return [
        Program(
            name="namenode",
            group="hdfs",
            command=tuple(shlex.split(namenode)),
            setup=form,
            **_place(settings, folders, "namenode", namenode_site(settings, folders)),  # type: ignore[arg-type]
            ports={"http": ports.at(ports.namenode_http), "rpc": ports.at(ports.namenode)},
            keeps=folders.data("namenode") / "current" / "VERSION",
            when_lost="the lake's files have no names any more, so turns, feedback and datasets are gone: restore that "
            "folder from a copy before anything is ingested, or go on with an empty lake",
            stop_rank=4,
            memory_mb=300,
        ),
        *(
            Program(
                name=f"datanode-{number}",
                group="hdfs",
                command=tuple(shlex.split(_server(settings, folders, java, f"datanode-{number}", "datanode.DataNode"))),
                **_place(settings, folders, f"datanode-{number}", datanode_site(settings, folders, number)),  # type: ignore[arg-type]
                ports={
                    "transfer": ports.at(ports.datanode[number - 1]),
                    "http": ports.at(ports.datanode_http[number - 1]),
                    "ipc": ports.at(ports.datanode_ipc[number - 1]),
                },
                keeps=folders.data(f"datanode-{number}") / "current" / "VERSION",
                when_lost="nothing is lost as long as the other DataNode is whole: its blocks are copied from there",
                stop_rank=3,
                memory_mb=250,
            )
            for number in (1, 2)
        ),
    ]


def _server(settings: Settings, folders: Folders, java: Java, name: str, main: str) -> str:
    path = f"{folders.conf(name)}:{classpath(settings, 'hdfs')}"
    flags = (*heap(settings.stack.hdfs_heap_mb), *QUIET, f"-Dhadoop.log.dir={folders.logs}")
    return shlex.join([str(java.program), *flags, "-cp", path, f"{_PACKAGE}.{main}"])


def _place(settings: Settings, folders: Folders, name: str, site: Mapping[str, str]) -> dict[str, object]:
    conf = folders.conf(name)
    return {
        "environment": {"HADOOP_USER_NAME": settings.hdfs.user},
        "files": {
            conf / "core-site.xml": site_xml(core_site(settings)),
            conf / "hdfs-site.xml": site_xml(site),
            conf / "log4j.properties": _LOG4J,
        },
        "folders": (folders.data(name),),
        "fills": folders.data(name),
    }
