"""MLflow: tracking server, model registry and artifact proxy."""

import shlex

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.program import Program, python


def mlflow_programs(settings: Settings, folders: Folders) -> list[Program]:
    """Return the server."""
    data = folders.data("mlflow")
    port = settings.ports.at(settings.ports.mlflow)
    # Local names are allowed with any port, because an SSH tunnel may end at any local port.
    hosts = dict.fromkeys(
        [f"{settings.own_host}:{port}", f"{settings.advertised_host}:{port}", "127.0.0.1:*", "localhost:*"]
    )
    return [
        Program(
            name="mlflow",
            group="mlflow",
            command=python(
                *("-m", "mlflow", "server", "--host", settings.stack.host, "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{data}/mlflow.db"),
                *("--artifacts-destination", str(data / "artifacts")),
                *("--allowed-hosts", ",".join(hosts)),
            ),
            environment={
                # Job workers would triple the server's memory, and this project does not use them.
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true",
                "GIT_PYTHON_REFRESH": "quiet",
            },
            setup=f"cd {shlex.quote(str(data))}",
            folders=(data,),
            ports={"http": port},
            stop_rank=2,
            keeps=data / "mlflow.db",
            when_lost="runs, metrics and versions are gone; workers continue with their local copies of the versions, "
            "and the next training creates new ones",
            memory_mb=500,
        )
    ]
