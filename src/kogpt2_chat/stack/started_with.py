"""Compare the settings of running programs, read from their environments, with those of the caller."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.program import MARK, Program, program_environment, settings_environment
from kogpt2_chat.stack.supervision import Supervisor, SupervisorClient
from kogpt2_chat.variables import PREFIX


def require_same(settings: Settings, program: str, prefix: str) -> None:
    """Check that a running program was started with the caller's settings.

    Args:
        settings: the caller's settings.
        program: the name in ``status``. The check passes if it is not running: it will be started with these settings.
        prefix: only variables with this prefix are compared.

    Raises:
        InvalidInput: some settings differ; the message names them.
    """
    client = Supervisor(folders_of(settings)).find()
    state = client.states().get(program) if client else None
    found = _environment(state.pid) if state else {}
    if MARK in found and (names := differing(settings_environment(settings), found, prefix)):
        raise InvalidInput(
            f"{program} was started with other settings than this command has: {', '.join(names)}. Servers keep the "
            "settings that they were started with: run `make down`, then this command again; data is kept"
        )


def changed_since(settings: Settings, home: Path, programs: Iterable[Program], client: SupervisorClient) -> list[str]:
    """Return the settings in which running programs differ from the caller.

    Args:
        settings: the caller's settings.
        home: the home of the stack.
        programs: the running programs.
        client: a client of their supervisor.

    Returns:
        Names of variables, sorted and without duplicates.
    """
    states, names = client.states(), set[str]()
    for program in programs:
        found = _environment(states[program.name].pid) if program.name in states else {}
        if MARK in found:
            names.update(differing(program_environment(program, settings, home), found, PREFIX))
    return sorted(names)


def differing(wanted: Mapping[str, str], found: Mapping[str, str], prefix: str) -> list[str]:
    """Return the names of the variables with this prefix whose values differ, or that are only in one of the two."""
    return sorted(name for name in {*wanted, *found} if name.startswith(prefix) and wanted.get(name) != found.get(name))


def _environment(pid: int | None) -> dict[str, str]:
    """Return the environment of a process; empty if it cannot be read or the process has ended."""
    try:
        return psutil.Process(pid).environ() if pid else {}
    except (psutil.Error, OSError):
        return {}
