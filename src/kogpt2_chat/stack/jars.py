"""The servers' jars: which ones, what they must hash to, and a cache that all checkouts share.

Ivy, as bundled in pyspark, fetches; nothing here knows where from. ``jars.lock`` holds the SHA-256 of
every file. A cache folder is named by the hash of the lock, so that it never changes its content:
checkouts with different locks do not disturb each other.
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
from kogpt2_chat.machine.in_turn import in_turn
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.ivy import Coordinates, Together, fetch
from kogpt2_chat.stack.modules import EMPTY_FOLDERS, MODULE_FILES
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
        # Without a binding the broker logs nothing at all.
        Coordinates("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
    ),
    "hdfs": (
        *(
            Coordinates(_HADOOP, f"hadoop-client-{part}", "3.5.0", alone=True)
            for part in ("api", "runtime", "minicluster")
        ),
        Coordinates("org.slf4j", "slf4j-api", "1.7.36", alone=True),
        Coordinates("org.slf4j", "slf4j-reload4j", "1.7.36", alone=True),
        Coordinates("ch.qos.reload4j", "reload4j", "1.2.25", alone=True),
        Coordinates("commons-logging", "commons-logging", "1.3.5", alone=True),
    ),
    f"{_ES}/lib": (Coordinates("org.elasticsearch", "elasticsearch", _ELASTIC),),
    f"{_ES}/modules/transport-netty4": (Coordinates("org.elasticsearch.plugin", "transport-netty4-client", _ELASTIC),),
    f"{_ES}/modules/reindex": (
        # elasticsearch-core is in lib already: twice is "jar hell" and the server refuses to start.
        Coordinates("org.elasticsearch.plugin", "reindex-client", _ELASTIC, without=("elasticsearch-core",)),
    ),
    # Only what pyspark does not bundle itself; the rest would bring a second Hadoop, Jackson and Scala.
    "delta": (
        Coordinates("io.delta", "delta-spark_4.2_2.13", _DELTA, alone=True),
        Coordinates("io.delta", "delta-storage", _DELTA, alone=True),
        *(
            Coordinates("io.delta", f"delta-kernel-{part}", _DELTA, alone=True)
            for part in ("api", "defaults", "unitycatalog")
        ),
        Coordinates("io.unitycatalog", "unitycatalog-client", "0.6.0", alone=True),
        Coordinates("io.unitycatalog", "unitycatalog-hadoop", "0.6.0", alone=True),
    ),
}


def jars_folder(settings: Settings) -> Path:
    """Where the jars of this checkout's lock are, or will be."""
    content = LOCK.read_text() + json.dumps([MODULE_FILES, EMPTY_FOLDERS], sort_keys=True)
    return settings.cache_dir / "jars" / hashlib.sha256(content.encode()).hexdigest()[:16]


def plain_jars(settings: Settings) -> Path:
    """The same by an address that every server understands: a colon ends a class path, a comma Spark's list of jars."""
    return plain(jars_folder(settings).resolve())


def classpath(settings: Settings, *sets: str) -> str:
    """Java class path of whole sets, e.g. ``kafka``."""
    return ":".join(str(plain_jars(settings) / name / "*") for name in sets)


def spark_jars(settings: Settings) -> list[Path]:
    """The jars that Spark needs to read and write Delta tables."""
    folder = link(jars_folder(settings).resolve())
    return [folder / name for name in read_lock() if name.startswith("delta/")]


def read_lock(lock: Path = LOCK) -> dict[str, str]:
    """SHA-256 by ``folder/file.jar``."""
    pairs = (line.split(maxsplit=1) for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    return {name.strip(): digest for digest, name in pairs}


def ensure_jars(settings: Settings, java: Path, progress: Callable[[str], None]) -> Path:
    """Have every jar of the lock in the cache, whole and verified.

    A second checkout finds them there; a file that is missing, cut short or changed is fetched again.

    Args:
        settings: name the cache.
        java: the ``java`` binary that runs Ivy.
        progress: told what is fetched.

    Returns:
        The folder that holds the sets.

    Raises:
        Unavailable: the jars cannot be fetched, or are not what the lock promises.
    """
    folder, lock = jars_folder(settings), read_lock()
    if not _faults(folder, lock):
        return folder
    with _alone(folder.parent, progress):
        faults = _faults(folder, lock)
        if faults:
            _refetch(folder, lock, faults, java, progress)
    return folder


def _faults(folder: Path, lock: Mapping[str, str]) -> list[str]:
    """Files that are not what the lock says; a file as it was when it was hashed is not hashed again."""
    try:
        stamp: dict[str, list[int]] = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        stamp = {}
    faults, fresh = [], dict(stamp)
    for name, digest in lock.items():
        path = folder / name
        if not path.is_file():
            faults.append(name)
        elif stamp.get(name) != (seen := _seen(path)):
            if sha256(path) == digest:
                fresh[name] = seen
            else:
                faults.append(name)
    faults += [name for name, text in MODULE_FILES.items() if _text(folder / name) != text]
    faults += [name for name in EMPTY_FOLDERS if not (folder / name).is_dir()]
    if fresh != stamp and not faults and os.access(folder, os.W_OK):
        _write_stamp(folder, fresh)
    return faults


def _refetch(
    folder: Path, lock: Mapping[str, str], faults: list[str], java: Path, progress: Callable[[str], None]
) -> None:
    """Fetch beside the cache, check there, and only then publish."""
    progress(f"jars: {len(faults)} missing or damaged, {len(lock)} in the lock")
    with _scratch(folder.parent) as scratch:
        fetched = fetch_sets({fault.rsplit("/", 1)[0] for fault in faults}, java, scratch, progress)
        wrong = [name for name in faults if name in lock and _digest(fetched / name) != lock[name]]
        if wrong:
            raise Unavailable(
                f"{len(wrong)} jars are not what {LOCK.name} promises, first {wrong[0]}: expected sha256 "
                f"{lock[wrong[0]]}, found {_digest(fetched / wrong[0]) or 'no file'}; try again, and if it stays so "
                "suspect the repository"
            )
        for name in (fault for fault in faults if fault in lock):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (fetched / name).replace(folder / name)
    for name in EMPTY_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in MODULE_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    _write_stamp(folder, {name: _seen(folder / name) for name in lock})
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    progress(f"jars: all {len(lock)} verified")


def fetch_sets(names: set[str], java: Path, scratch: Path, progress: Callable[[str], None]) -> Path:
    """Fetch whole sets into ``scratch/sets``, several at a time; give that folder."""
    target = scratch / "sets"
    wanted = [name for name in SETS if name in names]
    together = Together()
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = [pool.submit(fetch, SETS[name], java, target / name, scratch, progress, together) for name in wanted]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # whoever interrupts is not to wait for a slow network
            pool.shutdown(wait=False, cancel_futures=True)
            together.end()
            raise
    return target


@contextmanager
def _alone(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Let one process at a time fetch; the others wait and then find the work done."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder, folder.parent):
        if os.access(made, os.W_OK) and made.stat().st_uid == os.geteuid():
            made.chmod(0o755)
    with in_turn(folder / "fetch.lock", progress, "jars: another process"):
        yield


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder on the cache's own file system; what an interrupted fetch left is swept away first."""
    for left in parent.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _digest(path: Path) -> str:
    return sha256(path) if path.is_file() else ""


def _seen(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _write_stamp(folder: Path, stamp: Mapping[str, list[int]]) -> None:
    new = folder / f".{STAMP}.{os.getpid()}"
    new.write_text(json.dumps(stamp))
    new.replace(folder / STAMP)
