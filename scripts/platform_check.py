"""What is known of this machine, before anything is installed: one line for each thing that was not tested here.

Runs on any Python 3 with the standard library alone; the set-up calls it. It warns, and refuses only what
cannot work. Exit code 1 says that it refuses.
"""

import platform
import sys
from pathlib import Path
from typing import NamedTuple

X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")
ARM_LIBC = (2, 35)
"""OpenVINO 2026.4.1's wheel for aarch64 is manylinux_2_35."""
_ARM = (
    "aarch64: not tested. Known: every package of the lock resolves for it (docopt, hdfs and pyspark are built from "
    "source, without a compiler); the servers are Java and need a JRE 17 or 21 for aarch64; KOGPT2_SERVING__ENGINE="
    "transformers serves if the int8 engine does not. All figures in docs/measurements.md are of x86-64."
)
_NO_AVX2 = (
    "this processor has no AVX2, or the virtual machine hides it: not tested. Known: OpenVINO names AVX2, or SSE4.2 on "
    "Atom, as what it supports, and int8 is slower without it; published torch wheels have ended with `Illegal "
    "instruction` on processors without AVX (pytorch issues 37577, 43300). In a virtual machine pass the "
    "host's processor through (QEMU: -cpu host)."
)


class Machine(NamedTuple):
    """What the checks look at.

    Attributes:
        system: as ``uname -s`` says it.
        machine: as ``uname -m`` says it.
        release: as ``uname -r`` says it; WSL names itself there.
        cpu: text of /proc/cpuinfo; empty where there is none.
        folder: of the checkout.
        libc: version of glibc; empty where it is another one.
    """

    system: str
    machine: str
    release: str
    cpu: str
    folder: str
    libc: tuple[int, ...] = ()


class Finding(NamedTuple):
    """One thing worth knowing.

    Attributes:
        refuses: whether the platform cannot work here.
        text: what it is, what is known, what to do.
    """

    refuses: bool
    text: str


def this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """Look at the machine that this runs on."""
    found = platform.uname()
    try:
        cpu = cpuinfo.read_text(errors="replace")
    except OSError:
        cpu = ""
    name, version = platform.libc_ver()
    libc = tuple(map(int, version.split("."))) if name == "glibc" else ()
    return Machine(found.system, found.machine, found.release, cpu, str(Path.cwd()), libc)


def findings(machine: Machine) -> list[Finding]:
    """Everything that differs from Linux on x86-64 with AVX2, where all tests run."""
    if machine.system == "Darwin":
        return [_macos(machine)]
    if machine.system != "Linux":
        text = f"{machine.system} cannot run this: it is made for Linux. On Windows use WSL 2."
        return [Finding(refuses=True, text=text)]
    return [*_processor(machine), *_wsl(machine)]


def _macos(machine: Machine) -> Finding:
    return Finding(
        refuses=True,
        text=f"macOS ({machine.machine}) cannot install this environment: the lock pins torch's CUDA parts, which have "
        "no wheels for macOS. Also, servers that refuse root are started with setpriv, which macOS lacks, and nothing "
        "was tested there. Use a Linux virtual machine with 2 cores and 8 GB of memory, or the images in docker/.",
    )


def _processor(machine: Machine) -> list[Finding]:
    name = machine.machine.lower()
    if name in ARM:
        return [_arm(machine)]
    if name not in X86:
        text = f"{machine.machine}: OpenVINO has wheels for x86-64 and aarch64 only, so that nothing can answer here."
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
        "WSL: not tested. Known: WSL 2 works like Linux; it gets half of the memory unless .wslconfig says more "
        "(memory=8GB), and pages are reached from Windows at localhost."
    )
    if machine.release.lower().endswith("-microsoft"):
        text += " This is WSL 1, without a Linux kernel: convert it with `wsl --set-version DISTRIBUTION 2`."
    if machine.folder.startswith("/mnt/"):
        text += (
            f" The checkout is on a Windows drive ({machine.folder}): locks and many small files are slow or fail "
            "there; clone it below your Linux home."
        )
    return [Finding(refuses=False, text=text)]


def _flags(cpu: str) -> set[str]:
    for line in cpu.splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return {"avx2"} if not cpu else set()  # nothing to read is no sign that it lacks anything


def main() -> int:
    """Print the findings on stderr; give the exit code."""
    found = findings(this_machine())
    for finding in found:
        print(f"setup: {'NOT POSSIBLE' if finding.refuses else 'note'}: {finding.text}", file=sys.stderr)  # noqa: T201
    return int(any(finding.refuses for finding in found))


if __name__ == "__main__":
    sys.exit(main())
