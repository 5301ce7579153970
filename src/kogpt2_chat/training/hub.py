"""Find a base model's files in the hub's local cache or on the hub.

If the hub does not answer, this takes :data:`HUB_TIMEOUT_S` at most.
"""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, Final

from kogpt2_chat.artifact.card import WEIGHTS_FILE
from kogpt2_chat.errors import InvalidInput, Unavailable

KOGPT2: Final = "skt/kogpt2-base-v2"
HUB_TIMEOUT_S: Final = 5.0
"""For name resolution, connection and answer together."""
BIN: Final = "pytorch_model.bin"
_NEEDED: Final = ("config.json", "tokenizer.json")
_FILES: Final = [*_NEEDED, "*.safetensors", BIN]
_POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""The beginning of a Git LFS pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})


def find(name: str, revision: str, progress: Callable[[str], None]) -> Path:
    """Return a folder with a hub model's config, tokenizer and weights.

    Files that are missing in the cache are downloaded.

    Args:
        name: hub id.
        revision: pinned branch, tag or commit.
        progress: called with a line before the request to the hub and before the download.

    Returns:
        The folder in the hub's local cache.

    Raises:
        Unavailable: neither the cache nor the hub has all files.
    """
    if (folder := _cached(name, revision)) is not None:
        return folder
    commit = _resolve_commit(name, revision, progress)
    progress(f"downloading {name} from the hub")
    try:
        from huggingface_hub import snapshot_download

        # Pass the commit, not the branch: for a branch, the client would ask the hub again without a time limit.
        folder = Path(snapshot_download(name, revision=commit, allow_patterns=_FILES, etag_timeout=5, max_workers=2))
    except Exception as error:  # the hub's client raises its HTTP library's errors as they are
        raise Unavailable(
            f"base model {name}: the hub answered, but the download failed ({type(error).__name__}): try again"
        ) from error
    if not _is_whole(folder):
        raise Unavailable(f"base model {name}: the hub does not have all of {', '.join(_FILES)}")
    _record_ref(folder, revision)
    return folder


def weights_file(folder: Path) -> Path:
    """Return the weights file in a hub model's folder, safetensors if there is one.

    Raises:
        InvalidInput: the folder has no weights file, or only a Git LFS pointer to one.
    """
    found = [folder / name for name in (WEIGHTS_FILE, BIN) if (folder / name).is_file()]
    if not found:
        raise InvalidInput(f"base {folder} has neither {WEIGHTS_FILE} nor {BIN}: name a folder or hub id of a GPT-2")
    for path in found:
        if not is_pointer(path):
            return path
    raise pointer_error(found[0])


def is_pointer(path: Path) -> bool:
    """Check whether a file is a Git LFS pointer, which replaces the real file in a clone without Git LFS."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def pointer_error(path: Path) -> InvalidInput:
    """Return the error for a file that is a Git LFS pointer."""
    return InvalidInput(
        f"{path} is a Git LFS pointer of {path.stat().st_size} bytes, not the file itself: "
        "run `git lfs install && git lfs pull` in the clone, or download the file"
    )


def _cached(name: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except Exception:  # noqa: BLE001 - if the cache fails in any way, the hub is asked
        return None
    return folder if _is_whole(folder) else None


def _record_ref(folder: Path, revision: str) -> None:
    """Record in the hub's cache which commit a branch refers to; the client does not do this for a commit.

    Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache, ``refs`` next to ``snapshots``.
    """
    ref = folder.parents[1] / "refs" / revision
    if folder.name != revision:
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(folder.name, "utf-8")


def _is_whole(folder: Path) -> bool:
    paths = [folder / name for name in _NEEDED]
    if not all(path.is_file() and not is_pointer(path) for path in paths):
        return False
    try:
        weights_file(folder)
    except InvalidInput:
        return False
    return True


def _resolve_commit(name: str, revision: str, progress: Callable[[str], None]) -> str:
    """Ask the hub for the commit of a revision, in a thread that is abandoned after the timeout.

    The client itself has no timeout for name resolution, nor for its own request for a branch.

    Raises:
        Unavailable: offline mode is set, or the hub fails or does not answer in time.
    """
    if any(os.environ.get(flag, "").upper() in _TRUE for flag in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        raise _unavailable(name, "HF_HUB_OFFLINE is set")
    from huggingface_hub import HfApi

    progress(f"asking the hub for {name} (timeout {HUB_TIMEOUT_S:.0f} s)")
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(HfApi().model_info(name, revision=revision, timeout=HUB_TIMEOUT_S).sha)
        except Exception as error:  # noqa: BLE001 - the client raises its HTTP library's errors as they are
            found.append(error)

    thread = Thread(target=ask, daemon=True, name="hub-request")
    thread.start()
    thread.join(HUB_TIMEOUT_S)
    answer = found[0] if found else TimeoutError()
    if not isinstance(answer, str):
        raise _unavailable(name, type(answer).__name__)
    return answer


def _unavailable(name: str, reason: str) -> Unavailable:
    return Unavailable(f"base model {name} is not in the hub's local cache, and the hub is not available ({reason})")
