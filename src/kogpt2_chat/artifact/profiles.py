"""The gate's named margins, as the gate and a worker read them. Imports no model library."""

from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # no stubs in the lock

from kogpt2_chat.domain.gate import measurements as gate
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

PROFILES: Final = Path(gate.__file__).with_name("gate_profiles.yaml")


def load_profile(name: str) -> gate.GateThresholds:
    """Read one profile of ``gate_profiles.yaml``.

    Raises:
        InvalidInput: there is no such profile.
    """
    profiles: dict[str, Any] = yaml.safe_load(PROFILES.read_text("utf-8"))
    if name not in profiles:
        raise InvalidInput(f"no gate profile {name!r}: expected one of {', '.join(profiles)}")
    return gate.GateThresholds(name=name, **profiles[name])


def profile_of(settings: Settings, *, small: bool) -> gate.GateThresholds:
    """The profile that the settings name; by default the one for the kind of base.

    Args:
        settings: ``learning.gate_profile``.
        small: whether the base is the small one.

    Returns:
        Its margins.
    """
    asked = settings.learning.gate_profile
    return load_profile(asked if asked != "auto" else "small_base" if small else "kogpt2")
