"""An environment for each peer, outside the product's: created once below the cache folder, then reused."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kogpt2_chat.settings import CHECKOUT

REQUIREMENTS: Final = Path(__file__).with_name("requirements")
_MOST_S: Final = 1200
_STAMP: Final = "installed"
_ERROR_CHARS: Final = 400
_INHERITED: Final = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
)


class PeerMissing(Exception):
    """A peer cannot be installed or its model cannot be made: leave it out and say why."""


def python_of(peer: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Return the Python of a peer's environment, which is created if its requirements have changed.

    Args:
        peer: name of its file in ``requirements/``.
        cache: folder for the environments.
        say: called before an installation.

    Raises:
        PeerMissing: the installation failed.
    """
    wanted = (REQUIREMENTS / f"{peer}.txt").read_text("utf-8")
    key = hashlib.sha256(f"{sys.version_info[:2]} {wanted}".encode()).hexdigest()[:8]
    environment = cache / "environments" / f"{peer}-{key}"
    python = environment / "bin" / "python"
    if not (environment / _STAMP).exists():
        say(f"installing {peer} in {environment} (torch, where it is needed, takes minutes without a package cache)")
        shutil.rmtree(environment, ignore_errors=True)
        run_or_explain([sys.executable, "-m", "venv", "--without-pip", str(environment)], peer, _MOST_S)
        run_or_explain([str(_uv()), "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python),
                        "--requirements", str(REQUIREMENTS / f"{peer}.txt")], peer, _MOST_S)  # fmt: skip
        (environment / _STAMP).write_text(wanted, "utf-8")
    return python


def run_or_explain(command: list[str], what: str, most_s: float) -> None:
    """Run a command of a peer.

    Raises:
        PeerMissing: it failed or took too long; the message has the end of its output.
    """
    try:
        done = subprocess.run(command, cwd=CHECKOUT, env=clean_environment(), capture_output=True, text=True,
                              timeout=most_s, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"{what}: not done after {most_s:.0f} s: {' '.join(command[:4])} …") from None
    except OSError as error:
        raise PeerMissing(f"{what}: {error}") from error
    if done.returncode:
        raise PeerMissing(f"{what}: exit code {done.returncode}: {short_end(done.stdout + done.stderr)}")


def short_end(output: str) -> str:
    """Return the end of a program's output on one line."""
    return " ".join(output.split())[-_ERROR_CHARS:]


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment for a peer's process: without paths of other environments, and offline for model hubs."""
    kept = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    quiet = {
        "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    return {**kept, **quiet, **more}


def _uv() -> Path:
    """Return the installer of the project's set-up: the copy that it keeps, or the one in the environment."""
    folder = Path(sys.prefix)
    kept = folder / "uv-for-setup"
    return kept if kept.exists() else folder / "bin" / "uv"
