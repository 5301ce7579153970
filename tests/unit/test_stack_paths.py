"""Homes and caches with Korean names, spaces and other characters that servers misread."""

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
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.stack.servers.hdfs import datanode_site
from kogpt2_chat.stack.servers.kafka import server_properties
from kogpt2_chat.stack.supervision import configuration

JAVA = Java(home=Path("/opt/java"), version=17)
MISREAD_NAMES = ("별마루", "내 챗봇", "a#b", "a ;b", "100%", "a,b", "a?b", "a:b", "c++")


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the links of these tests into a temporary folder."""
    folder = tmp_path / "links"
    monkeypatch.setattr(plain_path, "links_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("name", MISREAD_NAMES)
def test_every_server_gets_plain_paths(tmp_path: Path, name: str) -> None:
    """No file, command, folder or variable of a server contains the name. The data is in the home nevertheless."""
    home, cache = tmp_path / name / "var", tmp_path / name / "cache"
    settings = Settings(home=home, cache=cache)
    folders = folders_of(settings)
    make_folders(folders)
    programs = all_programs(settings, folders, JAVA)
    paths = [
        *(path for one in programs for path in (*one.folders, *one.files)),
        *(Path(str(value)) for one in programs for value in one.environment.values() if str(tmp_path) in str(value)),
        folders.socket,
    ]
    assert [path for path in paths if name in str(path)] == []
    assert name not in configuration(folders, programs)
    assert name not in "".join(text for one in programs for text in (*one.files.values(), *one.command, one.setup))
    assert folders.data("kafka").parent.resolve() == home / "data"


def test_kafka_and_datanodes_get_paths_that_they_can_parse(tmp_path: Path) -> None:
    """Kafka reads Latin-1 and splits at commas. DataNodes fail on percent escapes in the URI of their folder."""
    settings = Settings(home=tmp_path / "별마루 checkout, 2", cache=tmp_path)
    folders = folders_of(settings)
    logs = server_properties(settings, folders.data("kafka")).split("log.dirs=")[1].splitlines()[0]
    assert logs.isascii()
    assert "," not in logs
    assert "%" not in datanode_site(settings, folders, 1)["dfs.datanode.data.dir"]


def test_a_plain_path_has_no_escapes_in_a_uri() -> None:
    """Hadoop does not decode escapes, so it reads `file:///srv/c%2B%2B` (`/srv/c++`) as another folder."""
    plain_characters = [char for char in map(chr, range(256)) if is_plain(Path(f"/srv/{char}"))]
    assert "a" in plain_characters
    assert [char for char in plain_characters if "%" in Path(f"/srv/{char}").as_uri()] == []


def test_a_plain_home_needs_no_link(tmp_path: Path, links: Path) -> None:
    """Its paths are unchanged, so the data of earlier releases is found."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    folders = folders_of(settings)
    make_folders(folders)
    assert folders.data("kafka") == tmp_path / "home" / "data" / "kafka"
    assert not links.exists()


def test_class_paths_are_plain(tmp_path: Path) -> None:
    """A colon would split a class path, and a comma would split the list of jars for Spark."""
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "홍길동, a:b" / "cache")
    assert all(is_plain(jar) for jar in spark_jars(settings))
    assert is_plain(Path(classpath(settings, "kafka").removesuffix("/*")))


def test_links_are_protected_and_removed_with_the_home(tmp_path: Path, links: Path) -> None:
    """Other users can enter the folder of links but not change it."""
    settings = Settings(home=tmp_path / "별", cache=tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    assert links.stat().st_mode & 0o777 == 0o711
    assert plain(folders.home).readlink() == folders.home
    assert remove_all(folders) == []
    assert list(links.iterdir()) == []


def test_a_cleaner_of_temporary_folders_keeps_links(tmp_path: Path, links: Path) -> None:
    """A stack runs for months. Without its link, Kafka could not open its next segment."""
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


def test_a_link_to_another_folder_is_refused(tmp_path: Path, links: Path) -> None:
    """Otherwise servers would write to the wrong folder."""
    links.mkdir()
    plain(tmp_path / "별").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="points to .*elsewhere, expected .*별"):
        link(tmp_path / "별")


@pytest.mark.parametrize("root", ["/챗봇", "/a b", "/a%20b", "/a#b", "Chatbot", ""])
def test_an_hdfs_root_that_clients_spell_differently_is_refused(root: str) -> None:
    """For `/챗봇`, the Delta library creates `/%EC%B1%97%EB%B4%87`, which WebHDFS does not find."""
    with pytest.raises(ValidationError, match=r"hdfs\.root"):
        Settings(hdfs={"root": root})
    assert Settings(hdfs={"root": "/Chatbot-2/a.b_c,d"}).hdfs.root == "/Chatbot-2/a.b_c,d"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("line\nfeed", r"U\+000A"),
        ("tab\t", r"U\+0009"),
        ("line\u2028separator", r"U\+2028"),
        (b"\xc7\xd1".decode("utf-8", "surrogateescape"), "bytes that are not UTF-8"),
    ],
)
def test_paths_that_a_configuration_file_cannot_contain_are_refused(tmp_path: Path, name: str, found: str) -> None:
    """The message has the reason: a control character, or a name in another encoding."""
    settings = Settings.model_construct(home=tmp_path / name, cache=tmp_path)
    expected = f"KOGPT2_HOME is .*expected a path of UTF-8 text without control characters, found {found}"
    with pytest.raises(InvalidInput, match=expected):
        check_settings(settings)


@pytest.mark.parametrize("name", ["내\u3000챗봇", "my\u00a0bot", "👩\u200d🚀", "한글"])
def test_other_unusual_names_are_accepted(tmp_path: Path, name: str) -> None:
    """Input methods insert ideographic spaces, and emoji contain joiners. Servers use a link to such a folder."""
    settings = Settings(home=tmp_path / name, cache=tmp_path)
    check_settings(settings)
    make_folders(folders_of(settings))
    assert is_plain(folders_of(settings).plain_home)
