"""Pages that are generated from the code."""

import shutil
import subprocess
import sys
from pathlib import Path

from kogpt2_chat.settings import CHECKOUT


def test_generated_pages_match_the_code() -> None:
    """After a change of a setting or a command, run ``scripts/generate_docs.py``."""
    script = CHECKOUT / "scripts" / "generate_docs.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_pages_are_not_generated_from_another_checkouts_code(tmp_path: Path) -> None:
    """A second worktree with the first one's virtual environment would otherwise write the first one's pages."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs").mkdir()
    script = shutil.copy(CHECKOUT / "scripts" / "generate_docs.py", tmp_path / "scripts")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"this environment imports the code of {CHECKOUT}" in done.stderr
