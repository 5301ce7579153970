"""Which bots are retrained. Pairs are counted since the last training, not since the last dataset."""

import json

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.domain.lake.layout import dataset_path
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.errors import NotFound
from kogpt2_chat.jobs.choose import TrainingChoice, choose
from kogpt2_chat.lake.manifests import record_rebuild
from kogpt2_chat.settings import Learning, Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry

BOT = "ChatbotB"
SETTINGS = Settings(learning=Learning(min_new_examples=5))


@pytest.fixture
def files() -> InMemoryFiles:
    return InMemoryFiles()


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


def manifest(dataset_id: str, new_pairs: int, previous: str | None, *, withdrawn_pairs: int = 0) -> Manifest:
    return Manifest(
        bot=BOT,
        dataset_id=dataset_id,
        content_hash=dataset_id,
        created_at="2026-11-24T09:00:00+09:00",
        counts={},
        sources={},
        rejects={},
        new_pairs=new_pairs,
        withdrawn_pairs=withdrawn_pairs,
        previous=previous,
        table_versions={},
    )


def publish(
    files: InMemoryFiles, dataset_id: str, new_pairs: int, previous: str | None, *, withdrawn_pairs: int = 0
) -> None:
    made = manifest(dataset_id, new_pairs, previous, withdrawn_pairs=withdrawn_pairs)
    files.write(f"{dataset_path(SETTINGS.hdfs.root, BOT, dataset_id)}/manifest.json", made.to_json().encode())


def train(registry: InMemoryRegistry, dataset: str) -> None:
    run_id = registry.start_run("학습", {}, {})
    registry.runs[run_id].files["version/model.json"] = b"{}"
    registry.add_version(BOT, run_id, "version", {"dataset": dataset})


def choice(files: InMemoryFiles, registry: InMemoryRegistry, dataset: str, *, force: bool = False) -> TrainingChoice:
    chosen = choose(datasets={BOT: dataset}, force=force, files=files, registry=registry, settings=SETTINGS)
    assert list(chosen.choices) == [BOT]
    return chosen.choices[BOT]


