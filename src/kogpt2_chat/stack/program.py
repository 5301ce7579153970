"""What the supervisor runs: a command with its files, ports and environment, as plain values."""

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
from kogpt2_chat.stack.room import wait_for_room
from kogpt2_chat.variables import PREFIX, as_variables

MARK: Final = "KOGPT2_STACK_PROGRAM"
"""Environment variable ``NAME@HOME`` in every process of a stack: how orphans are known, never by their name."""
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
_KEPT_PREFIXES: Final = ("HF_", "OPENBLAS_", "OMP_", "MKL_")
_UTF8: Final = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""Whatever the caller's terminal speaks: a JVM in the locale C or CP949 cannot open a file with a Korean name."""
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One server, or one step that has to be done before others.

    Attributes:
        name: as in ``status``.
        group: what ``--only`` also takes, e.g. ``hdfs``.
        command: program and arguments.
        environment: on top of the stack's common one.
        setup: shell lines run before the command, e.g. formatting an empty disk.
        files: configuration texts by path.
        folders: to exist before the start, readable for the program's user alone.
        ports: what it listens on, by purpose; the first is the one people use.
        needs: programs that must be healthy before this one starts.
        user: drop to this user, where the server refuses root.
        once: a step that ends; healthy once it ended well.
        stop_rank: lower ranks stop first.
        stop_wait_s: grace before it is killed, with all its descendants.
        final_exit_codes: after one of these it is not started again; empty: after any it is.
        stops_children: ends its children itself when it alone is asked to stop.
        memory_mb: about what it takes at rest.
        fills: a folder whose disk it writes to, and without room there dies; None where it lives on without.
        keeps: a file or folder that is there once it has data; None where it keeps nothing.
        when_lost: what it means when that is gone, and what to do.
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
        """The port people use."""
        return next(iter(self.ports.values()), None)


def start_script(program: Program, environment: Mapping[str, str], keep_free_mb: int = 0) -> str:
    """The shell script that starts a program: what ran, with which environment, is there to read.

    Args:
        program: what to start.
        environment: all of it.
        keep_free_mb: one that fills a disk waits until so much is free there.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    setup = [program.setup] if program.setup else []
    waiting = wait_for_room(program.fills, keep_free_mb) if program.fills and keep_free_mb else []
    return "\n".join(
        [
            "#!/bin/sh",
            "# Written by `kogpt2-chat stack up`; changes are lost.",
            "set -eu",
            *exports,
            *waiting,
            *setup,
            f"exec {shlex.join(program.command)}",
            "",
        ]
    )


def program_environment(program: Program, settings: Settings, home: Path) -> dict[str, str]:
    """Environment of one program. A server of another user gets no settings: they may hold secrets."""
    hosts = (settings.own_host, settings.advertised_host)
    shared = {} if program.user else settings_environment(settings) | without_proxy(os.environ, hosts)
    return {**shared, MARK: f"{program.name}@{home}", **program.environment}


def settings_environment(settings: Settings) -> dict[str, str]:
    """The settings that somebody set, as the variables that would set them again; no ``.env`` adds to them."""
    return {
        **as_variables(settings),
        "KOGPT2_HOME": str(settings.home.resolve()),
        "KOGPT2_CACHE": str(settings.cache_dir.resolve()),
        ENV_FILE: "",
    }


def exact_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with these settings alone, whatever it or a ``.env`` says of others."""
    return unset_environment() | settings_environment(settings)


def unset_environment() -> dict[str, str]:
    """This process's environment without any setting, and a word that no ``.env`` is to be read."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)} | {ENV_FILE: ""}


def clean_environment() -> dict[str, str]:
    """What every program inherits: not the caller's whole shell."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.lower() in _PROXIES or name.startswith(_KEPT_PREFIXES)
    }
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"
    return {**kept, **_UTF8, "PATH": path, "PYTHONUNBUFFERED": "1"}


def python(*arguments: str) -> tuple[str, ...]:
    """A command of this environment's own Python."""
    return (sys.executable, *arguments)


def in_checkout() -> str:
    """Shell line: run from the checkout, where the packages are that are not installed."""
    return f"cd {shlex.quote(str(CHECKOUT))}"
