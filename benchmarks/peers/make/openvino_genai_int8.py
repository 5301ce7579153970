"""OpenVINO's graph with int8 weights, by optimum-intel's own export, as its documentation tells users to make it."""

import subprocess
import sys
from pathlib import Path


def main(version: Path, into: Path) -> None:
    """Export a version's weights."""
    program = Path(sys.executable).with_name("optimum-cli")
    subprocess.run(
        [program, "export", "openvino", "--model", version, "--task", "text-generation-with-past",
         "--weight-format", "int8", into],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
