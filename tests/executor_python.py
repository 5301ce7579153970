"""A Python for Spark's executors that another user can run, with the libraries but without this project."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

USER = "nobody"
_LEFT_OUT = ("site-packages", "test", "idlelib", "tkinter", "__pycache__", "config-*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorPython:
    """An interpreter, and the user that runs it; empty for the current one."""

    program: Path
    user: str

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code as the user, in a folder without the checkout."""
        return subprocess.run(
            [self.program, "-c", code],
            user=self.user or None,
            group="nogroup" if self.user else None,
            extra_groups=[] if self.user else None,
            cwd="/",
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def make_executor_python(folder: Path) -> ExecutorPython:
    """Copy this interpreter with its standard library, and let it find the libraries of this environment.

    The path file of the copy adds the folder with the libraries, but does not read the path files in it: the one that
    leads to the checkout has no effect.
    """
    base, library = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), folder / "bin" / library)
    shutil.copytree(base / "lib" / library, folder / "lib" / library, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for shared in (base / "lib").glob("libpython*"):
        shutil.copy2(shared, folder / "lib")
    site = folder / "lib" / library / "site-packages"
    site.mkdir()
    (site / "libraries.pth").write_text(f"{Path(sys.prefix) / 'lib' / library / 'site-packages'}\n", "utf-8")
    # The interpreter names the folder of its own library, which another user may not be able to read.
    program = folder / "bin" / "python"
    program.write_text(
        f'#!/bin/sh\nexport LD_LIBRARY_PATH="{folder}/lib"\nexec "{folder}/bin/{library}" "$@"\n', "utf-8"
    )
    program.chmod(0o755)
    other = ExecutorPython(program=program, user=USER)
    if os.geteuid() == 0 and other.run("import torch, pyspark").returncode == 0:
        return other
    return ExecutorPython(program=program, user="")
