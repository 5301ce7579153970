"""Compile the C sources here, once for each instruction set: ``python -m kogpt2_chat.inference.native.build``.

Uses the standard library only. A library's name has a hash of what it is made of, so an outdated one is not loaded.
"""

import argparse
import hashlib
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
FOLDER: Final = Path(sys.prefix) / "lib" / "kogpt2-chat-native"
"""The libraries are in the environment, which belongs to one checkout and one owner: they are code."""
_FLAGS: Final = ("-std=c11", "-D_GNU_SOURCE", "-O3", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wno-psabi")
_LIBRARIES: Final = ("-lpthread", "-lm")
_AVX2: Final = ("-mavx2", "-mfma")
_AVX512: Final = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")
_FLAGS_BY_LEVEL: Final = {
    "generic": (),
    "avx2": _AVX2,
    "avx2_vnni": (*_AVX2, "-mavxvnni"),
    "avx512": _AVX512,
    "avx512_vnni": (*_AVX512, "-mavx512vnni"),
}
_X86: Final = ("x86_64", "amd64")
_SIMPLEST: Final = "generic"


def levels() -> list[str]:
    """Return the instruction sets that libraries are made for on this kind of processor, the simplest first."""
    return list(_FLAGS_BY_LEVEL) if platform.machine().lower() in _X86 else ["generic"]


def library_path(level: str, folder: Path = FOLDER) -> Path:
    """Return where the library of an instruction set is, whether it was built or not."""
    digest = hashlib.sha256(repr((_FLAGS, _FLAGS_BY_LEVEL[level], _LIBRARIES)).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return folder / f"gpt2-{level}-{digest.hexdigest()[:16]}.so"


def is_built() -> bool:
    """Whether the libraries that the compiler could make are there."""
    return library_path(_SIMPLEST).is_file()  # made last


def build(compiler: list[str], folder: Path = FOLDER) -> None:
    """Compile the libraries and remove those of other sources.

    An instruction set that the compiler does not know is left out, which is said: a processor that has it then uses a
    simpler one.

    Args:
        compiler: the command of a C compiler that knows the flags of GCC.
        folder: where they are written.

    Raises:
        RuntimeError: the compiler cannot even make the simplest library; the message has the end of what it says.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def compile_if_known(level: str) -> None:
        try:
            _compile(compiler, level, folder)
        except RuntimeError as error:
            sys.stderr.write(f"native engine: left out: {error}\n")

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        list(executor.map(compile_if_known, levels()[1:]))
    _compile(compiler, _SIMPLEST, folder)
    kept = [library_path(level, folder) for level in levels()]
    for path in folder.glob("*.so"):
        if path not in kept:
            path.unlink()


def _compile(compiler: list[str], level: str, folder: Path) -> Path:
    path = library_path(level, folder)
    if path.is_file():
        return path
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        made = Path(temporary) / path.name
        sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
        command = [*compiler, *_FLAGS, *_FLAGS_BY_LEVEL[level], "-o", str(made), *sources, *_LIBRARIES]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise RuntimeError(f"{shlex.join(compiler)} cannot be run: {error}") from error
        if done.returncode:
            raise RuntimeError(f"{shlex.join(compiler)} fails for {level}: {done.stderr.strip()[-2000:]}")
        made.replace(path)
    return path


def main() -> int:
    """Compile what is missing; with ``--check``, only say by the status whether nothing is."""
    parser = argparse.ArgumentParser(prog="python -m kogpt2_chat.inference.native.build", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="status 0 if every library is there, else 1")
    parser.add_argument("compiler", nargs=argparse.REMAINDER, help="command of a C compiler (default: cc)")
    options = parser.parse_args()
    if options.check:
        return 0 if is_built() else 1
    try:
        build(options.compiler or ["cc"])
    except RuntimeError as error:
        sys.stderr.write(f"native engine: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
