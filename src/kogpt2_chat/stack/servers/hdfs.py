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
    # All programs run as one user of the operating system; HDFS user names are separate from it.
    "dfs.permissions.enabled": "false",
    "dfs.replication": "2",
    "dfs.namenode.datanode.registration.ip-hostname-check": "false",
    "dfs.namenode.safemode.extension": "0",
    "dfs.namenode.safemode.min.datanodes": "1",
    # Notice a dead DataNode within seconds instead of ten minutes.
    "dfs.heartbeat.interval": "1",
    "dfs.namenode.heartbeat.recheck-interval": "5000",
    "dfs.namenode.stale.datanode.interval": "3000",
    "dfs.namenode.avoid.read.stale.datanode": "true",
    "dfs.namenode.avoid.write.stale.datanode": "true",
    # How often, in ms, the thread that deletes blocks wakes up; by default every 10 ms.
    "dfs.namenode.block.deletion.unlock.interval.ms": "1000",
    "dfs.namenode.handler.count": "5",
    "dfs.datanode.handler.count": "4",
    # With two DataNodes, no third one can replace one that fails during a write.
    "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
}


def site_xml(properties: Mapping[str, str]) -> str:
    """Return the text of a Hadoop configuration file."""
    rows = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n{rows}</configuration>\n'


def core_site(settings: Settings) -> dict[str, str]:
    """Return the settings that all Hadoop programs share, e.g. the address of the file system."""
    return {
        "fs.defaultFS": f"hdfs://{settings.local(settings.ports.namenode)}",
        "hadoop.http.staticuser.user": settings.hdfs.user,
    }


def namenode_site(settings: Settings, folders: Folders) -> dict[str, str]:
    """Return the settings of the NameNode."""
    return {
        **_COMMON,
        "dfs.namenode.name.dir": folders.data("namenode").as_uri(),
        # With less free space the NameNode enters safe mode; it leaves it once there is enough.
        "dfs.namenode.resource.du.reserved": str(_reserved(settings)),
        "dfs.namenode.http-address": settings.local(settings.ports.namenode_http),
        "dfs.namenode.rpc-bind-host": settings.stack.host,
        "dfs.namenode.http-bind-host": settings.stack.host,
    }


def datanode_site(settings: Settings, folders: Folders, number: int) -> dict[str, str]:
    """Return the settings of DataNode ``number`` (1 or 2)."""
    ports = settings.ports
    return {
        **_COMMON,
        "dfs.datanode.data.dir": folders.data(f"datanode-{number}").as_uri(),
        "dfs.datanode.du.reserved": str(_reserved(settings)),
        # Required in addition to the reserved space and one block; 1 GB by default.
        "dfs.datanode.round-robin-volume-choosing-policy.additional-available-space": "0",
        "dfs.datanode.hostname": settings.own_host,
        "dfs.datanode.address": settings.bound(ports.datanode[number - 1]),
        "dfs.datanode.http.address": settings.bound(ports.datanode_http[number - 1]),
        "dfs.datanode.ipc.address": settings.bound(ports.datanode_ipc[number - 1]),
        "dfs.datanode.scan.period.hours": "-1",
    }


def _reserved(settings: Settings) -> int:
    """Return the bytes of disk space that HDFS leaves free for other servers, especially Kafka."""
    return settings.stack.keep_free_mb << 20


def hdfs_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return the NameNode and the DataNodes."""
    ports = settings.ports
    image = shlex.quote(str(folders.data("namenode") / "current"))
    namenode = _server(settings, folders, java, "namenode", "namenode.NameNode")
    # An interrupted format leaves a version file but no image. Format only if there is no image: then no data can be
    # lost. DataNodes with data reject a NameNode with another cluster id, so reuse theirs.
    versions = shlex.join(str(folders.data(f"datanode-{number}") / "current" / "VERSION") for number in (1, 2))
    cluster = f"$(sed -n 's/^clusterID=/-clusterid /p' {versions} 2>/dev/null | head -n 1)"
    format_if_empty = (
        f"ls {image}/fsimage_*.md5 >/dev/null 2>&1 || "
        f"{{ rm -rf {image}; {namenode} -format -nonInteractive {cluster}; }}"
    )
    return [
        Program(
            name="namenode",
            group="hdfs",
            command=tuple(shlex.split(namenode)),
            setup=format_if_empty,
            **_common(settings, folders, "namenode", namenode_site(settings, folders)),  # type: ignore[arg-type]
            ports={"http": ports.at(ports.namenode_http), "rpc": ports.at(ports.namenode)},
            keeps=folders.data("namenode") / "current" / "VERSION",
            when_lost="without the NameNode's data, all files of the lake (turns, feedback, datasets) are gone: "
            "restore this folder from a copy before anything is ingested, or continue with an empty lake",
            stop_rank=4,
            memory_mb=300,
        ),
        *(
            Program(
                name=f"datanode-{number}",
                group="hdfs",
                command=tuple(shlex.split(_server(settings, folders, java, f"datanode-{number}", "datanode.DataNode"))),
                **_common(settings, folders, f"datanode-{number}", datanode_site(settings, folders, number)),  # type: ignore[arg-type]
                ports={
                    "transfer": ports.at(ports.datanode[number - 1]),
                    "http": ports.at(ports.datanode_http[number - 1]),
                    "ipc": ports.at(ports.datanode_ipc[number - 1]),
                },
                keeps=folders.data(f"datanode-{number}") / "current" / "VERSION",
                when_lost="nothing is lost while the other DataNode is intact: the blocks are copied from it",
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


def _common(settings: Settings, folders: Folders, name: str, site: Mapping[str, str]) -> dict[str, object]:
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
