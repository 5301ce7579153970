"""The description of a program that the supervisor runs: command, files, ports and environment, as plain values."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.servers.no_proxy import without_proxy
from kogpt2_chat.env_file import ENV_FILE
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.disk_space import wait_for_space
from kogpt2_chat.variables import PREFIX, as_variables

MARK: Final = "KOGPT2_STACK_PROGRAM"
"""Environment variable with the value ``NAME@HOME`` in all processes of a stack. It identifies orphans."""
_KEPT: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
_KEPT_PREFIXES: Final = ("HF_", "OPENBLAS_", "OMP_", "MKL_", "ATEN_", "ONEDNN_")
"""The last three also limit the instruction set: of the libraries that train, and of the serving engine."""
_UTF8: Final = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""Set regardless of the caller's locale: a JVM in the locale C or CP949 cannot open a file with a Korean name."""
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server, or a set-up step that must be complete before servers start.

    Attributes:
        name: the name in ``status``.
        group: a name that ``--only`` also accepts, e.g. ``hdfs``.
        command: executable and arguments.
        environment: variables in addition to the common ones of the stack.
        setup: shell lines to run before the command, e.g. to format an empty disk.
        files: configuration texts by path.
        folders: folders to create before the start, readable only by the program's user.
        ports: the ports that it listens on, by purpose; the first is the main one.
        needs: programs that must be healthy before this one starts.
        user: the user to run as if the server refuses to run as root; empty for the current user.
        once: whether it is a set-up step; it is healthy once it has ended with exit code 0.
        stop_rank: programs with a lower rank stop first.
        stop_wait_s: how long to wait for its end before it and all its descendants are killed.
        final_exit_codes: exit codes after which it is not restarted; if empty, it is always restarted.
        stops_children: whether it stops its children itself, so that only the program itself is signalled.
        memory_mb: approximate memory use when idle.
        fills: a folder on the disk that it writes to, if it ends when that disk is full; otherwise None.
        keeps: a file or folder that exists once it has data; None if it stores nothing.
        when_lost: the consequence if ``keeps`` is missing, and what to do.
    """

    name: str
    group: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    files: Mapping[Path, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    user: str = ""
    once: bool = False
    stop_rank: int = 0
    stop_wait_s: int = 8
    final_exit_codes: tuple[int, ...] = ()
    stops_children: bool = False
    memory_mb: int = 100
    fills: Path | None = None
    keeps: Path | None = None
    when_lost: str = ""

    @property
    def port(self) -> int | None:
        """The main port; None if the program listens on none."""
        return next(iter(self.ports.values()), None)


def start_script(program: Program, environment: Mapping[str, str], keep_free_mb: int = 0) -> str:
    """Return the shell script that starts a program. The script also records the command and its environment.

    Args:
        program: the program to start.
        environment: its complete environment.
        keep_free_mb: a program with ``fills`` waits until this many MiB are free on that disk; 0: no wait.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    setup = [program.setup] if program.setup else []
    waiting = wait_for_space(program.fills, keep_free_mb) if program.fills and keep_free_mb else []
    return "\n".join(
        [
            "#!/bin/sh",
            "# Written by `kogpt2-chat stack up`; changes will be overwritten.",
            "set -eu",
            *exports,
            *waiting,
            *setup,
            f"exec {shlex.join(program.command)}",
            "",
        ]
    )


def program_environment(program: Program, settings: Settings, home: Path) -> dict[str, str]:
    """Return the environment of a program. One that runs as another user gets no settings: they may contain secrets."""
    hosts = (settings.own_host, settings.advertised_host)
    shared = {} if program.user else settings_environment(settings) | without_proxy(os.environ, hosts)
    return {**shared, MARK: f"{program.name}@{home}", **program.environment}


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return variables that reproduce the explicitly set settings, and turn off reading of ``.env``."""
    return {
        **as_variables(settings),
        "KOGPT2_HOME": str(settings.home.resolve()),
        "KOGPT2_CACHE": str(settings.cache_dir.resolve()),
        ENV_FILE: "",
    }


def environment_with_settings(settings: Settings) -> dict[str, str]:
    """Return this process's environment with exactly these settings; its own settings and ``.env`` are ignored."""
    return environment_without_settings() | settings_environment(settings)


def environment_without_settings() -> dict[str, str]:
    """Return this process's environment without any setting and with reading of ``.env`` turned off."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)} | {ENV_FILE: ""}


def clean_environment() -> dict[str, str]:
    """Return the variables that every program inherits: a few of the caller's, and the fixed ones."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.lower() in _PROXIES or name.startswith(_KEPT_PREFIXES)
    }
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"
    return {**kept, **_UTF8, "PATH": path, "PYTHONUNBUFFERED": "1"}


def python(*arguments: str) -> tuple[str, ...]:
    """Return a command that runs this environment's Python."""
    return (sys.executable, *arguments)


def in_checkout() -> str:
    """Return a shell line that changes to the checkout."""
    return f"cd {shlex.quote(str(CHECKOUT))}"
