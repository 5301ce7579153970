"""Checks before any program starts. All problems are reported together, each with a remedy."""

import os
import pwd
import unicodedata
from collections.abc import Sequence

import psutil

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.machine.person import missing_user_message, user_has_name
from kogpt2_chat.machine.spark_home import spark_home
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.disk_space import free_space_at
from kogpt2_chat.stack.folders import Folders, others_can_enter
from kogpt2_chat.stack.jars import jars_folder
from kogpt2_chat.stack.processes import port_is_free, port_owner
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.reach import host_faults, reach_faults


def check_settings(settings: Settings) -> None:
    """Check the settings that can be checked without the state of the machine.

    Args:
        settings: addresses, paths and users.

    Raises:
        InvalidInput: some settings cannot work; the message names them all and what to set instead.
    """
    faults = [*host_faults(settings), *_path_faults(settings), *_user_faults(settings)]
    if faults:
        raise InvalidInput("the stack cannot start with these settings:\n" + "\n".join(f"  {one}" for one in faults))


def check_machine(settings: Settings, folders: Folders, programs: Sequence[Program]) -> None:
    """Check memory, disk, ports and the advertised address for the programs that are about to start.

    Args:
        settings: limits, host and cache.
        folders: the folders of the stack, for the disk.
        programs: the programs that are about to start.

    Raises:
        InvalidInput: a setting is the cause, e.g. a cache that Elasticsearch's user cannot read.
        Unavailable: the machine does not meet a requirement; the message names all that are not met.
    """
    _check_readable(settings, programs)
    faults = [
        *_memory_fault(settings, programs),
        *_disk_fault(settings, folders),
        *port_faults(settings, programs),
        *reach_faults(settings, programs),
    ]
    if faults:
        raise Unavailable(
            "the stack cannot start; nothing was started:\n" + "\n".join(f"  {fault}" for fault in faults)
        )


def port_faults(settings: Settings, programs: Sequence[Program]) -> list[str]:
    """Return a message per port that is in use, or that is configured for two of these programs."""
    wanted = [(program.name, use, port) for program in programs for use, port in program.ports.items()]
    owners: dict[int, list[str]] = {}
    for name, use, port in wanted:
        owners.setdefault(port, []).append(f"{name} {use}")
    twice = [
        f"port {port} is configured for {' and '.join(names)}: change one of KOGPT2_PORTS__*"
        for port, names in owners.items()
        if len(names) > 1
    ]
    taken = [
        f"port {port} for {name} ({use}) is in use by {port_owner(port)}: "
        "stop it, or shift all ports with KOGPT2_PORTS__OFFSET"
        for name, use, port in wanted
        if not port_is_free(settings.stack.host, port)
    ]
    return twice + taken


def _path_faults(settings: Settings) -> list[str]:
    paths = {"KOGPT2_HOME": settings.home, "KOGPT2_CACHE": settings.cache_dir, "the checkout": CHECKOUT}
    return [
        f"{name} is {str(path)!r}: expected a path of UTF-8 text without control characters, found {found}; move it"
        for name, path in paths.items()
        if (found := _unwritable(str(path.resolve())))
    ]


def _unwritable(path: str) -> str:
    """Return why a path cannot be written into a configuration file; empty if it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "bytes that are not UTF-8"
    return next((f"U+{ord(char):04X}" for char in path if unicodedata.category(char) in {"Cc", "Zl", "Zp"}), "")


def _user_faults(settings: Settings) -> list[str]:
    if os.geteuid() != 0:
        return [] if user_has_name() else [missing_user_message()]
    named = {
        "KOGPT2_STACK__UNPRIVILEGED_USER": settings.stack.unprivileged_user,
        "KOGPT2_STACK__SPARK_USER": settings.stack.spark_user or "root",
    }
    return [f"{name}={user}: this machine has no such user" for name, user in named.items() if not _is_user(user)]


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _memory_fault(settings: Settings, programs: Sequence[Program]) -> list[str]:
    wanted = min(settings.stack.min_memory_mb, sum(program.memory_mb for program in programs))
    free = psutil.virtual_memory().available >> 20
    if free >= wanted:
        return []
    return [
        (
            f"memory: {wanted} MB are needed, {free} MB are free: close programs, start fewer with --only, "
            "or lower KOGPT2_STACK__MIN_MEMORY_MB at your own risk"
        )
    ]


def _disk_fault(settings: Settings, folders: Folders) -> list[str]:
    # With less than keep_free_mb the servers would start and then only wait for disk space.
    wanted = max(settings.stack.min_disk_mb, settings.stack.keep_free_mb)
    shortage = free_space_at(folders.home).shortage(wanted)
    return [f"disk: {shortage}: free disk space or move KOGPT2_HOME"] if shortage else []


def _check_readable(settings: Settings, programs: Sequence[Program]) -> None:
    read_by_group = {
        "elasticsearch": (jars_folder(settings), "set KOGPT2_CACHE to a folder"),
        "spark": (spark_home(), "move this environment to a folder"),
    }
    for program in programs:
        if not program.user or os.geteuid() != 0:
            continue
        jars, remedy = read_by_group[program.group]
        if not others_can_enter(jars / "jars"):
            raise InvalidInput(
                f"{program.name} runs as user {program.user}, which cannot read the jars in {jars}: "
                f"{remedy} that every user can enter"
            )
