"""Read the gate's profiles of thresholds, for the gate and the workers. Imports no model library."""

from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # no stubs in the lock

from kogpt2_chat.domain.gate import thresholds as gate
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

PROFILES: Final = Path(gate.__file__).with_name("gate_profiles.yaml")


def load_profile(name: str) -> gate.GateThresholds:
    """Read one profile of ``gate_profiles.yaml``.

    Raises:
        InvalidInput: no profile has this name.
    """
    profiles: dict[str, Any] = yaml.safe_load(PROFILES.read_text("utf-8"))
    if name not in profiles:
        raise InvalidInput(f"no gate profile {name!r}: expected one of {', '.join(profiles)}")
    return gate.GateThresholds(name=name, **profiles[name])


def profile_of(settings: Settings, *, small: bool) -> gate.GateThresholds:
    """Return the profile that the settings name; by default the one for the kind of base.

    Args:
        settings: ``learning.gate_profile`` is used.
        small: whether the version's base is the small one.

    Returns:
        The thresholds.
    """
    name = settings.learning.gate_profile
    return load_profile(name if name != "auto" else "small_base" if small else "kogpt2")
