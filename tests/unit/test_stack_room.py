"""Too little room on a disk: who waits, who is told, and what is asked for before anything starts."""

import os
import subprocess
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import room
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.preflight import check_machine
from kogpt2_chat.stack.program import Program, start_script
from kogpt2_chat.stack.room import full_disks, room_at
from kogpt2_chat.stack.roster import all_programs

MORE_MB = 1 << 30
"""More than any disk has."""


def begun(folder: Path, keep_free_mb: int, tmp_path: Path, df: str = "") -> str:
    """What a program's start script says until it runs, with a `df` of the test's own where one is given."""
    program = Program(name="x", group="x", command=("echo", "it runs"), fills=folder)
    script = tmp_path / "start.sh"
    script.write_text(start_script(program, {}, keep_free_mb), encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    if df:
        (tools / "df").write_text(f"#!/bin/sh\n{df}\n", encoding="utf-8")
        (tools / "df").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", script],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def lines_of_df(*free_kb: object) -> str:
    """A `df` that finds another number each time; the last one stays."""
    rows = "".join(f"{place}) free={free};;\n" for place, free in enumerate(free_kb[:-1]))
    return (
        'n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$0.n"\n'
        f"case $n in\n{rows}*) free={free_kb[-1]};;\nesac\n"
        'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"\n'
        'echo "map auto home 512000 8928 $free      98% /srv/my 5 disks"'
    )


@pytest.mark.parametrize("name", ["data", "별마루 내 집 100% 'a'"])
def test_a_server_starts_at_once_where_there_is_room(tmp_path: Path, name: str) -> None:
    """The real `df` of this machine is read, whatever the folder is called."""
    folder = tmp_path / name
    folder.mkdir()
    assert begun(folder, 1, tmp_path) == "it runs\n"


def test_a_server_waits_for_room_and_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither starts nor ends before its disk has what is kept free."""
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 0)
    said = begun(tmp_path, 64, tmp_path, lines_of_df(0, 2, 65535, 65536))
    assert said == f"waiting for room: 64 MB are needed at {tmp_path}; KB free: 0\nit runs\n"
    assert (tmp_path / "tools" / "df.n").read_text() == "4\n"


@pytest.mark.parametrize("df", [lines_of_df("-"), "exit 1"], ids=["no number", "no answer"])
def test_a_disk_that_tells_nothing_keeps_nobody_waiting(tmp_path: Path, df: str) -> None:
    """Some file systems have no numbers; their servers start as ever."""
    assert begun(tmp_path, 64, tmp_path, df) == "it runs\n"


def test_each_server_that_dies_of_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    """Workers and MLflow live on without; a worker that died must answer again even then."""
    settings = Settings(home=tmp_path / "home")
    programs = all_programs(settings, folders_of(settings), Java(home=Path("/"), version=17))
    assert {program.name for program in programs if program.fills is None} == {"mlflow", "worker-1"}
    for program in programs:
        script = start_script(program, {}, settings.stack.keep_free_mb)
        assert ("waiting for room" in script) == (program.fills is not None)


def test_a_full_disk_is_said_once_a_disk(tmp_path: Path) -> None:
    """Where, how much is free and what to do; folders that are not there yet count as the one above."""
    (said,) = full_disks([tmp_path, tmp_path / "not" / "there"], MORE_MB)
    assert said.startswith(f"the disk is full: {MORE_MB} MB are needed at {tmp_path}, {room_at(tmp_path).free_mb} MB")
    assert "make room" in said
    assert full_disks([tmp_path], 1) == []


def test_nothing_starts_with_less_room_than_is_kept_free(tmp_path: Path) -> None:
    """Servers would only wait: `up` says so at once, also where its own bound was lowered."""
    plain = Settings(home=tmp_path / "home")
    stack = plain.stack.model_copy(update={"min_disk_mb": 0, "min_memory_mb": 0, "keep_free_mb": MORE_MB})
    settings = plain.model_copy(update={"stack": stack})
    with pytest.raises(Unavailable, match=rf"disk: {MORE_MB} MB are needed at {tmp_path}.*make room"):
        check_machine(settings, folders_of(settings), [])
