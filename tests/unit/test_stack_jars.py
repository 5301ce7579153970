"""Jars are fetched, verified and cached."""

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


class FakeRepository:
    """Replaces Ivy: writes the jars of a set and records the requested sets.

    Attributes:
        lock: the file with the hashes of its jars.
    """

    def __init__(self, lock: Path) -> None:
        self.lock = lock
        self.content = dict(CONTENT)
        self.requested: list[set[str]] = []

    def ensure(self, settings: Settings) -> Path:
        return jars.ensure_jars(settings, Path("java"), lambda _: None, lock=self.lock, fetch_sets=self.fetch)

    def fetch(self, names: set[str], java: Path, scratch: Path, progress: Callable[[str], None]) -> Path:
        self.requested.append(names)
        for name, content in self.content.items():
            if name.rsplit("/", 1)[0] in names:
                path = scratch / "sets" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return scratch / "sets"


@pytest.fixture
def repository(tmp_path: Path) -> FakeRepository:
    lock = tmp_path / "jars.lock"
    lock.write_text("# comment\n" + "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in CONTENT.items()))
    return FakeRepository(lock)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache")


def test_a_second_checkout_fetches_nothing(repository: FakeRepository, settings: Settings) -> None:
    """The cache is shared, and all users can read the jars."""
    folder = repository.ensure(settings)
    assert repository.ensure(settings) == folder
    assert len(repository.requested) == 1
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert all(path.stat().st_mode & 0o004 for path in folder.rglob("*.jar"))
    assert not list(folder.parent.glob(".fetch-*"))


def test_a_truncated_jar_is_fetched_again(repository: FakeRepository, settings: Settings) -> None:
    """A file that was changed after its verification is hashed again. If the hash differs, its set is fetched."""
    folder = repository.ensure(settings)
    (folder / "kafka/two-2.jar").write_bytes(b"tw")
    repository.ensure(settings)
    assert repository.requested[1:] == [{"kafka"}]
    assert (folder / "kafka/two-2.jar").read_bytes() == b"two"


def test_a_changed_jar_of_the_same_size_is_fetched_again(repository: FakeRepository, settings: Settings) -> None:
    """Its time stamp is newer, so it is hashed again."""
    folder = repository.ensure(settings)
    (folder / "kafka/two-2.jar").write_bytes(b"TWO")
    repository.ensure(settings)
    assert (folder / "kafka/two-2.jar").read_bytes() == b"two"


def test_a_jar_with_only_a_new_time_stamp_is_not_fetched_again(repository: FakeRepository, settings: Settings) -> None:
    """It is hashed again, and the hash is right."""
    folder = repository.ensure(settings)
    os.utime(folder / "delta/three-3.jar", (1, 1))
    repository.ensure(settings)
    assert len(repository.requested) == 1


def test_a_missing_jar_is_fetched_again(repository: FakeRepository, settings: Settings) -> None:
    """It is treated like a damaged one."""
    folder = repository.ensure(settings)
    (folder / "delta/three-3.jar").unlink()
    repository.ensure(settings)
    assert (folder / "delta/three-3.jar").exists()


def test_a_jar_that_does_not_match_the_lock_never_enters_the_cache(
    repository: FakeRepository, settings: Settings
) -> None:
    """The message has the file and both hashes. The cache is unchanged, and a later fetch can succeed."""
    repository.content["kafka/one-1.jar"] = b"evil"
    with pytest.raises(Unavailable, match=r"kafka/one-1\.jar: expected sha256 7692c3ad.*found "):
        repository.ensure(settings)
    assert not list(jars.jars_folder(settings, repository.lock).parent.rglob("*.jar"))
    repository.content = dict(CONTENT)
    repository.ensure(settings)


def test_remains_of_an_interrupted_fetch_are_removed(repository: FakeRepository, settings: Settings) -> None:
    """They are in a folder next to the cache, and the next fetch removes it."""
    remains = jars.jars_folder(settings, repository.lock).parent / ".fetch-dead"
    remains.mkdir(parents=True)
    repository.ensure(settings)
    assert not remains.exists()


def test_another_lock_has_its_own_cache_folder(repository: FakeRepository, settings: Settings) -> None:
    """So checkouts with different versions do not affect each other."""
    before = jars.jars_folder(settings, repository.lock)
    repository.lock.write_text(repository.lock.read_text() + "# newer\n")
    assert jars.jars_folder(settings, repository.lock) != before


def test_the_shipped_lock_covers_every_set_and_contains_no_url() -> None:
    """Each line has a hash and a path, and each set has jars."""
    shipped = Path(jars.__file__).with_name("jars.lock")
    lock = jars.read_lock(shipped)
    assert {name.rsplit("/", 1)[0] for name in lock} == set(jars.SETS)
    assert all(len(digest) == 64 for digest in lock.values())
    assert "://" not in shipped.read_text()


def test_lock_lines_are_hashes_and_relative_paths(tmp_path: Path) -> None:
    """They are sorted, so that a diff shows what changed."""
    for name in ("b/2.jar", "a/1.jar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    lines = lock_text(tmp_path).splitlines()
    assert [line.split()[1] for line in lines] == ["a/1.jar", "b/2.jar"]
    assert lines[0].split()[0] == hashlib.sha256(b"a/1.jar").hexdigest()


def test_ivy_is_called_with_exact_versions() -> None:
    """``jar_only`` leaves out all dependencies, ``exclude`` some of them."""
    text = ivy_file([Coordinates("g", "n", "1", jar_only=True), Coordinates("g", "m", "2", exclude=("core",))])
    assert 'org="g" name="n" rev="1" conf="default-&gt;default" transitive="false"' in text
    assert '<exclude name="core"/>' in text
