"""A plugin that runs marked tests in a process whose kernels are capped at AVX2, instead of in the normal one.

So values that are right only on the newest processors are found on any machine. ``capped`` marks tests of torch, which
obeys the caps; they must not use OpenVINO. ``capped_openvino`` marks tests of OpenVINO: its wheels may ignore the cap,
and its own kernels detect the processor themselves, so a probe of the executed kernels decides. If the cap has no
effect, these tests run in the normal process, and the summary says what was not tested.
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
"""The variable with the path for a capped process's reports; set only in such a process."""
KIND = "KOGPT2_TEST_CAPPED_KIND"
"""The variable with the mark whose tests run in a capped process."""
IS_CAPPED = REPORTS in os.environ
IS_TORCH_ALONE = os.environ.get(KIND) == "capped"
LIMIT_S = 800
NEWER = ("avx512", "amx", "vnni")
MARKS = ("capped", "capped_openvino")
NOT_TESTED = "not tested here"
"""Name of the property of a test that ran without the cap. Its value is the reason, which the summary shows."""

_reports: dict[str, list[pytest.TestReport]] = {}


def cap_holds(capped: Iterable[str]) -> bool:
    """Return whether the cap works: it does if kernels were executed, and none of them needs a newer processor."""
    names = [name.lower() for name in capped]
    return bool(names) and not any(feature in name for name in names for feature in NEWER)


def is_avx2_only(cpuinfo: str) -> bool:
    """Return whether a processor has AVX2, and no newer instructions for matrix products."""
    flags = next((line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return "avx2" in flags and not any(feature in flag for flag in flags for feature in NEWER)


@cache
def why_openvino_is_not_capped() -> str | None:
    """Return why a cap does not work, an empty string if it works, or None if this processor needs no cap."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and is_avx2_only(cpuinfo.read_text("utf-8", "replace")):
        return None
    done = subprocess.run(
        [sys.executable, "-m", "tests.openvino_probe"], cwd=CHECKOUT, env={**os.environ, **CAPS},
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        return f"its graph does not run under ONEDNN_MAX_CPU_ISA: {done.stderr.strip().splitlines()[-1:]}"
    executed = json.loads(done.stdout.splitlines()[-1])
    return "" if cap_holds(executed) else f"ONEDNN_MAX_CPU_ISA has no effect, executed kernels: {executed}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report the results of a capped process for a marked test, instead of running it here."""
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
    """In a capped process, write the report for the parent."""
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
            message = f"the capped process ended ({done.returncode}) before this test did:\n{done.stdout[-3000:]}"
            found.append(pytest.TestReport(item.nodeid, item.location, {}, "failed", message, "call"))
