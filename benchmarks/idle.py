"""CPU time that an idle stack uses: CPU seconds of each server, from the operating system's counters.

Run it on an unused stack that has been up for some minutes: ``python -m benchmarks.idle --minutes 10``. CPU seconds are
also correct on a busy machine, unlike momentary CPU percentages.
"""

import time
from collections.abc import Mapping
from typing import Annotated

import psutil
import typer

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.stack.folders import Folders, folders_of
from kogpt2_chat.stack.processes import cpu_seconds
from kogpt2_chat.stack.supervision import Supervisor

SUPERVISOR = "supervisord"


def main(minutes: Annotated[float, typer.Option(help="duration of the measurement")] = 10.0) -> None:
    """Measure and print a table, the largest value first."""
    settings = load_settings()
    before, started = cpu_by_server(settings), time.monotonic()
    time.sleep(minutes * 60)
    after, seconds = cpu_by_server(settings), time.monotonic() - started
    print(table(before, after, seconds))


def cpu_by_server(settings: Settings) -> dict[str, tuple[int, float]]:
    """Return the process id and the CPU seconds so far, by server; the supervisor without its child processes.

    Args:
        settings: of the stack.

    Returns:
        The running servers.

    Raises:
        Unavailable: no stack runs in this home.
    """
    folders = folders_of(settings)
    supervisor = Supervisor(folders).find()
    if supervisor is None:
        raise Unavailable(f"no stack runs in {folders.home}: start it with `make up`")
    found = {name: (state.pid, cpu_seconds(state.pid)) for name, state in supervisor.states().items() if state.pid}
    return {**found, SUPERVISOR: _supervisor(folders)}


def table(before: Mapping[str, tuple[int, float]], after: Mapping[str, tuple[int, float]], seconds: float) -> str:
    """Return a table of CPU seconds and percent of one core; servers that were restarted are listed below it."""
    used = {name: after[name][1] - before[name][1] for name in after if before.get(name, (0,))[0] == after[name][0]}
    restarted = sorted(after.keys() - used.keys())
    rows = [f"| {name} | {cpu:.1f} | {100 * cpu / seconds:.1f} |" for name, cpu in _largest_first(used)]
    total = sum(used.values())
    return "\n".join(
        [
            f"Idle for {seconds:.0f} s:",
            "",
            "| server | CPU s | % of a core |",
            "|---|---|---|",
            *rows,
            f"| all | {total:.1f} | {100 * total / seconds:.1f} |",
            *(f"restarted, not counted: {name}" for name in restarted),
        ]
    )


def _largest_first(used: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(used.items(), key=lambda row: -row[1])


def _supervisor(folders: Folders) -> tuple[int, float]:
    pid = int((folders.run / "supervisord.pid").read_text())
    times = psutil.Process(pid).cpu_times()
    return pid, times.user + times.system


if __name__ == "__main__":
    typer.run(main)
