"""The shell scripts in unusual shells and folders, with stubs for the programs that they start."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.stack.processes import wait_until
from tests.running import is_running

TOOLS = ("python", "ruff", "lint-imports", "pydoclint", "mypy")
END_S = 30.0
HOSTILE = {"CDPATH": "", "SHELLOPTS": "noclobber:nounset", "GREP_OPTIONS": "--color=always", "PYTHONHOME": "/nowhere"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a checkout in a folder with an unusual name. Each tool prints its name, arguments and environment."""
    folder = tmp_path / "내 집 #1 100% it's" / "kogpt2"
    shutil.copytree(CHECKOUT / "scripts", folder / "scripts")
    shutil.copytree(CHECKOUT / ".ci", folder / ".ci")
    for name in TOOLS:
        tool(
            folder,
            name,
            f'echo "{name} $* in $PWD, home ${{PYTHONHOME:-none}}, kafka ${{KOGPT2_KAFKA__BOOTSTRAP:-none}}"',
        )
    (tmp_path / "scripts").mkdir()  # CDPATH points to it
    return folder


def tool(checkout: Path, name: str, body: str) -> None:
    path = checkout / ".venv" / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(checkout: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment: Mapping[str, str] = {**os.environ, **HOSTILE, "CDPATH": str(checkout.parents[1]), **more}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", [["scripts/test.sh"], ["bash", "scripts/faults.sh"]])
def test_a_script_works_in_any_folder_and_shell(checkout: Path, command: list[str]) -> None:
    """It runs the tools of its checkout in the checkout, without the settings of the caller."""
    done = run(checkout, *command, "-k", "a b", KOGPT2_KAFKA__BOOTSTRAP="kafka.example:9092")
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("python -m pytest")
    assert last.endswith(f"-k a b in {checkout}, home none, kafka none")


def test_all_tests_run_in_two_parts(checkout: Path) -> None:
    """Together they cover every folder, because the part with servers ignores only folders of the other one."""
    done = run(checkout, "scripts/test.sh")
    assert done.returncode == 0, done.stderr
    parts = {line.split(" in ")[0] for line in done.stdout.splitlines() if line.startswith("python -m pytest")}
    ignored = [f"--ignore=tests/{folder}" for folder in ("unit", "world", "model", "dags")]
    assert parts == {
        "python -m pytest -m parallel -n auto tests/unit tests/world tests/model tests/dags tests/spark",
        f"python -m pytest -m not parallel and not faults {' '.join(ignored)}",
    }


def test_the_two_parts_run_at_the_same_time(checkout: Path) -> None:
    """Each waits for the other one. The output of the part without servers comes in one piece, at its end."""
    meet = "touch {own}; while ! [ -e {other} ]; do sleep 0.05; done; echo {own}"
    parallel, servers = meet.format(own="parallel", other="servers"), meet.format(own="servers", other="parallel")
    tool(checkout, "python", f'case "$*" in *"-m parallel"*) {parallel};; *pytest*) {servers};; esac')
    done = run(checkout, "timeout", "60", "scripts/test.sh")
    assert done.returncode == 0, done.stderr
    assert {"parallel", "servers"} <= set(done.stdout.splitlines())


@pytest.mark.parametrize(("without", "with_servers", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (5, 0, 5), (1, 3, 1)])
def test_a_failure_in_either_part_fails_the_tests(checkout: Path, without: int, with_servers: int, code: int) -> None:
    """Both parts run to their end."""
    body = f'case "$*" in *"-m parallel"*) echo part; exit {without};; *pytest*) echo part; exit {with_servers};; esac'
    tool(checkout, "python", body)
    done = run(checkout, "scripts/test.sh")
    assert done.stdout.splitlines().count("part") == 2
    assert done.returncode == code


def test_an_interruption_ends_both_parts(checkout: Path) -> None:
    """After Ctrl-C, pytest exits with 2; no process of the other part may keep running."""
    body = 'case "$*" in *"-m parallel"*) echo $$ > pid; exec sleep 600;; *pytest*) sleep 1; exit 2;; esac'
    tool(checkout, "python", body)
    done = run(checkout, "timeout", "60", "scripts/test.sh")
    assert done.returncode == 2, done.stderr
    pid = int((checkout / "pid").read_text())
    assert wait_until(lambda: not is_running(pid), time.monotonic() + END_S), "the other part is still running"


def test_scripts_can_be_started_from_any_folder(checkout: Path) -> None:
    """For example, by an absolute path, or by name in their own folder."""
    assert run(checkout, "bash", "-c", 'cd / && "$0/scripts/faults.sh"', str(checkout)).returncode == 0
    assert run(checkout, "bash", "-c", "cd ./scripts && bash faults.sh").returncode == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("exit 0", 0),
        ("echo '  12: DOC103: Method `x`: names differ'; exit 1", 0),
        ("echo '  12: DOC502: Method `x`: raises nothing'; exit 1", 1),
        ("echo 'Traceback: ModuleNotFoundError' >&2; exit 1", 1),
        ("exit 127", 1),
    ],
)
def test_the_docstring_check_fails_if_pydoclint_does_not_run(checkout: Path, body: str, code: int) -> None:
    """Ignored codes are filtered out, but a crash of pydoclint is an error."""
    tool(checkout, "pydoclint", body)
    assert run(checkout, "scripts/check.sh").returncode == code


@pytest.mark.parametrize(("folder", "kept"), [("", True), ("../elsewhere", False), (None, False)])
def test_an_environment_with_another_path_is_recreated(checkout: Path, folder: str | None, kept: bool) -> None:
    """Its programs contain the path. In a copied checkout they run the code of the other one, in a moved one they fail."""
    tool(checkout, "python", "exit 0")
    if folder is not None:
        activate = checkout / ".venv" / "bin" / "activate"
        activate.write_text(f'VIRTUAL_ENV="{checkout / folder}/.venv"\n')
    functions = "source <(sed -n '/^fits()/p; /^keeps_python()/,/^}/p' scripts/setup.sh); FITS= WHICH=; keeps_python"
    assert (run(checkout, "bash", "-c", functions).returncode == 0) == kept


def test_a_linked_environment_is_not_changed(checkout: Path, tmp_path: Path) -> None:
    """If .venv is a link to another checkout's environment, the set-up fails without changing it."""
    shutil.move(checkout / ".venv", tmp_path / "other")
    (checkout / ".venv").symlink_to(tmp_path / "other")
    for name in ("requirements.lock", "requirements-uv.lock", "pyproject.toml"):
        (checkout / name).touch()
    done = run(checkout, "scripts/setup.sh")
    assert done.returncode == 1
    assert f".venv is a link to {tmp_path / 'other'}" in done.stderr
    assert sorted(path.name for path in (tmp_path / "other" / "bin").iterdir()) == sorted(TOOLS)


@pytest.mark.parametrize(
    "row",
    ["/dev/sda1 100 40 4321 40% /", "//nas/내 공유 100 40 4321 40% /mnt/내 폴더", "overlay 100 40 4321 100% /a 5% b"],
)
def test_free_disk_space_is_read_for_disks_with_any_name(checkout: Path, row: str) -> None:
    """Spaces in a name shift the columns of `df`."""
    functions = f"df() {{ printf '%s\\n' Header '{row}'; }}; source <(grep '^free_disk()' scripts/setup.sh); free_disk"
    assert run(checkout, "bash", "-c", functions).stdout == "4321\n"
