"""Flags for all JVMs of the stack."""

from typing import Final

QUIET: Final = (
    # On two cores, the time that parallel collectors save is not worth the memory of their threads.
    "-XX:+UseSerialGC",
    "-Xss512k",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dfile.encoding=UTF-8",
)


def heap(megabytes: int) -> tuple[str, str]:
    """Return flags for a heap that starts small and may grow to ``megabytes``."""
    return f"-Xms{min(megabytes, 64)}m", f"-Xmx{megabytes}m"


LOG4J2: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %p %c{{1}}: %m%n
rootLogger.level = {level}
rootLogger.appenderRef.console.ref = console
"""
