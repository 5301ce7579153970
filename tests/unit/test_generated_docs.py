"""Pages that are written from the code."""

import subprocess
import sys

from kogpt2_chat.settings import CHECKOUT


def test_generated_pages_say_what_the_code_says() -> None:
    """docs/settings.md and docs/cli.md are written anew with each change of a setting or a command."""
    script = CHECKOUT / "scripts" / "generate_docs.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
