"""Airflow: api-server, scheduler, dag-processor and triggerer, and the set-up step that prepares their database."""

import hashlib
import json
import secrets
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from kogpt2_chat.airflow_password import PASSWORDS, read_password
from kogpt2_chat.machine.memory import usable_memory_mb
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.plain_path import plain
from kogpt2_chat.stack.program import Program, in_checkout, python

_TWO_TRAININGS_MB: Final = 20_000
"""Memory that allows two trainings of KoGPT2's size (4.5 GB each) in addition to the servers and a desktop."""
_SQLITE_WAIT_S: Final = 60
"""How long a writer waits for another. With the 5 s that Python's ``sqlite3`` waits by default, Airflow fails in its
first minute on a busy machine."""
_WRITE_AHEAD: Final = (
    "import os, sqlite3, sys; path = sys.argv[1]; "
    "os.path.exists(path) and sqlite3.connect(path).execute('PRAGMA journal_mode=WAL')"
)
_PAUSING_EXECUTOR: Final = "kogpt2_airflow.executor.PausingExecutor"
_HEARTBEAT_S: Final = 10
_DAG_PROCESSOR: Final[Mapping[str, object]] = {
    # Check for changed files every 30 s and parse those at once; parse unchanged files every 600 s.
    "REFRESH_INTERVAL": 30,
    "MIN_FILE_PROCESS_INTERVAL": 600,
    "PARSING_PROCESSES": 1,
}
_KEYS: Final = ("secret", "jwt", "fernet")


def passwords_file(folders: Folders) -> Path:
    """Return the path of the file with the password of Airflow's only user."""
    return folders.plain_home / PASSWORDS


def write_secrets(settings: Settings, folders: Folders) -> None:
    """Write the configured or a generated password, and generate missing keys. Existing secrets are kept."""
    username, given = settings.airflow.username, settings.stack.airflow_password
    password = given.get_secret_value() if given else read_password(folders.home, username) or secrets.token_urlsafe(12)
    _write_private(passwords_file(folders), json.dumps({username: password}))
    for name in _KEYS:
        path = _key(folders, name)
        if not path.exists() or not path.stat().st_size:
            # 32 bytes in padded URL-safe base64 are also a valid Fernet key.
            _write_private(path, secrets.token_urlsafe(32) + "=")


