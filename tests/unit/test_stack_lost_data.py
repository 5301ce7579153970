"""Reports about missing data folders of servers."""

import shutil
import time
from pathlib import Path

import pytest

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of, make_folders
from kogpt2_chat.stack.health import Health
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.lost_data import lost_data, record_data
from kogpt2_chat.stack.parts import StackParts
from kogpt2_chat.stack.processes import processes_by_name, wait_until
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.waiting import WaitDependencies


def test_missing_data_is_reported_if_it_existed_before(tmp_path: Path) -> None:
    """A first start reports nothing. Later, each missing folder is reported with the consequences."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    folders = folders_of(settings)
    make_folders(folders)
    programs = all_programs(settings, folders, Java(home=Path("/jvm"), version=17))
    keeping = [program for program in programs if program.keeps]
    assert {one.name for one in keeping} == {
        *("kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch", "mlflow", "airflow-setup")
    }
    assert lost_data(folders, programs) == []
    for program in keeping:
        assert program.keeps
        program.keeps.parent.mkdir(parents=True, exist_ok=True)
        program.keeps.touch()
    record_data(folders, programs, lambda _: None)
    assert lost_data(folders, programs) == []
    shutil.rmtree(folders.data("namenode"))
    (sentence,) = lost_data(folders, programs)
    assert sentence.startswith(f"namenode: its data is gone, expected {folders.data('namenode')}/current/VERSION; ")
    assert "restore this folder from a copy before anything is ingested" in sentence


def test_a_record_that_cannot_be_written_is_only_reported(tmp_path: Path) -> None:
    """For example, the disk is full. This must not stop a healthy stack."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack={"min_memory_mb": 1, "min_disk_mb": 1})
    folders = folders_of(settings)
    make_folders(folders)
    program = Program(name="a", group="a", command=("sleep", "600"), keeps=tmp_path)
    (folders.run / ".had_data.json.new").mkdir()
    parts = StackParts(
        java=lambda _: Java(home=Path("/jvm"), version=17),
        jars=lambda *_: tmp_path,
        programs=lambda *_: [program],
        wait=WaitDependencies(check=lambda *_: Health(healthy=True, detail="")),
    )
    lines: list[str] = []
    try:
        up(settings, progress=lines.append, parts=parts)
        started = wait_until(lambda: "a" in processes_by_name(folders.home), time.monotonic() + 30)
        assert started, processes_by_name(folders.home)
    finally:
        down(settings, progress=lambda _: None, parts=parts)
    assert any("had_data.json cannot be written" in line for line in lines)


@pytest.mark.parametrize("text", ["", "{", "3"])
def test_a_damaged_record_is_ignored(tmp_path: Path, text: str) -> None:
    """It must not prevent a start."""
    folders = folders_of(Settings(home=tmp_path / "home"))
    make_folders(folders)
    (folders.run / "had_data.json").write_text(text)
    assert lost_data(folders, [Program(name="kafka", group="kafka", command=(), keeps=tmp_path / "gone")]) == []
