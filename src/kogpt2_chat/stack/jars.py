"""The servers' jars: the list of artifacts, their expected hashes, and the cache that all checkouts share.

The Ivy that is bundled in pyspark fetches them; this module names no repository. ``jars.lock`` has the SHA-256 of
every file. The name of a cache folder is the hash of the lock and of the module files, so its content never changes,
and checkouts with different locks do not affect each other.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.elasticsearch_modules import EMPTY_FOLDERS, MODULE_FILES
from kogpt2_chat.stack.ivy import Coordinates, ProcessGroup, fetch
from kogpt2_chat.stack.plain_path import link, plain

LOCK: Final = Path(__file__).with_name("jars.lock")
STAMP: Final = "verified.json"
_HADOOP: Final = "org.apache.hadoop"
_ELASTIC: Final = "7.17.29"
_DELTA: Final = "4.4.0"
_ES: Final = "elasticsearch"

SETS: Final[Mapping[str, tuple[Coordinates, ...]]] = {
    "kafka": (
        Coordinates("org.apache.kafka", "kafka_2.13", "4.4.0"),
        # Without an SLF4J binding the broker logs nothing.
        Coordinates("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
    ),
    "hdfs": (
        *(
            Coordinates(_HADOOP, f"hadoop-client-{part}", "3.5.0", jar_only=True)
            for part in ("api", "runtime", "minicluster")
        ),
        Coordinates("org.slf4j", "slf4j-api", "1.7.36", jar_only=True),
        Coordinates("org.slf4j", "slf4j-reload4j", "1.7.36", jar_only=True),
        Coordinates("ch.qos.reload4j", "reload4j", "1.2.25", jar_only=True),
        Coordinates("commons-logging", "commons-logging", "1.3.5", jar_only=True),
    ),
    f"{_ES}/lib": (Coordinates("org.elasticsearch", "elasticsearch", _ELASTIC),),
    f"{_ES}/modules/transport-netty4": (Coordinates("org.elasticsearch.plugin", "transport-netty4-client", _ELASTIC),),
    f"{_ES}/modules/reindex": (
        # elasticsearch-core is already in lib; with a second copy the server refuses to start ("jar hell").
        Coordinates("org.elasticsearch.plugin", "reindex-client", _ELASTIC, exclude=("elasticsearch-core",)),
    ),
    # Only the jars that pyspark does not bundle; dependencies would add a second Hadoop, Jackson and Scala.
    "delta": (
        Coordinates("io.delta", "delta-spark_4.2_2.13", _DELTA, jar_only=True),
        Coordinates("io.delta", "delta-storage", _DELTA, jar_only=True),
        *(
            Coordinates("io.delta", f"delta-kernel-{part}", _DELTA, jar_only=True)
            for part in ("api", "defaults", "unitycatalog")
        ),
        Coordinates("io.unitycatalog", "unitycatalog-client", "0.6.0", jar_only=True),
        Coordinates("io.unitycatalog", "unitycatalog-hadoop", "0.6.0", jar_only=True),
    ),
}


FetchSets = Callable[[set[str], Path, Path, Callable[[str], None]], Path]
"""Fetches the named sets: called with their names, the ``java`` binary, a temporary folder and the progress."""


def fetch_sets(names: set[str], java: Path, scratch: Path, progress: Callable[[str], None]) -> Path:
    """Fetch whole sets into ``scratch/sets``, several at a time, and return that folder."""
    target = scratch / "sets"
    wanted = [name for name in SETS if name in names]
    group = ProcessGroup()
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = [pool.submit(fetch, SETS[name], java, target / name, scratch, progress, group) for name in wanted]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # after an interrupt, do not wait for a slow network
            pool.shutdown(wait=False, cancel_futures=True)
            group.end()
            raise
    return target


def jars_folder(settings: Settings, lock: Path = LOCK) -> Path:
    """Return the cache folder for the jars of a lock; it may not exist yet."""
    content = lock.read_text() + json.dumps([MODULE_FILES, EMPTY_FOLDERS], sort_keys=True)
    return settings.cache_dir / "jars" / hashlib.sha256(content.encode()).hexdigest()[:16]


def plain_jars(settings: Settings) -> Path:
    """Return the plain path of the jars: a colon would split a class path, a comma would split Spark's list of jars."""
    return plain(jars_folder(settings).resolve())


