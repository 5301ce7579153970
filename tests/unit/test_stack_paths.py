"""Homes, caches and checkouts as people have them: Korean names, spaces, and characters that servers stumble over."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import plain_path
from kogpt2_chat.stack.folders import folders_of, make_folders, remove_all
from kogpt2_chat.stack.jars import classpath, spark_jars
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.plain_path import is_plain, link, plain
from kogpt2_chat.stack.preflight import check_settings
from kogpt2_chat.stack.roster import all_programs
from kogpt2_chat.stack.servers.hdfs import datanode_site
from kogpt2_chat.stack.servers.kafka import server_properties
from kogpt2_chat.stack.supervision import configuration

JAVA = Java(home=Path("/opt/java"), version=17)
ODD = ("별마루", "내 챗봇", "a#b", "a ;b", "100%", "a,b", "a?b", "a:b", "c++")


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The links of these tests go with the test."""
    folder = tmp_path / "links"
    monkeypatch.setattr(plain_path, "links_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("name", ODD)
def test_every_server_is_told_plain_paths(tmp_path: Path, name: str) -> None:
    """No file, command, folder or variable of a server has a path that it would misread; all lead into the home."""
    home, cache = tmp_path / name / "var", tmp_path / name / "cache"
    settings = Settings(home=home, cache=cache)
    folders = folders_of(settings)
    make_folders(folders)
    programs = all_programs(settings, folders, JAVA)
    told = [
        *(path for one in programs for path in (*one.folders, *one.files)),
        *(Path(str(value)) for one in programs for value in one.environment.values() if str(tmp_path) in str(value)),
        folders.socket,
    ]
    assert [path for path in told if name in str(path)] == []
    assert name not in configuration(folders, programs)
    assert name not in "".join(text for one in programs for text in (*one.files.values(), *one.command, one.setup))
    assert folders.data("kafka").parent.resolve() == home / "data"


def test_the_servers_that_were_seen_to_fail(tmp_path: Path) -> None:
    """Kafka reads Latin-1, and a comma means two folders; a DataNode dies of the escapes of its folder's address."""
    settings = Settings(home=tmp_path / "별마루 checkout, 2", cache=tmp_path)
    folders = folders_of(settings)
    logs = server_properties(settings, folders.data("kafka")).split("log.dirs=")[1].splitlines()[0]
    assert logs.isascii()
    assert "," not in logs
    assert "%" not in datanode_site(settings, folders, 1)["dfs.datanode.data.dir"]


def test_a_plain_path_needs_no_escape_in_an_address() -> None:
    """Hadoop unescapes nothing: of `/srv/c++` as `file:///srv/c%2B%2B` it makes another folder, then a format."""
    plain_characters = [sign for sign in map(chr, range(256)) if is_plain(Path(f"/srv/{sign}"))]
    assert "a" in plain_characters
    assert [sign for sign in plain_characters if "%" in Path(f"/srv/{sign}").as_uri()] == []


def test_a_plain_home_has_no_link(tmp_path: Path, links: Path) -> None:
    """Nothing changes for those who never needed one, data of earlier releases included."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    folders = folders_of(settings)
    make_folders(folders)
    assert folders.data("kafka") == tmp_path / "home" / "data" / "kafka"
    assert not links.exists()


def test_class_paths_are_plain(tmp_path: Path) -> None:
    """A cache in a Korean user's home: a colon would end a class path, a comma Spark's list of jars."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "홍길동, a:b" / "cache")
    assert all(is_plain(jar) for jar in spark_jars(settings))
    assert is_plain(Path(classpath(settings, "kafka").removesuffix("/*")))


def test_links_are_closed_to_others_and_go_with_the_home(tmp_path: Path, links: Path) -> None:
    """Others may pass through the folder of links and change nothing; `--wipe` removes the home's link."""
    settings = Settings(home=tmp_path / "별", cache=tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    assert links.stat().st_mode & 0o777 == 0o711
    assert plain(folders.home).readlink() == folders.home
    assert remove_all(folders) == []
    assert list(links.iterdir()) == []


def test_a_cleaner_of_temporary_folders_keeps_links(tmp_path: Path, links: Path) -> None:
    """A stack runs for months; without its link Kafka could not open its next segment. Links of earlier starts too."""
    links.mkdir()
    other = links / "other"
    plain(tmp_path / "별").symlink_to(tmp_path / "별")
    other.symlink_to(tmp_path)
    for path in links.iterdir():
        os.utime(path, (1, 1), follow_symlinks=False)
    address = link(tmp_path / "별")
    assert address.lstat().st_mtime > time.time() + 10 * 365 * 86400
    if cleaner := shutil.which("systemd-tmpfiles"):
        rules = tmp_path / "rules.conf"
        rules.write_text(f"d {links} 0711 - - 1us\n")
        subprocess.run([cleaner, "--clean", rules], check=True)
        assert list(links.iterdir()) == [address]


def test_a_link_that_leads_elsewhere_is_refused(tmp_path: Path, links: Path) -> None:
    """Servers would write into another folder."""
    links.mkdir()
    plain(tmp_path / "별").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="leads to .*elsewhere, expected .*별"):
        link(tmp_path / "별")


@pytest.mark.parametrize("root", ["/챗봇", "/a b", "/a%20b", "/a#b", "Chatbot", ""])
def test_a_folder_on_hdfs_that_two_clients_would_spell_differently_is_refused(root: str) -> None:
    """Seen on a real NameNode: the Delta library made `/%EC%B1%97%EB%B4%87` and `/a`, and WebHDFS found nothing."""
    with pytest.raises(ValidationError, match=r"hdfs\.root"):
        Settings(hdfs={"root": root})
    assert Settings(hdfs={"root": "/Chatbot-2/a.b_c,d"}).hdfs.root == "/Chatbot-2/a.b_c,d"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("line\nfeed", r"U\+000A"),
        ("tab\t", r"U\+0009"),
        ("line\u2028separator", r"U\+2028"),
        (b"\xc7\xd1".decode("utf-8", "surrogateescape"), "bytes that are no UTF-8"),
    ],
)
def test_paths_that_cannot_be_written_down_are_refused(tmp_path: Path, name: str, found: str) -> None:
    """Control characters and names in another encoding: exit 2 with the reason, before anything starts."""
    settings = Settings.model_construct(home=tmp_path / name, cache=tmp_path)
    expected = f"KOGPT2_HOME is .*expected a path of UTF-8 text without control characters, found {found}"
    with pytest.raises(InvalidInput, match=expected):
        check_settings(settings)


@pytest.mark.parametrize("name", ["내\u3000챗봇", "my\u00a0bot", "👩\u200d🚀", "한글"])
def test_a_name_that_can_be_written_down_is_served(tmp_path: Path, name: str) -> None:
    """An input method types a wide space for a space, and emoji have joiners: a link stands for such a folder."""
    settings = Settings(home=tmp_path / name, cache=tmp_path)
    check_settings(settings)
    make_folders(folders_of(settings))
    assert is_plain(folders_of(settings).plain_home)
