"""A full disk: which servers wait, what is reported, and what is checked before a start."""

import os
import subprocess
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.disk_space import free_space_at, full_disks
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.preflight import check_machine
from kogpt2_chat.stack.program import Program, start_script
from kogpt2_chat.stack.programs import all_programs

MORE_MB = 1 << 30
"""More than any disk has."""


def run_start_script(folder: Path, keep_free_mb: int, tmp_path: Path, df: str = "") -> str:
    """Run a program's start script, with a `sleep` that does not wait and a fake `df` if given, and return its output."""
    program = Program(name="x", group="x", command=("echo", "started"), fills=folder)
    script = tmp_path / "start.sh"
    script.write_text(start_script(program, {}, keep_free_mb), encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in {"sleep": "exit 0", "df": df}.items():
        if body:
            (tools / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", script],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def fake_df(*free_kb: object) -> str:
    """Return a `df` script that prints the next number on each call, and then repeats the last one."""
    rows = "".join(f"{call}) free={free};;\n" for call, free in enumerate(free_kb[:-1]))
    return (
        'n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$0.n"\n'
        f"case $n in\n{rows}*) free={free_kb[-1]};;\nesac\n"
        'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"\n'
        'echo "map auto home 512000 8928 $free      98% /srv/my 5 disks"'
    )


@pytest.mark.parametrize("name", ["data", "별마루 내 집 100% 'a'"])
def test_a_server_starts_at_once_with_enough_disk_space(tmp_path: Path, name: str) -> None:
    """The output of the real `df` is parsed, whatever the name of the folder."""
    folder = tmp_path / name
    folder.mkdir()
    assert run_start_script(folder, 1, tmp_path) == "started\n"


def test_a_server_waits_for_disk_space_and_logs_it_once(tmp_path: Path) -> None:
    """The start script waits until ``keep_free_mb`` are free."""
    output = run_start_script(tmp_path, 64, tmp_path, fake_df(0, 2, 65535, 65536))
    assert output == f"waiting for disk space: 64 MB are needed at {tmp_path}; KB free: 0\nstarted\n"
    assert (tmp_path / "tools" / "df.n").read_text() == "4\n"


@pytest.mark.parametrize("df", [fake_df("-"), "exit 1"], ids=["no number", "no answer"])
def test_a_server_does_not_wait_if_df_does_not_report_a_number(tmp_path: Path, df: str) -> None:
    """Some file systems do not report their free space."""
    assert run_start_script(tmp_path, 64, tmp_path, df) == "started\n"


def test_each_server_that_a_full_disk_ends_waits_for_disk_space(tmp_path: Path) -> None:
    """Workers, gateways, the indexer and MLflow can run with a full disk, so they do not wait."""
    settings = Settings(home=tmp_path / "home")
    programs = all_programs(settings, folders_of(settings), Java(home=Path("/"), version=17))
    assert {program.name for program in programs if program.fills is None} == {
        "mlflow", "worker-1", "gateway-1", "indexer",
    }  # fmt: skip
    for program in programs:
        script = start_script(program, {}, settings.stack.keep_free_mb)
        assert ("waiting for disk space" in script) == (program.fills is not None)


def test_a_full_disk_is_reported_once_per_disk(tmp_path: Path) -> None:
    """The message has the folder and its free space. For a missing folder, its nearest existing parent is checked."""
    (message,) = full_disks([tmp_path, tmp_path / "not" / "there"], MORE_MB)
    assert message.startswith(
        f"the disk is full: {MORE_MB} MB are needed at {tmp_path}, {free_space_at(tmp_path).free_mb} MB"
    )
    assert "Free disk space" in message
    assert full_disks([tmp_path], 1) == []


def test_nothing_starts_with_less_disk_space_than_is_kept_free(tmp_path: Path) -> None:
    """Servers would only wait, so `up` fails at once, even if ``min_disk_mb`` is lower."""
    plain = Settings(home=tmp_path / "home")
    stack = plain.stack.model_copy(update={"min_disk_mb": 0, "min_memory_mb": 0, "keep_free_mb": MORE_MB})
    settings = plain.model_copy(update={"stack": stack})
    with pytest.raises(Unavailable, match=rf"disk: {MORE_MB} MB are needed at {tmp_path}.*free disk space"):
        check_machine(settings, folders_of(settings), [])
