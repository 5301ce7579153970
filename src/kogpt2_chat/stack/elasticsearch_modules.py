"""The two Elasticsearch modules that this project assembles from the transport client's jars.

The distribution ships each module as a folder with a descriptor and a policy; Maven repositories have only the jars.
Every grant below is necessary; for example, without ``setContextClassLoader`` the node does not end on SIGTERM.
"""

from typing import Final

_DESCRIPTOR: Final = """\
name={name}
description={description}
version=7.17.29
classname={plugin}
java.version=1.8
elasticsearch.version=7.17.29
extended.plugins=
has.native.controller=false
"""
_NETTY_POLICY: Final = """\
grant {
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.RuntimePermission "setContextClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
  permission java.net.SocketPermission "*", "accept,connect";
  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
};
"""
_REINDEX_POLICY: Final = """\
grant {
  permission java.net.SocketPermission "*", "connect";
};
"""

MODULE_FILES: Final = {
    "elasticsearch/modules/transport-netty4/plugin-descriptor.properties": _DESCRIPTOR.format(
        name="transport-netty4",
        description="HTTP and transport over Netty",
        plugin="org.elasticsearch.transport.Netty4Plugin",
    ),
    "elasticsearch/modules/transport-netty4/plugin-security.policy": _NETTY_POLICY,
    "elasticsearch/modules/reindex/plugin-descriptor.properties": _DESCRIPTOR.format(
        name="reindex",
        description="Delete and update by query",
        plugin="org.elasticsearch.reindex.ReindexPlugin",
    ),
    "elasticsearch/modules/reindex/plugin-security.policy": _REINDEX_POLICY,
}

EMPTY_FOLDERS: Final = ("elasticsearch/bin", "elasticsearch/plugins")
"""Created in advance: the server would create missing ones, but its user must not write to the shared cache."""
