"""The parts of ``up``, ``down`` and ``status`` that tests replace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.jars import ensure_jars
from kogpt2_chat.stack.java import Java, ensure_java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.stack.supervision import Supervisor
from kogpt2_chat.stack.waiting import WaitDependencies

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackParts:
    """Java, jars, programs, supervisor and health checks of a stack.

    Attributes:
        java: finds the runtime of the servers.
        jars: makes sure that the servers' jars are in the cache, and returns their folder.
        programs: lists the programs of a stack.
        supervisor: returns the supervisor of a stack.
        wait: clock and health checks.
    """

    java: Callable[[Progress], Java] = ensure_java
    jars: Callable[[Settings, Path, Progress], Path] = ensure_jars
    programs: Callable[[Settings, Folders, Java], list[Program]] = all_programs
    supervisor: Callable[[Folders], Supervisor] = Supervisor
    wait: WaitDependencies = field(default_factory=WaitDependencies)

    def known_programs(self, settings: Settings, folders: Folders) -> list[Program]:
        """Return all programs without looking for Java: commands that start nothing work without it."""
        return self.programs(settings, folders, Java(home=Path("/"), version=17))
