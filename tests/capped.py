"""Tests in a process whose kernels are capped at AVX2, instead of the plain run and not beside it.

Figures that hold only on the newest processors are found on any machine in this way. ``capped`` marks tests of torch,
which heeds the caps; they must not touch OpenVINO. ``capped_openvino`` marks tests of OpenVINO: its wheels may be built
without a cap, and its own kernels look at the processor itself, so that a probe of the kernels that were really executed
decides. Where the cap does not hold these tests run as they are, and the summary says what was not tested here.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from kogpt2_chat.settings import CHECKOUT

CAPS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
REPORTS = "KOGPT2_TEST_CAPPED"
"""Names the file for a capped process's reports; set in such a process only."""
KIND = "KOGPT2_TEST_CAPPED_KIND"
"""Which mark's tests run there."""
IS_CAPPED = REPORTS in os.environ
IS_TORCH_ALONE = os.environ.get(KIND) == "capped"
LIMIT_S = 800
NEWER = ("avx512", "amx", "vnni")
MARKS = ("capped", "capped_openvino")
NOT_TESTED = "not tested here"
"""Property of a test that ran without the limit; its value says why. The summary shows it."""

_reports: dict[str, list[pytest.TestReport]] = {}


def cap_holds(capped: Iterable[str]) -> bool:
    """Whether kernels executed under the cap are none that only newer processors have; none at all prove nothing."""
    names = [name.lower() for name in capped]
    return bool(names) and not any(word in name for name in names for word in NEWER)


def is_avx2_only(cpuinfo: str) -> bool:
    """Whether a processor has AVX2 and nothing newer for products."""
    flags = next((line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return "avx2" in flags and not any(word in flag for flag in flags for word in NEWER)


@cache
def why_openvino_is_not_capped() -> str | None:
    """Empty: run capped. Else why not; None where the machine itself is what is to be tested."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and is_avx2_only(cpuinfo.read_text("utf-8", "replace")):
        return None
    done = subprocess.run(
        [sys.executable, "-m", "tests.openvino_probe"], cwd=CHECKOUT, env={**os.environ, **CAPS},
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        return f"under ONEDNN_MAX_CPU_ISA its graph does not run: {done.stderr.strip().splitlines()[-1:]}"
    executed = json.loads(done.stdout.splitlines()[-1])
    return "" if cap_holds(executed) else f"ONEDNN_MAX_CPU_ISA does not hold, executed kernels: {executed}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give what a capped process said of a test, instead of running it here."""
    mark = next((name for name in MARKS if item.get_closest_marker(name)), None)
    if IS_CAPPED or mark is None:
        return None
    if mark == "capped_openvino" and (why := why_openvino_is_not_capped()) != "":
        if why is not None:
            item.user_properties.append((NOT_TESTED, f"OpenVINO's kernels on AVX2 ({why})"))
        return None
    if item.nodeid not in _reports:
        in_file = [other for other in item.session.items if other.path == item.path]
        _run_capped(mark, [other for other in in_file if other.get_closest_marker(mark)])
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports[item.nodeid]:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    item.session._setupstate.teardown_exact(nextitem)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In a capped process: pass it on."""
    if IS_CAPPED:
        with Path(os.environ[REPORTS]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report._to_json(), default=str) + "\n")


def _run_capped(mark: str, items: list[pytest.Item]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reports"
        path.touch()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(item.nodeid for item in items)],
            cwd=CHECKOUT, env={**os.environ, **CAPS, REPORTS: str(path), KIND: mark}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
        )  # fmt: skip
        for line in path.read_text("utf-8").splitlines():
            report = pytest.TestReport._from_json(json.loads(line))
            _reports.setdefault(report.nodeid, []).append(report)
    for item in items:
        found = _reports.setdefault(item.nodeid, [])
        if not any(report.when == "teardown" for report in found):
            why = f"the capped process ended ({done.returncode}) before this test did:\n{done.stdout[-3000:]}"
            found.append(pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call"))
