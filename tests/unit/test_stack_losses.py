"""A server's data folder that is gone."""

import errno
import shutil
from pathlib import Path

import pytest

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import losses, stack
from kogpt2_chat.stack.folders import folders_of, make_folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.losses import lost, remember
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.roster import all_programs


def test_what_was_lost_is_named_once_there_was_something(tmp_path: Path) -> None:
    """A first start has lost nothing; after it each missing folder is named with what it means."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    folders = folders_of(settings)
    make_folders(folders)
    programs = all_programs(settings, folders, Java(home=Path("/jvm"), version=17))
    keeping = [program for program in programs if program.keeps]
    assert {one.name for one in keeping} == {
        *("kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch", "mlflow", "airflow-setup")
    }
    assert lost(folders, programs) == []
    for program in keeping:
        assert program.keeps
        program.keeps.parent.mkdir(parents=True, exist_ok=True)
        program.keeps.touch()
    remember(folders, programs, lambda _: None)
    assert lost(folders, programs) == []
    shutil.rmtree(folders.data("namenode"))
    (sentence,) = lost(folders, programs)
    assert sentence.startswith(f"namenode: its data are gone, expected {folders.data('namenode')}/current/VERSION; ")
    assert "restore that folder from a copy before anything is ingested" in sentence


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), OSError(errno.EROFS, "read-only")])
def test_a_note_that_cannot_be_written_costs_a_note_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """All is healthy: a full disk must not stop it again."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack={"min_memory_mb": 1, "min_disk_mb": 1})
    kept = tmp_path / "kept"
    kept.touch()

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(losses, "write_file", full)
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
def test_a_damaged_note_is_no_note(tmp_path: Path, text: str) -> None:
    """It must not keep a stack from starting."""
    folders = folders_of(Settings(home=tmp_path / "home"))
    make_folders(folders)
    (folders.run / "had_data.json").write_text(text)
    assert lost(folders, [Program(name="kafka", group="kafka", command=(), keeps=tmp_path / "gone")]) == []
