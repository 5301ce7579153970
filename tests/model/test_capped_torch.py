"""The capped process really uses older kernels, and does not load OpenVINO, which obeys only some of the caps."""

import os

import pytest
import torch

from tests.capped import CAPS, IS_CAPPED

pytestmark = pytest.mark.capped


def test_torch_obeys_the_cap():
    """Otherwise a capped run would only repeat the normal one."""
    assert IS_CAPPED
    assert CAPS.items() <= os.environ.items()
    assert "AVX512" not in torch.backends.cpu.get_cpu_capability().upper()
