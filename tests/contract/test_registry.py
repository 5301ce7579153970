"""Contract of the port Registry, on the double and on a real MLflow server."""

import os
import threading
import uuid
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.bots import Bot
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.ports import Registry
from kogpt2_chat.settings import Mlflow, Ports, Settings
from kogpt2_chat.testing.registry import InMemoryRegistry


@pytest.fixture(params=["double", pytest.param("mlflow", marks=pytest.mark.stack)])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "double":
        return InMemoryRegistry()
    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    return MlflowRegistry(request.getfixturevalue("stack_settings"))


@pytest.fixture
def bot() -> str:
    """A model name for this test only, since the server outlives the test."""
    return f"시험봇-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def trained(registry: Registry, tmp_path: Path) -> str:
    return run_with_files(registry, tmp_path, "첫 번째")


def run_with_files(registry: Registry, tmp_path: Path, content: str) -> str:
    folder = tmp_path / f"built-{uuid.uuid4().hex[:8]}"
    (folder / "engine").mkdir(parents=True)
    (folder / "model.json").write_text(f'{{"말": "{content}"}}', encoding="utf-8")
    (folder / "engine" / "weights.bin").write_bytes(bytes(range(256)) * 40)
    run_id = registry.start_run("ChatbotA 마루 학습", {"epochs": 3, "방식": "처음부터"}, {"봇": "마루"})
    registry.log_files(run_id, folder, "version")
    return run_id


def test_a_version_is_downloaded_byte_for_byte(registry: Registry, bot: str, trained: str, tmp_path: Path) -> None:
    """`download` returns the files that were logged under the version's path, including folders."""
    version = registry.add_version(bot, trained, "version", {})

    folder = registry.download(bot, version, tmp_path / "models" / "새 폴더")

    assert {entry.relative_to(folder).as_posix() for entry in folder.rglob("*") if entry.is_file()} == {
        "model.json",
        "engine/weights.bin",
    }
    assert (folder / "engine" / "weights.bin").read_bytes() == bytes(range(256)) * 40
    assert (folder / "model.json").read_text(encoding="utf-8") == '{"말": "첫 번째"}'
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == ["새 폴더"]


def test_a_download_never_touches_an_existing_folder(
    registry: Registry, bot: str, trained: str, tmp_path: Path
) -> None:
    """An existing folder was completed by another process: it is returned unchanged."""
    version = registry.add_version(bot, trained, "version", {})
    existing = tmp_path / "existing"
    existing.mkdir()

    assert registry.download(bot, version, existing) == existing

    assert list(existing.iterdir()) == []


def test_two_downloads_at_once_both_succeed(registry: Registry, bot: str, trained: str, tmp_path: Path) -> None:
    """Several workers of one machine download the same version: each gets the complete folder."""
    version = registry.add_version(bot, trained, "version", {})
    folder = tmp_path / "models" / "1"
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(registry.download(bot, version, folder))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert folders == [folder] * 3
    assert (folder / "engine" / "weights.bin").stat().st_size == 10240
    assert [entry.name for entry in folder.parent.iterdir()] == ["1"]


def test_a_failed_download_leaves_nothing(registry: Registry, bot: str, tmp_path: Path) -> None:
    """A download writes all of a version's files or none, and leaves no temporary files."""
    with pytest.raises(NotFound):
        registry.download(bot, 7, tmp_path / "models" / "7")

    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []
    assert not (tmp_path / "models" / "7").exists()


def test_a_run_is_registered_as_one_version(registry: Registry, bot: str, trained: str) -> None:
    """A repeated registration returns the existing version."""
    first = registry.add_version(bot, trained, "version", {"dataset": "abc"})

    assert registry.add_version(bot, trained, "version", {"dataset": "abc"}) == first
    assert [version.version for version in registry.versions(bot)] == [first]


