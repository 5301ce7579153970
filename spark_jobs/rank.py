"""One rank of a training: a process of its own on an executor, started by Spark's TorchDistributor.

It reads and writes HDFS itself, since it has no Spark session.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from kogpt2_chat.adapters.hdfs import HdfsFiles
from kogpt2_chat.domain.servers.no_proxy import without_proxy
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Hdfs, Settings
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.process_group import PeerLost, agree_on_precision, joined
from kogpt2_chat.training.rank_watch import RankLine
from kogpt2_chat.training.training_folder import TrainingFolder


def train_as_rank(arguments: Mapping[str, Any]) -> None:
    """Train together with the other ranks; rank 0 writes checkpoints and the result.

    Args:
        arguments: those of the job, and ``watch``, the address of the driver's :class:`RankWatch`.
    """
    with RankLine(arguments["watch"], int(os.environ["RANK"])) as line:
        try:
            _train(arguments, line)
        except InvalidInput as error:
            line.failed("input", error)
            raise
        except PeerLost as error:
            line.failed("peer", error)
            raise
        except Exception as error:
            line.failed("error", error)
            raise


def _train(arguments: Mapping[str, Any], line: RankLine) -> None:
    torch.set_num_threads(arguments["cores"])
    hdfs = Hdfs(**arguments["hdfs"])
    os.environ |= without_proxy(os.environ, [urlsplit(hdfs.webhdfs).hostname or ""])
    # In the executor's folder: its worker removes that in time, also if this process is killed.
    with tempfile.TemporaryDirectory(prefix="rank-", dir=Path.cwd()) as name, joined(gpus=arguments["gpus"]) as ranks:
        scratch = Path(name)
        folder = TrainingFolder(HdfsFiles(Settings(hdfs=hdfs)), arguments["folder"], scratch)
        network, job = folder.read_job()
        recipe = replace(job.recipe, precision=agree_on_precision(ranks, job.recipe.precision, network))
        resume = scratch / "resume"
        step = folder.read_checkpoint(resume)

        def keep_checkpoint(step: int) -> None:
            folder.write_checkpoint(resume, step)
            line.checkpoint(step)

        if ranks.rank == 0:
            line.checkpoint(step)
            line.line(f"all {ranks.size} ranks are connected, in {recipe.precision}")
        reports = fit(
            network, job.examples, recipe, kept=job.kept, validation=job.validation, resume=resume, ranks=ranks,
            progress=line.line if ranks.rank == 0 else lambda _: None, on_checkpoint=keep_checkpoint,
        )  # fmt: skip
        if ranks.rank == 0:
            folder.write_result(network, reports)
