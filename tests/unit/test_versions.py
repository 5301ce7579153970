"""Copies of versions that jobs have fetched: known by their content, since numbers can begin anew."""

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
    """One version, number 1, whose weights are a text."""
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


def test_a_copy_of_another_registry_s_version_is_fetched_anew(tmp_path: Path) -> None:
    """Somebody deleted the registered model, trained again, and version 1 is another one now."""
    settings = Settings(home=tmp_path / "home")
    first, second = (registry_with(name, tmp_path / name) for name in ("old", "new"))
    assert weights(first, settings) == "old"
    assert weights(second, settings) == "new"
    assert version_digest(BOT, 1, first) != version_digest(BOT, 1, second) != ""


def test_a_whole_copy_is_fetched_once(tmp_path: Path) -> None:
    """And a damaged one again."""
    settings, registry = Settings(home=tmp_path / "home"), registry_with("old", tmp_path / "old")
    folder = local_version(BOT, 1, registry, settings)
    (folder / "model.safetensors").write_text("torn")
    assert weights(registry, settings) == "old"
    registry.download = None  # type: ignore[assignment, method-assign]
    assert weights(registry, settings) == "old"


@pytest.mark.parametrize("error", [Unavailable("MLflow is away"), NotFound("the version is gone")])
def test_a_copy_has_to_do_where_the_registry_cannot_say(tmp_path: Path, error: Exception) -> None:
    """An explanation of an old turn needs no server."""
    settings, registry = Settings(home=tmp_path / "home"), registry_with("old", tmp_path / "old")
    local_version(BOT, 1, registry, settings)

    def fails(bot: str, version: int, path: str) -> bytes:
        raise error

    registry.read_file = fails  # type: ignore[method-assign]
    assert weights(registry, settings) == "old"
    assert version_digest(BOT, 1, registry) == ""
