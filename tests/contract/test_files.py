"""Contract of the port Files, on the double and on a real HDFS."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.ports import Files
from kogpt2_chat.settings import Hdfs, Settings
from kogpt2_chat.testing.hdfs import InMemoryFiles


@pytest.fixture(params=["double", pytest.param("hdfs", marks=pytest.mark.stack)])
def files(request: pytest.FixtureRequest) -> Files:
    if request.param == "double":
        return InMemoryFiles()
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    return HdfsFiles(request.getfixturevalue("stack_settings"))


@pytest.fixture
def folder(files: Files) -> Iterator[str]:
    """A folder for this test only, since the server outlives the test."""
    path = f"/contract/{uuid.uuid4().hex}"
    yield path
    files.delete(path)


def test_a_file_is_read_as_it_was_written(files: Files, folder: str) -> None:
    """Names may be Korean and content may be any bytes; parent folders are created."""
    content = "안녕하세요".encode() + bytes(range(256))
    files.write(f"{folder}/깊은 곳/인사.bin", content)
    assert files.read(f"{folder}/깊은 곳/인사.bin") == content


def test_an_empty_file_exists(files: Files, folder: str) -> None:
    """A file may have no content."""
    files.write(f"{folder}/empty", b"")
    assert files.read(f"{folder}/empty") == b""
    assert files.exists(f"{folder}/empty")


def test_writing_again_replaces_the_file(files: Files, folder: str) -> None:
    """Nothing of longer old content remains, and no temporary file is left."""
    files.write(f"{folder}/a", b"first and long")
    files.write(f"{folder}/a", b"second")
    assert files.read(f"{folder}/a") == b"second"
    assert files.list(folder) == ["a"]


def test_a_missing_path_is_not_found(files: Files, folder: str) -> None:
    """Reading and downloading raise NotFound; a listing is empty; deleting does nothing."""
    with pytest.raises(NotFound, match="missing"):
        files.read(f"{folder}/missing")
    with pytest.raises(NotFound):
        files.download(f"{folder}/missing", Path("/nonexistent-is-never-made"))
    assert files.list(f"{folder}/missing") == []
    assert not files.exists(f"{folder}/missing")
    files.delete(f"{folder}/missing")


def test_list_returns_sorted_names_of_one_level(files: Files, folder: str) -> None:
    """The names are those of files and folders; subfolders are not listed."""
    for name in ("b", "a/x", "a/y", "c/z/z"):
        files.write(f"{folder}/{name}", b"1")
    assert files.list(folder) == ["a", "b", "c"]


def test_a_folder_name_is_published_only_once(files: Files, folder: str) -> None:
    """The first folder gets the name. The second is removed and not moved into the first; the call returns False."""
    files.write(f"{folder}/building/1/part", b"one")
    files.write(f"{folder}/building/2/part", b"two")
    assert files.publish_folder(f"{folder}/building/1", f"{folder}/datasets/v")
    assert not files.publish_folder(f"{folder}/building/2", f"{folder}/datasets/v")
    assert files.list(f"{folder}/datasets/v") == ["part"]
    assert files.read(f"{folder}/datasets/v/part") == b"one"
    assert files.list(f"{folder}/building") == []


def test_publishing_a_missing_folder_is_not_found(files: Files, folder: str) -> None:
    """Without a source folder, NotFound is raised."""
    with pytest.raises(NotFound):
        files.publish_folder(f"{folder}/nothing", f"{folder}/target")


def test_a_downloaded_folder_replaces_an_older_copy(files: Files, folder: str, tmp_path: Path) -> None:
    """Nested files are included; files of an older copy are removed."""
    files.write(f"{folder}/v/train.parquet/part-0", b"0")
    files.write(f"{folder}/v/manifest.json", b"{}")
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "old").write_bytes(b"old")
    local = files.download(f"{folder}/v", tmp_path)
    assert local == tmp_path / "v"
    assert (local / "train.parquet" / "part-0").read_bytes() == b"0"
    assert sorted(path.name for path in local.iterdir()) == ["manifest.json", "train.parquet"]
    assert files.download(f"{folder}/v/manifest.json", tmp_path).read_bytes() == b"{}"


def test_deleting_a_folder_removes_its_content(files: Files, folder: str) -> None:
    """Files and folders next to it remain."""
    files.write(f"{folder}/a/b/c", b"1")
    files.write(f"{folder}/ab", b"2")
    files.delete(f"{folder}/a")
    assert files.list(folder) == ["ab"]


def test_an_unreachable_hdfs_is_unavailable() -> None:
    """The error comes after the retries of the settings; it names the address, the operation and the attempts."""
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    files = HdfsFiles(Settings(hdfs=Hdfs(webhdfs="http://127.0.0.1:9", retries=1)))
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9.*read /a.*2 attempts"):
        files.read("/a")
