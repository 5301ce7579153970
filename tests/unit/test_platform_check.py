"""What the set-up says of a machine that differs from those that all tests run on."""

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


def machine(**more):
    usual = {
        "system": "Linux",
        "machine": "x86_64",
        "release": "6.8.0-45-generic",
        "cpu": AVX2,
        "folder": "/srv/kogpt2",
    }
    return check.Machine(**{**usual, **more})


def test_the_usual_machine_is_passed_in_silence():
    """Linux on x86-64 with AVX2 is what the tests run on."""
    assert check.findings(machine()) == []


@pytest.mark.parametrize(
    ("differs", "refuses", "words"),
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
def test_what_differs_is_said_with_what_is_known(differs, refuses, words):
    """One finding, which refuses only what cannot work."""
    (found,) = check.findings(machine(**differs))
    assert found.refuses is refuses
    assert all(word in found.text for word in words)


def test_a_processor_that_tells_nothing_is_not_accused():
    """Without /proc/cpuinfo nothing is known of AVX2."""
    assert check.findings(machine(cpu="")) == []


def test_this_machine_is_read(tmp_path):
    """The processor's flags come from the file, and a missing file is no fault."""
    (tmp_path / "cpuinfo").write_text(AVX)
    assert check.this_machine(tmp_path / "cpuinfo").cpu == AVX
    assert check.this_machine(tmp_path / "none").cpu == ""
