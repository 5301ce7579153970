"""What Files promises, on the double and on a real HDFS."""

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
    """A folder of this test alone: the server outlives the test."""
    path = f"/contract/{uuid.uuid4().hex}"
    yield path
    files.delete(path)


def test_a_written_file_is_read_back_whole(files: Files, folder: str) -> None:
    """Korean names and any bytes; the folders above are made."""
    content = "안녕하세요".encode() + bytes(range(256))
    files.write(f"{folder}/깊은 곳/인사.bin", content)
    assert files.read(f"{folder}/깊은 곳/인사.bin") == content


def test_an_empty_file_is_a_file(files: Files, folder: str) -> None:
    """Nothing is a content, too."""
    files.write(f"{folder}/empty", b"")
    assert files.read(f"{folder}/empty") == b""
    assert files.exists(f"{folder}/empty")


def test_writing_again_replaces_and_leaves_nothing_beside(files: Files, folder: str) -> None:
    """A shorter content does not keep the longer one's tail; no file that was written aside is left."""
    files.write(f"{folder}/a", b"first and long")
    files.write(f"{folder}/a", b"second")
    assert files.read(f"{folder}/a") == b"second"
    assert files.list(folder) == ["a"]


def test_what_is_not_there_is_not_found(files: Files, folder: str) -> None:
    """Reading and downloading say so; listing is empty; deleting does nothing."""
    with pytest.raises(NotFound, match="missing"):
        files.read(f"{folder}/missing")
    with pytest.raises(NotFound):
        files.download(f"{folder}/missing", Path("/nonexistent-is-never-made"))
    assert files.list(f"{folder}/missing") == []
    assert not files.exists(f"{folder}/missing")
    files.delete(f"{folder}/missing")


def test_names_in_a_folder_are_sorted_and_not_deep(files: Files, folder: str) -> None:
    """Files and folders of one level."""
    for name in ("b", "a/x", "a/y", "c/z/z"):
        files.write(f"{folder}/{name}", b"1")
    assert files.list(folder) == ["a", "b", "c"]


def test_a_folder_is_published_once(files: Files, folder: str) -> None:
    """The first gets the name; the second is told so, removed, and never moved into the first."""
    files.write(f"{folder}/building/1/part", b"one")
    files.write(f"{folder}/building/2/part", b"two")
    assert files.publish_folder(f"{folder}/building/1", f"{folder}/datasets/v")
    assert not files.publish_folder(f"{folder}/building/2", f"{folder}/datasets/v")
    assert files.list(f"{folder}/datasets/v") == ["part"]
    assert files.read(f"{folder}/datasets/v/part") == b"one"
    assert files.list(f"{folder}/building") == []


def test_publishing_nothing_is_not_found(files: Files, folder: str) -> None:
    """There is no folder to rename."""
    with pytest.raises(NotFound):
        files.publish_folder(f"{folder}/nothing", f"{folder}/target")


def test_a_folder_is_downloaded_whole_and_replaces_an_older_copy(files: Files, folder: str, tmp_path: Path) -> None:
    """Nested files come along; files of an older copy do not stay."""
    files.write(f"{folder}/v/train.parquet/part-0", b"0")
    files.write(f"{folder}/v/manifest.json", b"{}")
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "old").write_bytes(b"old")
    local = files.download(f"{folder}/v", tmp_path)
    assert local == tmp_path / "v"
    assert (local / "train.parquet" / "part-0").read_bytes() == b"0"
    assert sorted(path.name for path in local.iterdir()) == ["manifest.json", "train.parquet"]
    assert files.download(f"{folder}/v/manifest.json", tmp_path).read_bytes() == b"{}"


def test_deleting_removes_all_below(files: Files, folder: str) -> None:
    """A folder goes with its content, and nothing beside it."""
    files.write(f"{folder}/a/b/c", b"1")
    files.write(f"{folder}/ab", b"2")
    files.delete(f"{folder}/a")
    assert files.list(folder) == ["ab"]


def test_an_absent_hdfs_is_unavailable_and_names_its_address() -> None:
    """After the retries of the settings, with a sentence that a person can act on."""
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    files = HdfsFiles(Settings(hdfs=Hdfs(webhdfs="http://127.0.0.1:9", retries=1)))
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9.*read /a.*2 attempts"):
        files.read("/a")
