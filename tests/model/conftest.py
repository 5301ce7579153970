"""Tiny models for the room's tests."""

from pathlib import Path

import pytest
import torch

from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.tiny_gpt2 import tiny_version


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Many threads gain nothing on tiny tensors, and other tests run beside."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A version folder; read only."""
    return tiny_version(tmp_path_factory.mktemp("tiny") / "1")


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings of a home and cache of this test's own."""
    return Settings(
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        model={"base": "small", "threads": 1, "max_new_tokens": 12, "small_layers": 1, "small_width": 32, "small_heads": 2,
               "small_vocabulary": 700, "small_epochs": 2},
        training={"epochs": 2, "batch_size": 8, "precision": "fp32"},
    )  # fmt: skip
