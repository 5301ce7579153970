"""Spark's standalone master and worker, if they are configured; by default Spark runs in the driver process."""

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program, in_checkout

_PACKAGE = "org.apache.spark.deploy"


def spark_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return master and worker; an empty list if the setting is ``local``."""
    if settings.stack.spark == "local":
        return []
    host, ports = settings.own_host, settings.ports
    master, master_http, worker_http = map(
        ports.at, (ports.spark_master, ports.spark_master_http, ports.spark_worker_http)
    )
    environment = {
        "JAVA_HOME": str(java.home),
        "SPARK_LOCAL_IP": host,
        "SPARK_PUBLIC_DNS": host,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:-UsePerfData -Djava.net.preferIPv4Stack=true",
        "SPARK_WORKER_DIR": str(folders.data("spark")),
    }
    url = f"spark://{host}:{master}"
    return [
        Program(
            name="spark-master",
            group="spark",
            command=(
                *("spark-class", f"{_PACKAGE}.master.Master", "--host", host),
                *("--port", str(master), "--webui-port", str(master_http)),
            ),
            environment=environment,
            setup=in_checkout(),
            ports={"http": master_http, "rpc": master},
            stop_rank=2,
            memory_mb=250,
        ),
        Program(
            name="spark-worker",
            group="spark",
            command=(
                *("spark-class", f"{_PACKAGE}.worker.Worker", "--host", host, "--cores", "2", "--memory", "3g"),
                *("--webui-port", str(worker_http), url),
            ),
            environment=environment,
            setup=in_checkout(),
            folders=(folders.data("spark"),),
            ports={"http": worker_http},
            stop_rank=2,
            memory_mb=250,
        ),
    ]
