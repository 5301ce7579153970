"""Notes and refusals of the set-up on platforms that differ from the tested one."""

import importlib.util
import sys

import pytest

from kogpt2_chat.settings import CHECKOUT

SCRIPT = CHECKOUT / "scripts" / "platform_check.py"
spec = importlib.util.spec_from_file_location("platform_check", SCRIPT)
check = importlib.util.module_from_spec(spec)
sys.modules["platform_check"] = check
spec.loader.exec_module(check)

AVX2 = "processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2 bmi1\n"
AVX = "processor\t: 0\nflags\t\t: fpu sse4_2 avx bmi1\n"


def machine(**changes):
    tested = {
        "system": "Linux",
        "machine": "x86_64",
        "release": "6.8.0-45-generic",
        "cpu": AVX2,
        "folder": "/srv/kogpt2",
    }
    return check.Machine(**{**tested, **changes})


def test_the_tested_platform_has_no_findings():
    """It is Linux on x86-64 with AVX2."""
    assert check.findings(machine()) == []


@pytest.mark.parametrize(
    ("difference", "refuses", "expected"),
    [
        ({"cpu": AVX}, False, ("no AVX2", "not tested", "-cpu host")),
        ({"machine": "aarch64", "cpu": ""}, False, ("aarch64", "not tested", "JRE")),
        ({"machine": "aarch64", "cpu": "", "libc": (2, 31)}, True, ("glibc 2.35", "found 2.31")),
        ({"machine": "aarch64", "cpu": "", "libc": (2, 36)}, False, ("aarch64",)),
        ({"machine": "riscv64"}, True, ("riscv64", "OpenVINO")),
        ({"system": "Darwin", "machine": "arm64", "cpu": ""}, True, ("macOS", "CUDA", "docker/")),
        ({"system": "Windows", "machine": "AMD64", "cpu": ""}, True, ("Windows", "WSL 2")),
        ({"release": "5.15.153.1-microsoft-standard-WSL2"}, False, ("WSL", ".wslconfig")),
        ({"release": "4.4.0-19041-Microsoft"}, False, ("WSL 1", "--set-version")),
        ({"release": "5.15.153.1-microsoft-standard-WSL2", "folder": "/mnt/c/kogpt2"}, False, ("Windows drive",)),
    ],
)
def test_a_difference_is_reported_with_what_is_known_about_it(difference, refuses, expected):
    """There is one finding. It refuses the machine only if the project cannot run on it."""
    (found,) = check.findings(machine(**difference))
    assert found.refuses is refuses
    assert all(text in found.text for text in expected)


def test_without_cpuinfo_the_processor_has_no_finding():
    """It is unknown whether the processor has AVX2."""
    assert check.findings(machine(cpu="")) == []


def test_the_processor_of_this_machine_is_read_from_cpuinfo(tmp_path):
    """A missing file is not an error."""
    (tmp_path / "cpuinfo").write_text(AVX)
    assert check.this_machine(tmp_path / "cpuinfo").cpu == AVX
    assert check.this_machine(tmp_path / "none").cpu == ""
