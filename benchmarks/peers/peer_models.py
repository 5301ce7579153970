"""The same weights in each library's format, made once below the cache folder."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.peers import make
from benchmarks.peers.environments import python_of, run_or_explain
from benchmarks.peers.subject_list import Subject
from kogpt2_chat.artifact.card import CARD_FILE, WEIGHTS_FILE
from kogpt2_chat.machine.cores import usable_cores

_MOST_S: Final = 600


def weights_key(version: Path) -> str:
    """Return a key of a version's weights: the beginning of their hash on its card."""
    card = json.loads((version / CARD_FILE).read_text("utf-8"))
    return str(card["files"][WEIGHTS_FILE])[:12]


def model_of(subject: Subject, version: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """Return the folder with the weights in the subject's format; a missing one is made.

    Args:
        subject: whose model it is.
        version: a version's folder, which is also a model in transformers' format.
        cache: folder for environments and models.
        say: called before the model is made.

    Raises:
        PeerMissing: the library cannot be installed or cannot read the weights.
    """
    if not subject.maker:
        return version
    source = Path(make.__file__).with_name(f"{subject.maker}.py").read_bytes()
    facts = [weights_key(version), usable_cores()]
    key = hashlib.sha256(json.dumps(facts).encode() + source).hexdigest()[:12]
    folder = cache / "models" / f"{subject.maker}-{key}"
    if folder.exists():
        return folder
    say(f"making the model of {subject.name} in {folder} (up to two minutes)")
    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    command = [str(python_of(subject.peer, cache, say)), "-m", f"{make.__name__}.{subject.maker}", str(version),
               str(aside), str(usable_cores())]  # fmt: skip
    try:
        run_or_explain(command, subject.name, _MOST_S)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder
