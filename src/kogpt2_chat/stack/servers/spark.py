"""Spark's standalone master and workers, if they are configured; by default Spark runs in the driver process."""

import os
import shlex
from collections.abc import Mapping

from kogpt2_chat.machine.spark_home import spark_home
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program, in_checkout

_PACKAGE = "org.apache.spark.deploy"
_KEEP_A_DAY = "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=86400"


def spark_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return master and workers; an empty list if the setting is ``local``."""
    if settings.stack.spark == "local":
        return []
    host, ports = settings.own_host, settings.ports
    master, master_http = map(ports.at, (ports.spark_master, ports.spark_master_http))
    environment = {
        "JAVA_HOME": str(java.home),
        "SPARK_LOCAL_IP": host,
        "SPARK_PUBLIC_DNS": host,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:-UsePerfData -Djava.net.preferIPv4Stack=true",
        # Otherwise a start script looks for it with Python, which the workers' user may not be able to run.
        "SPARK_HOME": str(spark_home()),
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
        *(
            _worker(number, url, settings, folders, environment)
            for number in range(1, settings.stack.spark_workers + 1)
        ),
    ]


def _worker(number: int, url: str, settings: Settings, folders: Folders, environment: Mapping[str, str]) -> Program:
    """Return a worker. It needs no checkout: each job brings its code."""
    user = settings.stack.spark_user if os.geteuid() == 0 else ""
    name = "spark-worker" if number == 1 else f"spark-worker-{number}"
    data = folders.data("spark" if number == 1 else f"spark-{number}", open_to_user=bool(user))
    port = settings.ports.at(settings.ports.spark_worker_http + number - 1)
    return Program(
        name=name,
        group="spark",
        command=(
            *("spark-class", f"{_PACKAGE}.worker.Worker", "--host", settings.own_host),
            *("--cores", "2", "--memory", "3g", "--webui-port", str(port), url),
        ),
        environment={
            **environment,
            "SPARK_WORKER_DIR": str(data),
            "SPARK_WORKER_OPTS": _KEEP_A_DAY,
            "HOME": str(data),
        },
        setup=f"cd {shlex.quote(str(data))}",
        folders=(data,),
        ports={"http": port},
        user=user,
        stop_rank=2,
        memory_mb=250,
    )
