"""What an operator does with a running stack: commands, and another version of a bot."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kogpt2_chat import bootstrap
from kogpt2_chat.artifact.card import VERSION_PATH
from kogpt2_chat.settings import Settings


def cli(*argv: str) -> Any:
    """Run a command that must succeed, and return its JSON result."""
    done = run_cli(*argv, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_cli(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and return its output and exit code."""
    command = [str(Path(sys.executable).with_name("kogpt2-chat")), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def register_again(settings: Settings, bot: str, version: int, folder: Path) -> int:
    """Register another version with the same files and the same gate tags."""
    registry = bootstrap.registry(settings)
    files = registry.download(bot, version, folder / "version")
    run_id = registry.start_run(f"{bot} again", {}, {"bot": bot})
    registry.log_files(run_id, files, VERSION_PATH)
    registry.end_run(run_id)
    return registry.add_version(bot, run_id, VERSION_PATH, registry.get(bot, version).tags)