def test_the_first_dataset_is_all_new(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """A bot without a version is trained on its seed corpus without force."""
    publish(files, "one", 700, None)

    assert choice(files, registry, "one") == TrainingChoice(
        train=True,
        dataset="one",
        new_pairs=700,
        withdrawn_pairs=0,
        reason="700 new pairs since the last training, 0 withdrawn (enough)",
    )


def test_the_dataset_of_a_version_has_nothing_new(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """The same dataset is not trained on again, and the reason names the setting."""
    publish(files, "one", 700, None)
    train(registry, "one")

    found = choice(files, registry, "one")

    assert (found.train, found.new_pairs) == (False, 0)
    assert "KOGPT2_LEARNING__MIN_NEW_EXAMPLES is 5" in found.reason


def test_new_pairs_of_a_failed_training_still_count(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """If the training failed after its dataset was published, the next run trains on it."""
    publish(files, "one", 700, None)
    train(registry, "one")
    publish(files, "two", 9, "one")

    assert choice(files, registry, "two").train is True


def test_new_pairs_of_several_datasets_add_up(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """Two, two and two new pairs in three datasets are six since the last training."""
    publish(files, "one", 700, None)
    train(registry, "one")
    publish(files, "two", 2, "one")
    publish(files, "three", 2, "two")
    assert choice(files, registry, "three").train is False

    publish(files, "four", 2, "three")

    assert choice(files, registry, "four").new_pairs == 6
    assert choice(files, registry, "four").train is True


def test_withdrawn_pairs_start_a_training(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """Forty withdrawn pairs and no new one: the champion must unlearn them."""
    publish(files, "one", 700, None)
    train(registry, "one")
    publish(files, "two", 0, "one", withdrawn_pairs=40)

    found = choice(files, registry, "two")

    assert (found.train, found.new_pairs, found.withdrawn_pairs) == (True, 0, 40)
    assert "withdrawn pairs must be unlearned" in found.reason
    train(registry, "two")
    assert choice(files, registry, "two").train is False


def test_one_withdrawn_pair_is_enough(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """It also counts if the dataset that withdrew it was never trained on."""
    publish(files, "one", 700, None)
    train(registry, "one")
    publish(files, "two", 0, "one", withdrawn_pairs=1)
    publish(files, "three", 1, "two")

    assert choice(files, registry, "three").train is True


def test_a_refused_version_has_not_unlearned_the_withdrawn_pairs(
    files: InMemoryFiles, registry: InMemoryRegistry
) -> None:
    """Until another version becomes champion, each further dataset is trained on again."""
    publish(files, "one", 700, None)
    train(registry, "one")
    registry.set_alias(BOT, "champion", 1)
    publish(files, "two", 0, "one", withdrawn_pairs=40)
    assert choice(files, registry, "two").train is True
    train(registry, "two")  # the gate refused it

    again = choice(files, registry, "two")
    assert (again.train, again.withdrawn_pairs) == (False, 40)
    assert "the champion has learned them" in again.reason

    publish(files, "three", 1, "two")
    assert choice(files, registry, "three").train is True

    registry.set_alias(BOT, "champion", 2)
    found = choice(files, registry, "three")
    assert (found.train, found.withdrawn_pairs) == (False, 0)


def test_a_withdrawn_pair_is_unlearned_if_its_dataset_existed_before(
    files: InMemoryFiles, registry: InMemoryRegistry
) -> None:
    """Without the pair, the dataset is the first one again, which an older version was trained on."""
    publish(files, "one", 700, None)
    train(registry, "one")
    publish(files, "two", 1, "one")
    train(registry, "two")
    registry.set_alias(BOT, "champion", 2)
    record_rebuild(files, SETTINGS.hdfs.root, manifest("one", 0, "two", withdrawn_pairs=1))

    found = choice(files, registry, "one")
    assert (found.train, found.withdrawn_pairs) == (True, 1)

    train(registry, "one")  # its rollout is pending, or the gate refused it
    assert choice(files, registry, "one").train is False
    registry.set_alias(BOT, "champion", 3)
    assert choice(files, registry, "one").withdrawn_pairs == 0


def test_manifests_of_earlier_releases_withdraw_nothing(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """They do not contain the number of withdrawn pairs."""
    publish(files, "one", 700, None)
    train(registry, "one")
    path = f"{dataset_path(SETTINGS.hdfs.root, BOT, 'two')}/manifest.json"
    publish(files, "two", 1, "one")
    body = json.loads(files.read(path))
    del body["withdrawn_pairs"], body["seeds_superseded"], body["distrusted"], body["tokenizer"]
    files.write(path, json.dumps(body).encode())

    assert choice(files, registry, "two").train is False


def test_force_trains_without_new_pairs(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """Force skips only the count of new pairs, which is still reported."""
    publish(files, "one", 700, None)
    train(registry, "one")

    found = choice(files, registry, "one", force=True)

    assert found.train is True
    assert found.reason == "0 new pairs since the last training, 0 withdrawn (forced)"


def test_a_deleted_predecessor_ends_the_count(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """Old datasets may be deleted; the dataset itself must exist."""
    publish(files, "two", 3, "one")

    assert choice(files, registry, "two").new_pairs == 3
    with pytest.raises(NotFound):
        choice(files, registry, "three")


def test_a_cycle_of_manifests_ends(files: InMemoryFiles, registry: InMemoryRegistry) -> None:
    """If earlier content returns, manifests can refer to each other. Each dataset counts once."""
    publish(files, "one", 1, "two")
    publish(files, "two", 1, "one")

    assert choice(files, registry, "two").new_pairs == 2


def test_the_command_accepts_bots_with_their_datasets(
    files: InMemoryFiles, registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--json` prints a choice per bot; the text output says what is done and why."""
    publish(files, "one", 2, None)
    monkeypatch.setattr("kogpt2_chat.bootstrap.files", lambda _settings: files)
    monkeypatch.setattr("kogpt2_chat.bootstrap.registry", lambda _settings: registry)
    monkeypatch.setenv("KOGPT2_LEARNING__MIN_NEW_EXAMPLES", "5")

    printed = json.loads(CliRunner().invoke(app, ["choose", f"{BOT}=one", "--json"]).stdout)
    forced = CliRunner().invoke(app, ["choose", f"{BOT}=one", "--force"]).stdout

    assert printed == {
        BOT: {
            "train": False,
            "dataset": "one",
            "new_pairs": 2,
            "withdrawn_pairs": 0,
            "reason": "2 new pairs since the last training, 0 withdrawn "
            "(too few, KOGPT2_LEARNING__MIN_NEW_EXAMPLES is 5)",
        }
    }
    assert forced == f"{BOT}: train, 2 new pairs since the last training, 0 withdrawn (forced)\n"


@pytest.mark.parametrize("argument", [BOT, f"{BOT}=", "ChatbotZ=one"])
def test_a_bot_without_a_dataset_is_a_usage_error(argument: str) -> None:
    """It exits with 2, so that Airflow does not retry."""
    assert CliRunner().invoke(app, ["choose", argument]).exit_code == 2
