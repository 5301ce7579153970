"""Folders and files that root writes where others may write too."""

import os
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.stack.folders import Folders, make_folders
from kogpt2_chat.stack.own import give_folder, own_folder, write_file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
NOBODY = 65534


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Whoever made `start.sh` a link to root's file would have it overwritten by `up`."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    path = tmp_path / "start.sh"
    path.symlink_to(theirs)
    write_file(path, "내 것")
    assert theirs.read_text() == "theirs"
    assert not path.is_symlink()
    assert path.read_text(encoding="utf-8") == "내 것"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_hard_link_in_a_files_place_is_replaced(tmp_path: Path) -> None:
    """The other name of the file keeps its content."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "start.sh").hardlink_to(theirs)
    write_file(tmp_path / "start.sh", "ours")
    assert theirs.read_text() == "theirs"


def test_a_link_in_the_place_of_a_folder_of_ours_is_refused(tmp_path: Path) -> None:
    """The fallback's name can be known before: a link there would lead root wherever its maker likes."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "fallback").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="fallback is a link, not a folder of user id"):
        own_folder(tmp_path / "fallback", 0o711)
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


@needs_root
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    """Its owner could exchange what is in it at any moment; the home's fallback is such a folder."""
    fallback = tmp_path / "fallback"
    fallback.mkdir()
    os.chown(fallback, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match=f"fallback is of user id {NOBODY}"):
        make_folders(Folders(home=tmp_path / "home", open_home=fallback))
    assert fallback.stat().st_uid == NOBODY


@needs_root
def test_a_link_that_another_user_made_is_no_folder_to_give_away(tmp_path: Path) -> None:
    """Elasticsearch's user owns its data folder, and must not be given root's folders through a link in it."""
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o700)
    link = tmp_path / "scratch"
    link.symlink_to(roots)
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match="link of another user"):
        give_folder(link, 0o700, "nobody")
    assert roots.stat().st_uid == 0


def test_a_link_of_our_own_to_another_disk_is_followed(tmp_path: Path) -> None:
    """People move a server's data to a larger disk and leave a link."""
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "kafka").symlink_to(tmp_path / "disk")
    give_folder(tmp_path / "kafka", 0o700)
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700
