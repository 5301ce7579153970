"""Jars: what is fetched, checked and kept."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import jars
from kogpt2_chat.stack.ivy import Coordinates, ivy_file
from kogpt2_chat.stack.lock_jars import lock_text

CONTENT = {"kafka/one-1.jar": b"one", "kafka/two-2.jar": b"two", "delta/three-3.jar": b"three"}


class Repository:
    """Stands for Ivy: writes the jars of a set, and counts how often it is asked."""

    def __init__(self) -> None:
        self.content = dict(CONTENT)
        self.asked: list[set[str]] = []

    def fetch(self, names: set[str], java: Path, scratch: Path, progress: Callable[[str], None]) -> Path:
        self.asked.append(names)
        for name, content in self.content.items():
            if name.rsplit("/", 1)[0] in names:
                path = scratch / "sets" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return scratch / "sets"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    lock = tmp_path / "jars.lock"
    lock.write_text("# comment\n" + "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in CONTENT.items()))
    repository = Repository()
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setattr(jars, "fetch_sets", repository.fetch)
    monkeypatch.setattr(jars.read_lock, "__defaults__", (lock,))
    return repository


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache")


def ensure(settings: Settings) -> Path:
    return jars.ensure_jars(settings, Path("java"), lambda _: None)


def test_a_second_checkout_fetches_nothing(repository: Repository, settings: Settings) -> None:
    """The cache is shared: whoever comes second finds everything there, readable for every user."""
    folder = ensure(settings)
    assert ensure(settings) == folder
    assert len(repository.asked) == 1
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert all(path.stat().st_mode & 0o004 for path in folder.rglob("*.jar"))
    assert not list(folder.parent.glob(".fetch-*"))


def test_a_jar_cut_short_is_fetched_again(repository: Repository, settings: Settings) -> None:
    """A file that is not as it was when it was verified is hashed anew, and its set fetched if need be."""
    folder = ensure(settings)
    (folder / "kafka/two-2.jar").write_bytes(b"tw")
    ensure(settings)
    assert repository.asked[1:] == [{"kafka"}]
    assert (folder / "kafka/two-2.jar").read_bytes() == b"two"


def test_a_jar_changed_without_a_change_of_size_is_noticed(repository: Repository, settings: Settings) -> None:
    """Size alone proves nothing."""
    folder = ensure(settings)
    (folder / "kafka/two-2.jar").write_bytes(b"TWO")
    ensure(settings)
    assert (folder / "kafka/two-2.jar").read_bytes() == b"two"


def test_a_jar_merely_touched_is_not_fetched_again(repository: Repository, settings: Settings) -> None:
    """A new time stamp costs one hash, no network."""
    folder = ensure(settings)
    os.utime(folder / "delta/three-3.jar", (1, 1))
    ensure(settings)
    assert len(repository.asked) == 1


def test_a_removed_jar_is_fetched_again(repository: Repository, settings: Settings) -> None:
    """Missing is a fault like any other."""
    folder = ensure(settings)
    (folder / "delta/three-3.jar").unlink()
    ensure(settings)
    assert (folder / "delta/three-3.jar").exists()


def test_a_jar_that_is_not_what_the_lock_promises_is_never_published(
    repository: Repository, settings: Settings
) -> None:
    """The message names file, expected and found hash; the cache stays as it was; later it works."""
    repository.content["kafka/one-1.jar"] = b"evil"
    with pytest.raises(Unavailable, match=r"kafka/one-1\.jar: expected sha256 7692c3ad.*found "):
        ensure(settings)
    assert not list(jars.jars_folder(settings).parent.rglob("*.jar"))
    repository.content = dict(CONTENT)
    ensure(settings)


def test_what_an_interrupted_fetch_left_is_swept_away(repository: Repository, settings: Settings) -> None:
    """Half-fetched files live beside the cache, and the next fetch removes them."""
    left = jars.jars_folder(settings).parent / ".fetch-dead"
    left.mkdir(parents=True)
    ensure(settings)
    assert not left.exists()


def test_another_lock_has_a_folder_of_its_own(
    repository: Repository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout with other versions does not disturb this one."""
    before = jars.jars_folder(settings)
    jars.LOCK.write_text(jars.LOCK.read_text() + "# newer\n")
    assert jars.jars_folder(settings) != before


def test_the_shipped_lock_covers_every_set_and_names_no_address() -> None:
    """One hash and one path a line; each set has its jars."""
    shipped = Path(jars.__file__).with_name("jars.lock")
    lock = jars.read_lock(shipped)
    assert {name.rsplit("/", 1)[0] for name in lock} == set(jars.SETS)
    assert all(len(digest) == 64 for digest in lock.values())
    assert "://" not in shipped.read_text()


def test_lock_lines_are_hashes_and_relative_paths(tmp_path: Path) -> None:
    """Sorted, so that a diff shows what changed."""
    for name in ("b/2.jar", "a/1.jar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    lines = lock_text(tmp_path).splitlines()
    assert [line.split()[1] for line in lines] == ["a/1.jar", "b/2.jar"]
    assert lines[0].split()[0] == hashlib.sha256(b"a/1.jar").hexdigest()


def test_ivy_is_asked_for_exact_versions() -> None:
    """``alone`` leaves dependencies out, ``without`` some of them."""
    text = ivy_file([Coordinates("g", "n", "1", alone=True), Coordinates("g", "m", "2", without=("core",))])
    assert 'org="g" name="n" rev="1" conf="default-&gt;default" transitive="false"' in text
    assert '<exclude name="core"/>' in text
