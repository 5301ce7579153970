"""With which settings a running program was started: what it was told then, and not what the caller has now."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.program import MARK, Program, program_environment, settings_environment
from kogpt2_chat.stack.supervision import SupervisorClient, find_supervision
from kogpt2_chat.variables import PREFIX


def require_same(settings: Settings, program: str, prefix: str) -> None:
    """Refuse to go on where a program runs with other settings than the caller's.

    Args:
        settings: the caller's.
        program: a name in ``status``; one that does not run will be started with the caller's.
        prefix: of the variables that matter.

    Raises:
        InvalidInput: some differ; the message names them.
    """
    supervision = find_supervision(folders_of(settings))
    state = supervision.states().get(program) if supervision else None
    found = _environment(state.pid) if state else {}
    if MARK in found and (names := differing(settings_environment(settings), found, prefix)):
        raise InvalidInput(
            f"{program} runs with other settings than this command has: {', '.join(names)}. Servers keep what they "
            "were started with: run `make down`, then this command again; data stay"
        )


def changed_since(
    settings: Settings, home: Path, programs: Iterable[Program], supervision: SupervisorClient
) -> list[str]:
    """Settings that running programs do not have as the caller has them.

    Args:
        settings: the caller's.
        home: of the stack.
        programs: those that run on.
        supervision: what they run under.

    Returns:
        Names of variables, each once.
    """
    states, names = supervision.states(), set[str]()
    for program in programs:
        found = _environment(states[program.name].pid) if program.name in states else {}
        if MARK in found:
            names.update(differing(program_environment(program, settings, home), found, PREFIX))
    return sorted(names)


def differing(wanted: Mapping[str, str], found: Mapping[str, str], prefix: str) -> list[str]:
    """Names of variables that are not the same in both."""
    return sorted(name for name in {*wanted, *found} if name.startswith(prefix) and wanted.get(name) != found.get(name))


def _environment(pid: int | None) -> dict[str, str]:
    """Of a process; empty where it has none yet, or has gone."""
    try:
        return psutil.Process(pid).environ() if pid else {}
    except (psutil.Error, OSError):
        return {}
