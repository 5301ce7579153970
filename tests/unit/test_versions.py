"""Local copies of versions are identified by their content, because a new registry starts again at number 1."""

import json
from pathlib import Path

import pytest

from kogpt2_chat.artifact.card import file_sha256
from kogpt2_chat.artifact.downloads import local_version, version_digest
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.registry import InMemoryRegistry

BOT = "ChatbotA"


def registry_with(content: str, folder: Path) -> InMemoryRegistry:
    """Return a registry with version 1, whose weights are this text."""
    folder.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / name).write_text(content)
    hashes = {path.name: file_sha256(path) for path in folder.iterdir()}
    card = {"base": "밑바탕", "licence": "CC", "small": True, "files": hashes}
    (folder / "model.json").write_text(json.dumps(card))
    registry = InMemoryRegistry()
    run_id = registry.start_run("학습", {}, {})
    registry.log_files(run_id, folder, "version")
    assert registry.add_version(BOT, run_id, "version", {}) == 1
    return registry


def weights(registry: InMemoryRegistry, settings: Settings) -> str:
    return (local_version(BOT, 1, registry, settings) / "model.safetensors").read_text()


def test_a_copy_of_another_version_with_the_same_number_is_replaced(tmp_path: Path) -> None:
    """For example, the registered model was deleted and the bot trained again."""
    settings = Settings(home=tmp_path / "home")
    first, second = (registry_with(name, tmp_path / name) for name in ("old", "new"))
    assert weights(first, settings) == "old"
    assert weights(second, settings) == "new"
    assert version_digest(BOT, 1, first) != version_digest(BOT, 1, second) != ""


def test_only_a_damaged_copy_is_downloaded_again(tmp_path: Path) -> None:
    """An intact copy is used without a download."""
    settings, registry = Settings(home=tmp_path / "home"), registry_with("old", tmp_path / "old")
    folder = local_version(BOT, 1, registry, settings)
    (folder / "model.safetensors").write_text("truncated")
    assert weights(registry, settings) == "old"
    registry.download = None  # type: ignore[assignment, method-assign]
    assert weights(registry, settings) == "old"


@pytest.mark.parametrize("error", [Unavailable("MLflow does not answer"), NotFound("the version is gone")])
def test_a_copy_is_used_if_the_registry_cannot_identify_the_version(tmp_path: Path, error: Exception) -> None:
    """For example, an old turn can be explained without the registry."""
    settings, registry = Settings(home=tmp_path / "home"), registry_with("old", tmp_path / "old")
    local_version(BOT, 1, registry, settings)

    def fail(bot: str, version: int, path: str) -> bytes:
        raise error

    registry.read_file = fail  # type: ignore[method-assign]
    assert weights(registry, settings) == "old"
    assert version_digest(BOT, 1, registry) == ""
