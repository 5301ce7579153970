"""Pages that are written from the code."""

import shutil
import subprocess
import sys
from pathlib import Path

from kogpt2_chat.settings import CHECKOUT


def test_generated_pages_say_what_the_code_says() -> None:
    """docs/settings.md and docs/cli.md are written anew with each change of a setting or a command."""
    script = CHECKOUT / "scripts" / "generate_docs.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_pages_of_one_checkout_are_not_written_from_anothers_code(tmp_path: Path) -> None:
    """A second working tree that borrows the environment would write the first one's pages."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs").mkdir()
    script = shutil.copy(CHECKOUT / "scripts" / "generate_docs.py", tmp_path / "scripts")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"this environment imports the code of {CHECKOUT}" in done.stderr
