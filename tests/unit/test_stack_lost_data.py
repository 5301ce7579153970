"""A server's data folder is missing."""

import errno
import shutil
from pathlib import Path

import pytest

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import lost_data as module
from kogpt2_chat.stack import stack
from kogpt2_chat.stack.folders import folders_of, make_folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.lost_data import lost_data, record_data
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.programs import all_programs


def test_missing_data_is_reported_if_there_has_been_some(tmp_path: Path) -> None:
    """A first start reports nothing; later, each missing folder is reported with its consequences."""
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
    assert sentence.startswith(f"namenode: its data are gone, expected {folders.data('namenode')}/current/VERSION; ")
    assert "restore this folder from a copy before anything is ingested" in sentence


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), OSError(errno.EROFS, "read-only")])
def test_a_record_that_cannot_be_written_is_only_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """The stack is healthy, so a full disk must not stop it."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack={"min_memory_mb": 1, "min_disk_mb": 1})
    kept = tmp_path / "kept"
    kept.touch()

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "write_file", full)
    undone: list[object] = []
    monkeypatch.setattr(stack, "undo", lambda *_, **__: undone.append(1))
    monkeypatch.setattr(stack, "all_programs", lambda *_: [Program(name="a", group="a", command=(), keeps=kept)])
    monkeypatch.setattr(stack, "ensure_java", lambda _: Java(home=Path("/jvm"), version=17))
    monkeypatch.setattr(stack, "ensure_jars", lambda *_: tmp_path)
    monkeypatch.setattr(stack, "_supervise", lambda *_: object())
    monkeypatch.setattr(stack, "wait_until_healthy", lambda *_: None)
    said: list[str] = []
    stack.up(settings, progress=said.append)
    assert undone == []
    assert any("had_data.json cannot be written" in line for line in said)


@pytest.mark.parametrize("text", ["", "{", "3"])
def test_a_damaged_record_is_ignored(tmp_path: Path, text: str) -> None:
    """It must not prevent a start."""
    folders = folders_of(Settings(home=tmp_path / "home"))
    make_folders(folders)
    (folders.run / "had_data.json").write_text(text)
    assert lost_data(folders, [Program(name="kafka", group="kafka", command=(), keeps=tmp_path / "gone")]) == []
