"""`python -m tests.openvino_probe`: print the kernels that OpenVINO executes for a tiny bot, in both forms, as JSON."""

import json
import tempfile
from pathlib import Path

from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS
from kogpt2_chat.inference.paged import PagedModel
from kogpt2_chat.testing.tiny_gpt2 import tiny_version


def executed(model: PagedModel) -> set[str]:
    """Return the names of the kernels of a graph that has been run."""
    nodes = model._all_cores.get_compiled_model().get_runtime_model().get_ordered_ops()
    return {node.get_rt_info()["primitiveType"].value for node in nodes}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        graph = tiny_version(Path(folder) / "1", calibrated=True) / "engine.xml"
        names = {
            name for form in (INT8, INT8_WEIGHTS) for name in executed(PagedModel(graph, max_sequences=32, form=form))
        }
    print(json.dumps(sorted(names)))