def airflow_environment(settings: Settings, folders: Folders) -> dict[str, str]:
    """Return Airflow's settings as environment variables. The keys are read from their files at program start."""
    url = f"http://{settings.local(settings.ports.airflow)}"
    database = (
        settings.stack.airflow_database.get_secret_value()
        or f"sqlite:///{folders.airflow}/airflow.db?timeout={_SQLITE_WAIT_S}"
    )
    # On SQLite the executor pauses instead of the scheduler, because it can detect commits. On other databases, with
    # 0.1 s instead of 1 s a chain of five short tasks takes 3 s instead of 6 s; idle, it costs a quarter of a core.
    executor, pause_s = ("LocalExecutor", 0.1) if settings.stack.airflow_database else (_PAUSING_EXECUTOR, 0)
    sections: Mapping[str, Mapping[str, object]] = {
        "CORE": {
            "EXECUTOR": executor,
            "PARALLELISM": settings.stack.airflow_parallelism,
            "DAGS_FOLDER": plain(CHECKOUT) / "dags",
            "PLUGINS_FOLDER": plain(CHECKOUT) / "plugins",
            "LOAD_EXAMPLES": False,
            # A DAG that is scheduled by an asset does not run while it is paused.
            "DAGS_ARE_PAUSED_AT_CREATION": False,
            "SIMPLE_AUTH_MANAGER_USERS": f"{settings.airflow.username}:admin",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords_file(folders),
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "MIN_SERIALIZED_DAG_UPDATE_INTERVAL": 5,
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": database},
        "API": {
            "HOST": settings.stack.host,
            "PORT": settings.ports.at(settings.ports.airflow),
            "BASE_URL": f"http://{settings.advertised(settings.ports.airflow)}",
            "WORKERS": 1,
            "INSTANCE_NAME": "KoGPT2 chat",
        },
        "SCHEDULER": {
            "SCHEDULER_IDLE_SLEEP_TIME": pause_s,
            # Each heartbeat commits to the database and wakes the scheduler. A component counts as lost after 30 s.
            "SCHEDULER_HEARTBEAT_SEC": _HEARTBEAT_S,
            "JOB_HEARTBEAT_SEC": _HEARTBEAT_S,
            "ENABLE_HEALTH_CHECK": False,
        },
        "TRIGGERER": {"JOB_HEARTBEAT_SEC": _HEARTBEAT_S},
        "DAG_PROCESSOR": _DAG_PROCESSOR,
        "LOGGING": _logging(settings, folders),
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    flat = {
        f"AIRFLOW__{section}__{name}": str(value) for section, rows in sections.items() for name, value in rows.items()
    }
    # Without SPT_NOENV, setproctitle overwrites the environment, including the mark that identifies orphans.
    return {"AIRFLOW_HOME": str(folders.airflow), "SPT_NOENV": "1", **flat}


def _logging(settings: Settings, folders: Folders) -> Mapping[str, object]:
    return {
        "BASE_LOG_FOLDER": folders.logs / "airflow",
        "DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": folders.logs / "airflow" / "dag_processor",
        "COLORED_CONSOLE_LOG": False,
        "WORKER_LOG_SERVER_PORT": settings.ports.at(settings.ports.airflow_log[0]),
        "TRIGGER_LOG_SERVER_PORT": settings.ports.at(settings.ports.airflow_log[1]),
    }


def airflow_pools(settings: Settings, memory_mb: int) -> dict[str, dict[str, object]]:
    """Return the pools that limit how many tasks of one kind run in parallel.

    Much of a training (imports, conversion) uses only one core, so two trainings in parallel end sooner than two in
    sequence (docs/measurements.md). Two Spark drivers in parallel gain nothing.

    Args:
        settings: the number of trainings, if it is set.
        memory_mb: the usable memory of this machine.

    Returns:
        Pools by name, as ``airflow pools import`` reads them.
    """
    trainings = settings.stack.trainings_at_once or (2 if memory_mb >= _TWO_TRAININGS_MB else 1)
    return {
        "training": {"slots": trainings, "description": "fine-tuning and evaluation", "include_deferred": False},
        "spark": {"slots": 1, "description": "Spark applications", "include_deferred": False},
    }


def airflow_programs(settings: Settings, folders: Folders) -> list[Program]:
    """Return the set-up step and the four components."""
    environment = airflow_environment(settings, folders)
    pools = folders.conf("airflow") / "pools.json"
    wanted = json.dumps(airflow_pools(settings, usable_memory_mb()), indent=1)
    names = ("api-server", "scheduler", "dag-processor", "triggerer")
    # The log servers would listen on all addresses; on one machine the log files can be read directly.
    quiet = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}
    port = {"api-server": {"http": settings.ports.at(settings.ports.airflow)}}
    return [
        Program(
            name="airflow-setup",
            group="airflow",
            command=("/bin/sh", "-c", _setup_script(environment, folders, pools, wanted)),
            environment=environment,
            setup=_keys_from_files(folders),
            files={pools: wanted},
            folders=(folders.logs / "airflow",),
            once=True,
            memory_mb=0,
            fills=folders.airflow,
            keeps=None if settings.stack.airflow_database else folders.airflow / "airflow.db",
            when_lost="the history of DAG runs is gone; a new database is created, and the schedules continue",
        ),
        *(
            Program(
                name=f"airflow-{name}",
                group="airflow",
                command=python("-m", "airflow", name, *quiet.get(name, ())),
                environment=environment,
                setup=f"{_keys_from_files(folders)}\n{in_checkout()}",
                ports=port.get(name, {}),
                # The scheduler starts the first task of a due run at once, and the task needs the API server.
                needs=("airflow-setup", *(("airflow-api-server",) if name == "scheduler" else ())),
                stop_rank=1,
                # If the executor's workers were signalled too, the scheduler would wait for them forever.
                stops_children=True,
                # The triggerer waits 10 s for a child that ignores the signal. Its triggers are in the database.
                stop_wait_s=2 if name == "triggerer" else 8,
                memory_mb=250,
                fills=folders.airflow,
            )
            for name in names
        ),
    ]


def _setup_script(environment: Mapping[str, str], folders: Folders, pools: Path, wanted: str) -> str:
    """Return a script that migrates the database and creates the pools, once per version, database and pools."""
    database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    # Hashes, because a database URL may contain a password, and every user can read a command's arguments.
    done = " ".join(
        [version("apache-airflow"), *(hashlib.sha256(one.encode()).hexdigest()[:8] for one in (database, wanted))]
    )
    stamp = shlex.quote(str(folders.airflow / "prepared"))
    run = shlex.join(python("-m", "airflow"))
    exists = f" && [ -s {shlex.quote(str(folders.airflow / 'airflow.db'))} ]" if database.startswith("sqlite") else ""
    return (
        f'[ "$(cat {stamp} 2>/dev/null)" = {shlex.quote(done)} ]{exists} && exit 0\n'
        f"{run} db migrate && {_write_ahead(folders)} && {run} pools import {shlex.quote(str(pools))} && "
        f"(umask 077; printf %s {shlex.quote(done)} > {stamp})"
    )


def _write_ahead(folders: Folders) -> str:
    """Return a command that turns on SQLite's write-ahead log, so that readers do not block the writer."""
    return shlex.join(python("-c", _WRITE_AHEAD, str(folders.airflow / "airflow.db")))


def _keys_from_files(folders: Folders) -> str:
    names = ("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY")
    reads = (f"{name}=$(cat {shlex.quote(str(_key(folders, key)))})" for name, key in zip(names, _KEYS, strict=True))
    return "\n".join([*reads, f"export {' '.join(names)}"])


def _key(folders: Folders, name: str) -> Path:
    return folders.airflow / f"{name}.key"


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
