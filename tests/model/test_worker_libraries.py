"""A process that loads a version and answers with it, as a worker does, imports no training library."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.artifact.card import ENGINE_FILES
from tests.worker_imports import NOT_IN_A_WORKER

ANSWER = f"""
import json, sys
from pathlib import Path
from kogpt2_chat.inference.loading import load_for_players, make_engine
from kogpt2_chat.settings import Settings
folder, home = map(Path, sys.argv[1:])
settings = Settings(home=home, cache=home, model={{"threads": 1, "max_new_tokens": 3}})
loaded, engine = load_for_players(folder, settings), make_engine(settings)
engine.add_request("1", loaded, loaded.tokenizer.encode_prompt("안녕?", 64))
finished = []
while not finished:
    finished = engine.step()
print(json.dumps([finished[0].request_id, [name for name in {NOT_IN_A_WORKER!r} if name in sys.modules]]))
"""


@pytest.mark.parametrize("has_graph", [True, False], ids=["with its graph", "of an earlier release, without a graph"])
def test_a_worker_answers_without_torch(tiny: Path, tmp_path: Path, has_graph: bool) -> None:
    """Neither loading, converting nor decoding imports what only training needs."""
    folder = shutil.copytree(tiny, tmp_path / "1")
    if not has_graph:
        card = json.loads((folder / "model.json").read_text("utf-8"))
        for name in ENGINE_FILES:
            (folder / name).unlink(missing_ok=True)
            card["files"].pop(name, None)
        (folder / "model.json").write_text(json.dumps(card), "utf-8")
    done = subprocess.run([sys.executable, "-c", ANSWER, folder, tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["1", []]
