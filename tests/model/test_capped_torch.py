"""The capped process is what it promises: older kernels, and no OpenVINO, which would heed half of the caps."""

import os

import pytest
import torch

from tests.capped import CAPS, IS_CAPPED

pytestmark = pytest.mark.capped


def test_torch_heeds_the_cap():
    """Else a capped run would only repeat the plain one."""
    assert IS_CAPPED
    assert CAPS.items() <= os.environ.items()
    assert "AVX512" not in torch.backends.cpu.get_cpu_capability().upper()
