"""What must stay cheap to import."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "openvino", "mlflow", "pyspark", "sklearn", "pandas", "matplotlib", "deltalake")


@pytest.mark.parametrize(
    "module",
    [
        "kogpt2_chat.cli",
        "kogpt2_chat.bootstrap",
        "kogpt2_airflow",
        "kogpt2_chat.client.ask",
        "kogpt2_chat.training.base",
        "kogpt2_chat.jobs.build_dataset",
    ],
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    """Whatever Airflow parses or `--help` loads pays for none of the big libraries."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_importing_the_library_does_nothing() -> None:
    """No setting is read and no file is touched by an import, even with settings that are wrong."""
    code = "import kogpt2_chat.cli, kogpt2_chat.settings"
    subprocess.run(
        [sys.executable, "-c", code], env={"KOGPT2_PORTS__KAFKA": "none", "PATH": "/bin"}, check=True, timeout=60
    )


def test_a_worker_loads_neither_torch_nor_transformers() -> None:
    """Its memory holds the serving engine and the bots, nothing that only training needs."""
    modules = "serving.loop, serving.rollout_follower, serving.reply, kogpt2_chat.inference.loading, kogpt2_chat.inference.openvino_engine"
    code = (
        f"import sys, {modules}; print([name for name in ('torch', 'transformers', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_a_worker_reads_no_corpus() -> None:
    """A file that somebody edits cannot end it: the answers that stand in for the model's come with the version."""
    code = (
        "import sys, serving.loop, serving.rollout_follower, serving.reply, serving.worker\n"
        "print('kogpt2_chat.corpora.shipped' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "False"
