"""What a version has learned from players, from the dataset that it was trained on."""

from pathlib import Path

import pytest

from kogpt2_chat.errors import NotFound
from kogpt2_chat.jobs.show_learned import LearnedPair, ShowLearnedResult, show_learned
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from tests.model.loop_inputs import put_dataset

HELD_OUT = ("콩떡이 좋아하는 간식은?", "붕어빵 꼬리를 제일 좋아해요.")
OLD, NEW = ("거울동굴이 어디야?", "오솔길 끝이에요."), ("열기구 타 봤어?", "광장 서쪽에서 타요!")


@pytest.fixture
def registry(tmp_path: Path) -> InMemoryRegistry:
    """Two versions, of which the first is the champion, as it is while a rollout of the second one runs."""
    registry = InMemoryRegistry()
    for dataset in ("first", "second"):
        run_id = registry.start_run(dataset, {}, {})
        (tmp_path / "model.json").write_text("{}", encoding="utf-8")
        registry.log_files(run_id, tmp_path, "version")
        registry.add_version("ChatbotA", run_id, "version", {"dataset": dataset})
    registry.set_alias("ChatbotA", "champion", 1)
    return registry


@pytest.fixture
def files() -> InMemoryFiles:
    files = InMemoryFiles()
    seed = [("안녕", "안녕하세요!")]
    put_dataset(files, "first", lambda rows: [*rows(seed, "seed", 1), *rows([OLD], "correction", 1)])
    both = [OLD, NEW]
    put_dataset(
        files, "second", lambda rows: [*rows(seed, "seed", 1), *rows(both, "correction", 1)], held_out=[HELD_OUT]
    )
    return files


def show(files: InMemoryFiles, registry: InMemoryRegistry, home: Path, version: int | None = None) -> ShowLearnedResult:
    settings = Settings(home=home)
    return show_learned(bot="ChatbotA", limit=9, files=files, registry=registry, settings=settings, version=version)


def test_by_default_the_champion_is_shown(files: InMemoryFiles, registry: InMemoryRegistry, tmp_path: Path) -> None:
    """Only pairs that players taught count, not the seeds."""
    found = show(files, registry, tmp_path)
    assert (found.version, found.total) == (1, 1)
    assert found.pairs == (LearnedPair(question=OLD[0], answer=OLD[1], new=True),)


def test_a_version_is_shown_before_it_is_the_champion(
    files: InMemoryFiles, registry: InMemoryRegistry, tmp_path: Path
) -> None:
    """Workers serve it before the alias moves. It has not learned what was held out to measure it."""
    found = show(files, registry, tmp_path, version=2)
    assert (found.version, found.total) == (2, 2)
    assert {pair.question for pair in found.pairs} == {OLD[0], NEW[0]}
    with pytest.raises(NotFound):
        show(files, registry, tmp_path, version=3)
