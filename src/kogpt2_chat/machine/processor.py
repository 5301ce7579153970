"""What the processor is and can do. Uses the standard library only."""

import platform
from pathlib import Path
from typing import Final

CAP: Final = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that caps the instructions which oneDNN, OpenVINO and the native engine use."""
_CPUINFO: Final = Path("/proc/cpuinfo")


def processor_entries(cpuinfo: Path = _CPUINFO) -> dict[str, str]:
    """Return the fields of the last core in ``/proc/cpuinfo``; empty if there is no such file."""
    try:
        text = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def processor_name(entries: dict[str, str]) -> str:
    """Return the processor's name, or its architecture."""
    return entries.get("model name") or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the names of the processor's features."""
    entries = processor_entries(cpuinfo)
    return frozenset((entries.get("flags") or entries.get("Features") or "").split())