def test_two_registrations_at_once_agree(registry: Registry, bot: str, trained: str) -> None:
    """Airflow may run a task twice at once: both get the same number, and only one version remains."""
    versions: list[int] = []
    threads = [
        threading.Thread(target=lambda: versions.append(registry.add_version(bot, trained, "version", {})))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(versions) == 2
    assert {version.version for version in registry.versions(bot)} == set(versions)
    assert len(set(versions)) == 1


def test_versions_are_listed_oldest_first(registry: Registry, bot: str, trained: str, tmp_path: Path) -> None:
    """Newer versions have higher numbers, and each version has its run and its tags."""
    one = registry.add_version(bot, trained, "version", {"dataset": "첫째"})
    second_run = run_with_files(registry, tmp_path, "둘째")
    two = registry.add_version(bot, second_run, "version", {"dataset": "둘째"})

    listed = registry.versions(bot)

    assert [version.version for version in listed] == [one, two]
    assert [version.run_id for version in listed] == [trained, second_run]
    assert [version.tags["dataset"] for version in listed] == ["첫째", "둘째"]


def test_an_unknown_bot_has_no_versions(registry: Registry, bot: str) -> None:
    """A bot that was never trained is not an error."""
    assert registry.versions(bot) == []
    assert registry.by_alias(bot, "champion") is None


def test_a_missing_version_is_not_found(registry: Registry, bot: str) -> None:
    """The error names the number."""
    with pytest.raises(NotFound, match="41"):
        registry.get(bot, 41)


def test_a_run_without_files_cannot_become_a_version(registry: Registry, bot: str) -> None:
    """A version is a folder; a run that uploaded nothing has none."""
    run_id = registry.start_run("빈 학습", {}, {})

    with pytest.raises(NotFound):
        registry.add_version(bot, run_id, "version", {})

    assert registry.versions(bot) == []


def test_an_alias_points_at_one_version_at_a_time(registry: Registry, bot: str, trained: str, tmp_path: Path) -> None:
    """Setting an alias removes it from the old version; None removes it, and may be repeated."""
    one = registry.add_version(bot, trained, "version", {})
    two = registry.add_version(bot, run_with_files(registry, tmp_path, "둘"), "version", {})
    registry.set_alias(bot, "champion", one)
    registry.set_alias(bot, "previous", one)

    registry.set_alias(bot, "champion", two)

    champion = registry.by_alias(bot, "champion")
    assert champion is not None
    assert champion.version == two
    assert registry.get(bot, one).aliases == ("previous",)
    assert [version.aliases for version in registry.versions(bot)] == [("previous",), ("champion",)]
    registry.set_alias(bot, "previous", None)
    registry.set_alias(bot, "previous", None)
    assert registry.by_alias(bot, "previous") is None


def test_an_alias_cannot_point_at_a_missing_version(registry: Registry, bot: str, trained: str) -> None:
    """A number that does not exist is refused, and the alias is unchanged."""
    one = registry.add_version(bot, trained, "version", {})
    registry.set_alias(bot, "champion", one)

    with pytest.raises(NotFound):
        registry.set_alias(bot, "champion", one + 40)

    champion = registry.by_alias(bot, "champion")
    assert champion is not None
    assert champion.version == one


def test_tags_are_added_and_replaced(registry: Registry, bot: str, trained: str) -> None:
    """Values may be Korean; a value over the limit is cut, not refused."""
    version = registry.add_version(bot, trained, "version", {"gate": "refused"})

    registry.tag(bot, version, {"gate": "pass", "gate_reasons": "새로 배운 말 " * 1000, "이유": "더 나음"})

    tags = registry.get(bot, version).tags
    assert tags["gate"] == "pass"
    assert tags["이유"] == "더 나음"
    assert len(tags["gate_reasons"]) == 5000


def test_a_description_is_replaced_and_cut(registry: Registry, bot: str, trained: str) -> None:
    """A version of an earlier release has none. Line ends, tables and Hangul are preserved up to the server's limit."""
    version = registry.add_version(bot, trained, "version", {})
    assert registry.get(bot, version).description == ""

    registry.describe(bot, version, "# 온유\n\n| a | b |\n|---|---|\n| 1 | &#124; |\n")

    assert registry.get(bot, version).description == "# 온유\n\n| a | b |\n|---|---|\n| 1 | &#124; |\n"
    registry.describe(bot, version, "가" * 6000)
    (listed,) = registry.versions(bot)
    assert listed.description == "가" * 5000
    with pytest.raises(NotFound, match="41"):
        registry.describe(bot, 41, "없음")


def test_a_run_has_its_last_metrics_and_its_page(registry: Registry, trained: str) -> None:
    """The page is relative to the registry's address; an unknown run is not found."""
    registry.log_metrics(trained, {"loss": 3.0}, 1)
    registry.log_metrics(trained, {"loss": 2.0, "gate_chrf": 31.5}, 2)

    run = registry.run(trained)

    assert run.metrics == {"loss": 2.0, "gate_chrf": 31.5}
    assert run.page.startswith("#/")
    assert run.page.endswith(trained)
    with pytest.raises(NotFound):
        registry.run("0123456789abcdef0123456789abcdef")


def test_an_artifact_is_read_by_its_path(registry: Registry, bot: str, trained: str, tmp_path: Path) -> None:
    """Files logged after the registration can be read too; a missing one raises NotFound."""
    version = registry.add_version(bot, trained, "version", {})
    decision = tmp_path / "decision.json"
    decision.write_text('{"verdict": "통과"}', encoding="utf-8")

    registry.log_files(trained, decision, "")

    assert registry.read_file(bot, version, "decision.json").decode() == '{"verdict": "통과"}'
    assert registry.read_file(bot, version, "version/model.json").decode() == '{"말": "첫 번째"}'
    with pytest.raises(NotFound, match=r"gone\.json"):
        registry.read_file(bot, version, "gone.json")
    with pytest.raises(NotFound):
        registry.read_file(bot, version, "version/gone.json")


def test_uploading_a_missing_path_is_not_found(registry: Registry, trained: str, tmp_path: Path) -> None:
    """A path that does not exist never becomes an empty artifact."""
    with pytest.raises(NotFound, match="없는곳"):
        registry.log_files(trained, tmp_path / "없는곳", "version")


@pytest.mark.stack
def test_two_versions_can_be_compared_in_the_ui(stack_settings: Settings, bot: str, tmp_path: Path) -> None:
    """The comparison needs the runs' params, the metrics of each step, the name and the final status."""
    from mlflow import MlflowClient

    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    registry = MlflowRegistry(stack_settings)
    run_id = run_with_files(registry, tmp_path, "비교")
    for step, loss in enumerate((3.0, 2.0, 1.0)):
        registry.log_metrics(run_id, {"train_loss": loss}, step)
    registry.end_run(run_id)
    registry.add_version(bot, run_id, "version", {})

    client = MlflowClient(stack_settings.mlflow_url)
    run = client.get_run(run_id)
    assert run.info.run_name == "ChatbotA 마루 학습"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3", "방식": "처음부터"}
    assert [metric.value for metric in client.get_metric_history(run_id, "train_loss")] == [3.0, 2.0, 1.0]
    assert client.get_model_version(bot, "1").run_id == run_id


@pytest.mark.stack
def test_the_client_prints_nothing(
    stack_settings: Settings, bot: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is reserved for the command's JSON."""
    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    registry = MlflowRegistry(stack_settings)
    run_id = run_with_files(registry, tmp_path, "조용히")
    registry.end_run(run_id)
    registry.download(bot, registry.add_version(bot, run_id, "version", {}), tmp_path / "copy")

    assert capfd.readouterr().out == ""


@pytest.mark.stack
def test_a_known_bot_is_described_by_its_persona(
    stack_settings: Settings, bot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The description in the registry shows which bot a model is."""
    from mlflow import MlflowClient

    from kogpt2_chat.adapters import mlflow

    monkeypatch.setattr(
        mlflow, "BOT_BY_ID", {bot: Bot(id=bot, name="온유", persona="위로와 공감", label=1, prompt_symbol="<unused3>")}
    )
    registry = mlflow.MlflowRegistry(stack_settings)
    registry.add_version(bot, run_with_files(registry, tmp_path, "온유"), "version", {"gate": "refused"})

    assert MlflowClient(stack_settings.mlflow_url).get_registered_model(bot).description == "온유: 위로와 공감"


def test_an_unreachable_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server listens: the error is Unavailable and names the address."""
    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{Ports().at(1)}"
    registry = MlflowRegistry(Settings(mlflow=Mlflow(tracking_uri=address)))

    with pytest.raises(Unavailable, match=address):
        registry.versions("ChatbotA")
    with pytest.raises(Unavailable, match=address):
        registry.start_run("학습", {}, {})
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
