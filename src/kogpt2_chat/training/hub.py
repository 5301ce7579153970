"""A base model's files: from the hub's local cache, from the hub, or said to be none.

Looking at a hub that is away takes :data:`LOOK_S` at most. Knows nothing of what the files become.
"""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, Final

from kogpt2_chat.artifact.card import WEIGHTS_FILE
from kogpt2_chat.errors import InvalidInput, Unavailable

KOGPT2: Final = "skt/kogpt2-base-v2"
LOOK_S: Final = 5.0
"""Name look-up, connection and answer together."""
BIN: Final = "pytorch_model.bin"
_NEEDED: Final = ("config.json", "tokenizer.json")
_FILES: Final = [*_NEEDED, "*.safetensors", BIN]
_POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""How a Git LFS pointer begins: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})


def find(name: str, revision: str, progress: Callable[[str], None]) -> Path:
    """A folder with a hub model's config, tokenizer and weights.

    A cache that holds only some of them is not believed: the rest is fetched.

    Args:
        name: hub id.
        revision: pinned branch, tag or commit.
        progress: told of the look at the hub and of the download.

    Returns:
        The folder in the hub's local cache.

    Raises:
        Unavailable: neither the cache nor the hub has all of it.
    """
    if (folder := _cached(name, revision)) is not None:
        return folder
    commit = _look(name, revision, progress)
    progress(f"fetching {name} from the hub")
    try:
        from huggingface_hub import snapshot_download

        # A commit instead of a branch: the client asks about a branch again, and without a time limit.
        folder = Path(snapshot_download(name, revision=commit, allow_patterns=_FILES, etag_timeout=5, max_workers=2))
    except Exception as error:  # the hub's client raises its HTTP library's errors as they are
        raise Unavailable(
            f"base model {name}: the hub answered, but fetching its files failed ({type(error).__name__}); try again"
        ) from error
    if not _is_whole(folder):
        raise Unavailable(f"base model {name}: the hub has not all of {', '.join(_FILES)}")
    _remember(folder, revision)
    return folder


def weights_file(folder: Path) -> Path:
    """The weights of a hub's folder, safetensors where there are any.

    Raises:
        InvalidInput: there are none, or only a pointer to them.
    """
    found = [folder / name for name in (WEIGHTS_FILE, BIN) if (folder / name).is_file()]
    if not found:
        raise InvalidInput(f"base {folder} has neither {WEIGHTS_FILE} nor {BIN}: name a folder or hub id of a GPT-2")
    for path in found:
        if not is_pointer(path):
            return path
    raise pointer_error(found[0])


def is_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer, which stands where the real file was not fetched."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def pointer_error(path: Path) -> InvalidInput:
    """What to say of one."""
    return InvalidInput(
        f"{path} is a Git LFS pointer of {path.stat().st_size} bytes, not the file itself: "
        "run `git lfs install && git lfs pull` where it was cloned, or download the file"
    )


def _cached(name: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except Exception:  # noqa: BLE001 - whatever is wrong with the cache, it is not to be had there
        return None
    return folder if _is_whole(folder) else None


def _remember(folder: Path, revision: str) -> None:
    """Note in the hub's cache which commit a branch meant; the client leaves that out for a commit.

    Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache, ``refs`` beside ``snapshots``.
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


def _look(name: str, revision: str, progress: Callable[[str], None]) -> str:
    """The commit that a revision means, asked in a thread that is left behind when it takes too long.

    A name look-up has no time limit of its own, and the client's own question about a branch has none at all.
    """
    if any(os.environ.get(flag, "").upper() in _TRUE for flag in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        raise _away(name, "HF_HUB_OFFLINE is set")
    from huggingface_hub import HfApi

    progress(f"asking the hub for {name}, {LOOK_S:.0f} s at most")
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(HfApi().model_info(name, revision=revision, timeout=LOOK_S).sha)
        except Exception as error:  # noqa: BLE001 - the client raises its HTTP library's errors as they are
            found.append(error)

    thread = Thread(target=ask, daemon=True, name="hub-look")
    thread.start()
    thread.join(LOOK_S)
    answer = found[0] if found else TimeoutError()
    if not isinstance(answer, str):
        raise _away(name, type(answer).__name__)
    return answer


def _away(name: str, reason: str) -> Unavailable:
    return Unavailable(f"base model {name} is neither in the hub's local cache nor to be had from the hub ({reason})")