def classpath(settings: Settings, *sets: str) -> str:
    """Return the Java class path of whole sets, e.g. ``kafka``."""
    return ":".join(str(plain_jars(settings) / name / "*") for name in sets)


def spark_jars(settings: Settings) -> list[Path]:
    """Return the jars that Spark needs to read and write Delta tables."""
    folder = link(jars_folder(settings).resolve())
    return [folder / name for name in read_lock() if name.startswith("delta/")]


def read_lock(lock: Path = LOCK) -> dict[str, str]:
    """Return the SHA-256 of each file, by ``folder/file.jar``."""
    pairs = (line.split(maxsplit=1) for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    return {name.strip(): digest for digest, name in pairs}


def ensure_jars(
    settings: Settings,
    java: Path,
    progress: Callable[[str], None],
    *,
    lock: Path = LOCK,
    fetch_sets: FetchSets = fetch_sets,
) -> Path:
    """Make sure that every jar of the lock is in the cache, complete and verified.

    Missing, truncated or changed files are fetched again. A second checkout reuses the cache.

    Args:
        settings: contains the path of the cache.
        java: the ``java`` binary that runs Ivy.
        progress: called with lines about what is fetched.
        lock: the file with the jars' hashes.
        fetch_sets: fetches whole sets.

    Returns:
        The folder with the sets.

    Raises:
        Unavailable: the jars cannot be fetched, or do not match the lock.
    """
    folder, digest_by_name = jars_folder(settings, lock), read_lock(lock)
    if not _faults(folder, digest_by_name):
        return folder
    with _fetch_lock(folder.parent, progress):
        if faults := _faults(folder, digest_by_name):
            names = {fault.rsplit("/", 1)[0] for fault in faults}
            progress(f"jars: {len(faults)} files missing or damaged, {len(digest_by_name)} jars in the lock")
            with _scratch(folder.parent) as scratch:
                _replace(folder, digest_by_name, faults, fetch_sets(names, java, scratch, progress))
            progress(f"jars: all {len(digest_by_name)} verified")
    return folder


def _faults(folder: Path, lock: Mapping[str, str]) -> list[str]:
    """Return the files that are missing or do not match the lock. Files unchanged since their last hash are skipped."""
    try:
        stamp: dict[str, list[int]] = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        stamp = {}
    faults, fresh = [], dict(stamp)
    for name, digest in lock.items():
        path = folder / name
        if not path.is_file():
            faults.append(name)
        elif stamp.get(name) != (size_and_time := _size_and_time(path)):
            if sha256(path) == digest:
                fresh[name] = size_and_time
            else:
                faults.append(name)
    faults += [name for name, text in MODULE_FILES.items() if _text(folder / name) != text]
    faults += [name for name in EMPTY_FOLDERS if not (folder / name).is_dir()]
    if fresh != stamp and not faults and os.access(folder, os.W_OK):
        _write_stamp(folder, fresh)
    return faults


def _replace(folder: Path, lock: Mapping[str, str], faults: list[str], fetched: Path) -> None:
    """Verify the fetched files, and only then move those that were missing or damaged into the cache."""
    wrong = [name for name in faults if name in lock and _digest(fetched / name) != lock[name]]
    if wrong:
        raise Unavailable(
            f"{len(wrong)} jars do not match {LOCK.name}, the first is {wrong[0]}: expected sha256 "
            f"{lock[wrong[0]]}, found {_digest(fetched / wrong[0]) or 'no file'}; try again. If the error remains, "
            "the repository may serve wrong files"
        )
    for name in (fault for fault in faults if fault in lock):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (fetched / name).replace(folder / name)
    for name in EMPTY_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in MODULE_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    _write_stamp(folder, {name: _size_and_time(folder / name) for name in lock})
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@contextmanager
def _fetch_lock(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Let only one process at a time fetch; the others wait, and then find the jars in the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, folder.parent):
        if os.access(path, os.W_OK) and path.stat().st_uid == os.geteuid():
            path.chmod(0o755)
    with hold_lock(folder / "fetch.lock", progress, "jars: another process"):
        yield


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder on the cache's file system; those of interrupted fetches are removed first."""
    for left in parent.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _digest(path: Path) -> str:
    return sha256(path) if path.is_file() else ""


def _size_and_time(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _write_stamp(folder: Path, stamp: Mapping[str, list[int]]) -> None:
    new = folder / f".{STAMP}.{os.getpid()}"
    new.write_text(json.dumps(stamp))
    new.replace(folder / STAMP)
