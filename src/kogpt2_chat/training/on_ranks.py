"""Train a network in this process, or hand the work to the Spark job ``finetune`` and take back the weights."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from transformers import GPT2LMHeadModel

from kogpt2_chat.cleanup import clean_up_after
from kogpt2_chat.ports import Files, SparkJobs
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.early_stop import EpochReport
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.training_folder import TrainingFolder, TrainingJob


def train_network(
    network: GPT2LMHeadModel,
    job: TrainingJob,
    *,
    resume: Path,
    shared: str,
    files: Files,
    spark: SparkJobs | None,
    settings: Settings,
    progress: Callable[[str], None],
    on_epoch: Callable[[EpochReport], None],
) -> list[EpochReport]:
    """Train a network in place, in this process or on several ranks; a run that failed resumes from its checkpoint.

    Args:
        network: the weights to start from; the trained ones afterwards, in evaluation mode.
        job: what to train on.
        resume: local folder for checkpoints, if one process trains.
        shared: folder on HDFS for input, checkpoints and result of several ranks. It keeps the last checkpoint; the
            caller removes it.
        files: HDFS.
        spark: runs the ranks; None trains in this process.
        settings: number of ranks, cores, and how executors reach HDFS.
        progress: called with a line for each epoch, and about the ranks.
        on_epoch: called with every report; with several ranks, at the end.

    Returns:
        One report per epoch.

    Raises:
        InvalidInput: the training cannot work, e.g. it diverged.
        Unavailable: a rank ended, or Spark or HDFS does not work.
    """
    if spark is None:
        return fit(
            network, job.examples, job.recipe, kept=job.kept, validation=job.validation, progress=progress,
            resume=resume, on_epoch=on_epoch,
        )  # fmt: skip
    training = settings.training
    with tempfile.TemporaryDirectory(prefix="kogpt2-training-") as scratch:
        folder = TrainingFolder(files, shared, Path(scratch))
        progress(f"training on {training.ranks} ranks of {training.rank_cores} cores, on Spark {settings.spark_master}")
        folder.write_job(network, job)
        try:
            spark.submit("finetune", _arguments(shared, settings), progress=progress, timeout_s=math.inf)
            reports = folder.read_result(network)
        except BaseException as error:
            clean_up_after(error, folder.remove_job, f"HDFS {shared} still has the input of this training")
            raise
        folder.remove_job()
    network.eval()
    for report in reports:
        on_epoch(report)
    return reports


def _arguments(path: str, settings: Settings) -> dict[str, object]:
    """Return the arguments of the job; executors have none of this machine's settings."""
    training, hdfs = settings.training, settings.hdfs
    return {
        "ranks": training.ranks,
        "cores": training.rank_cores,
        "gpus": training.rank_gpus,
        "local": settings.spark_master.startswith("local"),
        "host": settings.own_host,
        "folder": path,
        "hdfs": {
            "webhdfs": settings.webhdfs_url,
            "webhdfs_username": hdfs.webhdfs_username,
            "webhdfs_password": hdfs.webhdfs_password.get_secret_value(),
            "user": hdfs.user,
            "timeout_s": hdfs.timeout_s,
            "retries": hdfs.retries,
        },
    }
