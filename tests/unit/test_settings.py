"""The settings tree."""

from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings, load_settings


def test_the_offset_shifts_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number moves the whole stack, so that two run side by side."""
    monkeypatch.setenv("KOGPT2_PORTS__OFFSET", "1000")
    settings = load_settings()
    assert settings.kafka_bootstrap == "127.0.0.1:10092"
    assert settings.webhdfs_url == "http://127.0.0.1:10870"
    assert settings.airflow_url == "http://127.0.0.1:9080"


def test_all_faults_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person mends the settings once, not once for each fault."""
    monkeypatch.setenv("KOGPT2_PORTS__KAFKA", "kafka")
    monkeypatch.setenv("KOGPT2_TRAINING__BATCH_SIZE", "0")
    with pytest.raises(InvalidInput, match="KOGPT2_PORTS__KAFKA") as caught:
        load_settings()
    assert "KOGPT2_TRAINING__BATCH_SIZE" in str(caught.value)


def test_a_shifted_port_above_the_last_one_is_refused() -> None:
    """The sentence names the setting to lower."""
    with pytest.raises(InvalidInput, match="KOGPT2_PORTS__OFFSET"):
        Settings().ports.at(65535 - Settings().ports.offset + 1)


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password never shows in a dump of the settings."""
    monkeypatch.setenv("KOGPT2_KAFKA__SASL_PASSWORD", "s3cret-word")
    assert "s3cret-word" not in load_settings().model_dump_json()
    assert "s3cret-word" not in repr(load_settings())


def test_the_cache_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two checkouts share jars and base models through one folder outside both."""
    monkeypatch.setenv("KOGPT2_CACHE", str(tmp_path))
    assert load_settings().cache_dir == tmp_path
