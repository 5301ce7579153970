"""A command that depends on what servers were started with finds out before it begins."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of, make_folders
from kogpt2_chat.stack.program import Program, program_environment, start_script
from kogpt2_chat.stack.stack import _kept
from kogpt2_chat.stack.started_with import changed_since, differing, require_same
from kogpt2_chat.stack.stopping import stop_orphans
from kogpt2_chat.stack.supervision import configuration, find_supervision, start_supervision

NAME = "airflow-scheduler"
PREFIX = "KOGPT2_LEARNING__"
SLEEP = "import time; print(1, flush=True); time.sleep(600)"


def settings_of(home: Path, **learning: object) -> Settings:
    return Settings(home=home, learning=learning, ports={"offset": 100})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Settings]:
    """A supervisor that runs something in the scheduler's place, started with these settings."""
    settings = settings_of(tmp_path / "홈", auto_review=True)
    folders = folders_of(settings)
    make_folders(folders)
    program = Program(name=NAME, group="airflow", command=(sys.executable, "-c", SLEEP))
    script = folders.conf(NAME) / "start.sh"
    script.parent.mkdir()
    script.write_text(start_script(program, program_environment(program, settings, folders.home)))
    supervision = start_supervision(folders, configuration(folders, [program]))
    supervision.start(NAME)
    while not (folders.log(NAME).exists() and folders.log(NAME).read_text()):
        pass
    yield settings
    stop_orphans(folders, {}, lambda _: None, 5.0)


def test_servers_that_run_with_other_settings_are_named_with_what_differs(running: Settings) -> None:
    """The same settings pass, others of another section too; what is set here or there alone counts."""
    require_same(running, NAME, PREFIX)
    require_same(running.model_copy(update={"ports": Settings().ports}), NAME, PREFIX)
    with pytest.raises(InvalidInput, match=r"KOGPT2_LEARNING__AUTO_REVIEW, KOGPT2_LEARNING__MIN_NEW_EXAMPLES\..*down"):
        require_same(settings_of(running.home, min_new_examples=3), NAME, PREFIX)


def test_a_program_that_does_not_run_is_started_with_what_is_wanted(running: Settings, tmp_path: Path) -> None:
    """Nothing to compare."""
    require_same(settings_of(running.home, min_new_examples=3), "worker-1", PREFIX)
    require_same(settings_of(tmp_path / "other"), NAME, PREFIX)


def test_up_says_which_settings_do_not_reach_what_runs(running: Settings) -> None:
    """A setting that was changed and has no effect would be looked for in vain."""
    folders = folders_of(running)
    supervision = find_supervision(folders)
    assert supervision is not None
    programs = [Program(name=name, group="airflow", command=("true",)) for name in (NAME, "worker-1")]
    assert changed_since(running, folders.home, programs, supervision) == []
    other = running.model_copy(update={"ports": Settings(ports={"offset": 200}).ports})
    assert changed_since(other, folders.home, programs, supervision) == ["KOGPT2_PORTS__OFFSET"]
    told = list(_kept(other, folders, programs, supervision, {NAME}))
    assert told == [
        "what runs already keeps its settings; changed: KOGPT2_PORTS__OFFSET. `make down`, `make up` applies them"
    ]
    assert list(_kept(other, folders, programs, supervision, set())) == []


def test_only_what_the_prefix_names_is_compared() -> None:
    """Each side may lack a variable."""
    found = {"KOGPT2_LEARNING__A": "1", "KOGPT2_LEARNING__B": "2", "KOGPT2_PORTS__OFFSET": "7"}
    assert differing({"KOGPT2_LEARNING__A": "1", "KOGPT2_LEARNING__C": "3"}, found, PREFIX) == [
        "KOGPT2_LEARNING__B",
        "KOGPT2_LEARNING__C",
    ]
