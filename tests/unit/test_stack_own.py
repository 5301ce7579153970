"""Folders and files that root creates in places where other users can write too."""

import os
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.stack.folders import Folders, make_folders
from kogpt2_chat.stack.ownership import ensure_folder, ensure_own_folder, write_file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
NOBODY = 65534


def test_an_existing_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Otherwise `up` could overwrite a file of root through a link that another user created."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    path = tmp_path / "start.sh"
    path.symlink_to(theirs)
    write_file(path, "내 것")
    assert theirs.read_text() == "theirs"
    assert not path.is_symlink()
    assert path.read_text(encoding="utf-8") == "내 것"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_existing_hard_link_is_replaced(tmp_path: Path) -> None:
    """The content under the other name is unchanged."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "start.sh").hardlink_to(theirs)
    write_file(tmp_path / "start.sh", "ours")
    assert theirs.read_text() == "theirs"


def test_a_link_instead_of_an_own_folder_is_refused(tmp_path: Path) -> None:
    """The path of the fallback folder is predictable, so another user could redirect files of root by a link."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "fallback").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="fallback is a link, expected a folder owned by user id"):
        ensure_own_folder(tmp_path / "fallback", 0o711)
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


@needs_root
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    """Its owner could replace its content at any time."""
    fallback = tmp_path / "fallback"
    fallback.mkdir()
    os.chown(fallback, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match=f"fallback is owned by user id {NOBODY}"):
        make_folders(Folders(home=tmp_path / "home", open_home=fallback))
    assert fallback.stat().st_uid == NOBODY


@needs_root
def test_another_users_link_is_not_followed(tmp_path: Path) -> None:
    """The user of Elasticsearch could otherwise become the owner of a folder of root by a link in its data folder."""
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o700)
    link = tmp_path / "scratch"
    link.symlink_to(roots)
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match="another user's link"):
        ensure_folder(link, 0o700, "nobody")
    assert roots.stat().st_uid == 0


def test_our_own_link_to_another_disk_is_followed(tmp_path: Path) -> None:
    """Operators move the data of a server to a larger disk and replace the folder by a link."""
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "kafka").symlink_to(tmp_path / "disk")
    ensure_folder(tmp_path / "kafka", 0o700)
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700
