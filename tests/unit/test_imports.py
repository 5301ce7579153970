"""Imports load no large library and have no side effects."""

import subprocess
import sys

import pytest

from tests.worker_imports import NOT_IN_A_WORKER

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
    """Otherwise each parsing of a DAG and each `--help` would be slow."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_importing_the_library_reads_no_settings() -> None:
    """Wrong settings do not make an import fail."""
    code = "import kogpt2_chat.cli, kogpt2_chat.settings"
    subprocess.run(
        [sys.executable, "-c", code], env={"KOGPT2_PORTS__KAFKA": "none", "PATH": "/bin"}, check=True, timeout=60
    )


def test_the_indexer_loads_only_what_it_needs() -> None:
    """It imports its adapters and makes its parts, as its process does. Elasticsearch's client could load 45 MB more."""
    code = f"""
import sys, threading
from indexer import __main__ as program
from kogpt2_chat.settings import Settings
program.leave_out_unused()
program.make_indexer(Settings(), program.Progress(monotonic=lambda: 0.0), threading.Event())
unwanted = {(*HEAVY, "numpy", "pyarrow", "aiohttp", "tokenizers")!r}
print("elasticsearch" in sys.modules, [name for name in unwanted if sys.modules.get(name)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True []"


def test_a_worker_imports_neither_torch_nor_training_nor_corpora() -> None:
    """This saves memory, and an edited corpus cannot stop a worker.

    A worker imports all of `serving`, its Kafka adapters, the registry's client and the serving engine.
    """
    code = f"""
import importlib, pkgutil, sys, serving
for module in pkgutil.iter_modules(serving.__path__):
    importlib.import_module(f"serving.{{module.name}}")
from kogpt2_chat.adapters import mlflow
from kogpt2_chat.adapters.kafka import topics, transactional_consumer
from kogpt2_chat.inference import loading, paged_engine
print("serving.__main__" in sys.modules, [name for name in {NOT_IN_A_WORKER!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True []"
