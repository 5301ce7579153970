"""Settings with which running programs were started, compared with those of a command."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of, make_folders
from kogpt2_chat.stack.program import Program, program_environment, start_script
from kogpt2_chat.stack.stack import _changed_settings
from kogpt2_chat.stack.started_with import changed_since, differing, require_same
from kogpt2_chat.stack.stopping import stop_orphans
from kogpt2_chat.stack.supervision import Supervisor, configuration

NAME = "airflow-scheduler"
PREFIX = "KOGPT2_LEARNING__"
SLEEP = "import time; print(1, flush=True); time.sleep(600)"


def settings_of(home: Path, **learning: object) -> Settings:
    return Settings(home=home, learning=learning, ports={"offset": 100})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Settings]:
    """Run a supervisor with a placeholder for the scheduler that was started with these settings."""
    settings = settings_of(tmp_path / "홈", auto_review=True)
    folders = folders_of(settings)
    make_folders(folders)
    program = Program(name=NAME, group="airflow", command=(sys.executable, "-c", SLEEP))
    script = folders.conf(NAME) / "start.sh"
    script.parent.mkdir()
    script.write_text(start_script(program, program_environment(program, settings, folders.home)))
    supervisor = Supervisor(folders)
    supervisor.start(configuration(folders, [program])).start(NAME)
    while not (folders.log(NAME).exists() and folders.log(NAME).read_text()):
        pass
    yield settings
    stop_orphans(supervisor, {}, lambda _: None, 5.0)


def test_servers_with_other_settings_are_reported_with_the_differences(running: Settings) -> None:
    """Differences in other sections are ignored. A setting that is set on only one side is a difference."""
    require_same(running, NAME, PREFIX)
    require_same(running.model_copy(update={"ports": Settings().ports}), NAME, PREFIX)
    with pytest.raises(InvalidInput, match=r"KOGPT2_LEARNING__AUTO_REVIEW, KOGPT2_LEARNING__MIN_NEW_EXAMPLES\..*down"):
        require_same(settings_of(running.home, min_new_examples=3), NAME, PREFIX)


def test_a_program_that_does_not_run_has_no_differences(running: Settings, tmp_path: Path) -> None:
    """It will be started with the settings of the caller."""
    require_same(settings_of(running.home, min_new_examples=3), "worker-1", PREFIX)
    require_same(settings_of(tmp_path / "other"), NAME, PREFIX)


def test_up_reports_settings_that_running_programs_do_not_have(running: Settings) -> None:
    """Otherwise the operator would not know why a changed setting has no effect."""
    folders = folders_of(running)
    client = Supervisor(folders).find()
    assert client is not None
    programs = [Program(name=name, group="airflow", command=("true",)) for name in (NAME, "worker-1")]
    assert changed_since(running, folders.home, programs, client) == []
    other = running.model_copy(update={"ports": Settings(ports={"offset": 200}).ports})
    assert changed_since(other, folders.home, programs, client) == ["KOGPT2_PORTS__OFFSET"]
    (line,) = _changed_settings(other, folders, programs, client, {NAME})
    assert line == (
        "running programs keep the settings that they were started with; changed since: KOGPT2_PORTS__OFFSET. "
        "Run `make down` and `make up` to apply them"
    )
    assert list(_changed_settings(other, folders, programs, client, set())) == []


def test_only_variables_with_the_prefix_are_compared() -> None:
    """A variable may be set on only one side."""
    found = {"KOGPT2_LEARNING__A": "1", "KOGPT2_LEARNING__B": "2", "KOGPT2_PORTS__OFFSET": "7"}
    assert differing({"KOGPT2_LEARNING__A": "1", "KOGPT2_LEARNING__C": "3"}, found, PREFIX) == [
        "KOGPT2_LEARNING__B",
        "KOGPT2_LEARNING__C",
    ]
