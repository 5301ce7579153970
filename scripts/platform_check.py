"""Check the platform before anything is installed, and print one line for each untested property.

The set-up runs this script. It needs only the standard library of any Python 3. It prints notes, and exits with 1 only
if the project cannot run on this machine.
"""

import platform
import sys
from pathlib import Path
from typing import NamedTuple

X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")
ARM_LIBC = (2, 35)
"""OpenVINO 2026.4.1's wheel for aarch64 needs manylinux_2_35."""
_ARM = (
    "aarch64: not tested. Known: every package of the lock resolves for it (docopt, hdfs and pyspark are built from "
    "source, without a compiler); the servers are Java and need a JRE 17 or 21 for aarch64. All figures in "
    "docs/measurements.md were measured on x86-64."
)
_NO_AVX2 = (
    "this processor has no AVX2, or the virtual machine hides it: not tested. Known: OpenVINO supports AVX2, or SSE4.2 "
    "on Atom, and int8 is slower without it; published torch wheels have crashed with `Illegal instruction` on "
    "processors without AVX (pytorch issues 37577, 43300). In a virtual machine, pass the host's processor through "
    "(QEMU: -cpu host)."
)


class Machine(NamedTuple):
    """The properties that are checked.

    Attributes:
        system: output of ``uname -s``.
        machine: output of ``uname -m``.
        release: output of ``uname -r``, which identifies WSL.
        cpu: content of /proc/cpuinfo; empty if it does not exist.
        folder: folder of the checkout.
        libc: version of glibc; empty for another C library.
    """

    system: str
    machine: str
    release: str
    cpu: str
    folder: str
    libc: tuple[int, ...] = ()


class Finding(NamedTuple):
    """One difference from the tested platform.

    Attributes:
        refuses: whether the project cannot run on this machine.
        text: the difference, what is known about it, and what to do.
    """

    refuses: bool
    text: str


def this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """Read the properties of this machine."""
    found = platform.uname()
    try:
        cpu = cpuinfo.read_text(errors="replace")
    except OSError:
        cpu = ""
    name, version = platform.libc_ver()
    libc = tuple(map(int, version.split("."))) if name == "glibc" else ()
    return Machine(found.system, found.machine, found.release, cpu, str(Path.cwd()), libc)


def findings(machine: Machine) -> list[Finding]:
    """Return the differences from Linux on x86-64 with AVX2, where all tests run."""
    if machine.system == "Darwin":
        return [_macos(machine)]
    if machine.system != "Linux":
        text = f"{machine.system} is not supported, only Linux is. On Windows use WSL 2."
        return [Finding(refuses=True, text=text)]
    return [*_processor(machine), *_wsl(machine)]


def _macos(machine: Machine) -> Finding:
    return Finding(
        refuses=True,
        text=f"macOS ({machine.machine}) cannot install this environment: the lock pins torch's CUDA packages, which "
        "have no wheels for macOS. Also, servers that refuse root are started with setpriv, which macOS lacks, and "
        "nothing was tested there. Use a Linux virtual machine with 2 cores and 8 GB of memory, or the images in "
        "docker/.",
    )


def _processor(machine: Machine) -> list[Finding]:
    name = machine.machine.lower()
    if name in ARM:
        return [_arm(machine)]
    if name not in X86:
        text = (
            f"{machine.machine} is not supported: the workers need OpenVINO, which has wheels for x86-64 and aarch64."
        )
        return [Finding(refuses=True, text=text)]
    if "avx2" not in _flags(machine.cpu):
        return [Finding(refuses=False, text=_NO_AVX2)]
    return []


def _arm(machine: Machine) -> Finding:
    if machine.libc and machine.libc < ARM_LIBC:
        found = ".".join(map(str, machine.libc))
        text = f"aarch64 needs glibc 2.35 (Ubuntu 22.04, Debian 12) or newer for OpenVINO's wheel, found {found}."
        return Finding(refuses=True, text=text)
    return Finding(refuses=False, text=_ARM)


def _wsl(machine: Machine) -> list[Finding]:
    if "microsoft" not in machine.release.lower():
        return []
    text = (
        "WSL: not tested. Known: WSL 2 works like Linux. It gets half of the memory, unless .wslconfig sets more "
        "(memory=8GB). Windows reaches the web pages at localhost."
    )
    if machine.release.lower().endswith("-microsoft"):
        text += " This is WSL 1, which has no Linux kernel: convert it with `wsl --set-version DISTRIBUTION 2`."
    if machine.folder.startswith("/mnt/"):
        text += (
            f" The checkout is on a Windows drive ({machine.folder}), where file locks and small files are slow or "
            "fail: clone it into your Linux home folder."
        )
    return [Finding(refuses=False, text=text)]


def _flags(cpu: str) -> set[str]:
    for line in cpu.splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return {"avx2"} if not cpu else set()  # without the file, assume AVX2


def main() -> int:
    """Print the findings to stderr, and return the exit code."""
    found = findings(this_machine())
    for finding in found:
        print(f"setup: {'NOT POSSIBLE' if finding.refuses else 'note'}: {finding.text}", file=sys.stderr)  # noqa: T201
    return int(any(finding.refuses for finding in found))


if __name__ == "__main__":
    sys.exit(main())
