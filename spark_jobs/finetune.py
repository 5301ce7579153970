"""Spark application that trains one network on several ranks, through Spark's TorchDistributor.

    finetune.py ARGUMENTS.json RESULT.json

Arguments: ``ranks``, ``cores`` and ``gpus`` (of each rank), ``local`` (whether they are children of this process),
``host`` (at which they reach this process), ``folder`` (on HDFS, with the job) and ``hdfs`` (how they reach it). The
trained weights are in the folder; the result is empty. If a rank ends early the run fails, and says which one and what
to do.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from kogpt2_chat.training.rank_watch import RankWatch
from spark_jobs.rank import train_as_rank

_CLUSTER: Final = {
    # A rank needs the memory outside of the JVM, for torch.
    "spark.executor.memory": "512m",
    "spark.dynamicAllocation.enabled": "false",
    # All ranks start together, or none. Wait for executors that are still starting, and for cores that another
    # application still has.
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "3s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "100",
    # Spark would start a failed training again from its input, in silence. The caller does it, from the checkpoint.
    "spark.task.maxFailures": "1",
    "spark.stage.maxConsecutiveAttempts": "1",
}


def main(arguments_path: str, result_path: str) -> None:
    """Read the arguments, train, and write the outcome."""
    arguments = json.loads(Path(arguments_path).read_text(encoding="utf-8"))
    lines = Path(result_path).with_name("progress.txt").open("a", encoding="utf-8", buffering=1)
    outcome = run(arguments, lambda line: lines.write(f"{line}\n"))
    partial = Path(result_path).with_suffix(".part")
    partial.write_text(json.dumps(outcome, ensure_ascii=False), encoding="utf-8")
    partial.rename(result_path)


def run(arguments: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    """Train, and return the outcome: ``result``, ``invalid`` or ``failed`` with a message.

    Args:
        arguments: see the module's docstring.
        progress: called with each line of rank 0.

    Returns:
        The outcome.
    """
    ranks, local = arguments["ranks"], arguments["local"]
    spark = _session(arguments)
    if not arguments["gpus"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # in local mode, the ranks inherit this environment
    watch = RankWatch(arguments["host"], progress)
    try:
        # In local mode each rank takes the GPU of its number; Spark need not know the GPUs.
        distributor = TorchDistributor(ranks, local_mode=local, use_gpu=arguments["gpus"] and not local)
        distributor.run(train_as_rank, dict(arguments) | {"watch": watch.address})
    except Exception as error:
        if why := watch.rejection():
            return {"invalid": why}
        if (failure := watch.first_failure(ranks)) is None:
            if "maxNumConcurrentTasks" in str(error) or "BARRIER_STAGE" in str(error).upper():
                return {"failed": _no_room(arguments)}
            raise  # no rank has started: the log says why
        return {"failed": f"{failure}. {_what_next(watch.checkpoint)}"}
    finally:
        watch.close()
        spark.stop()
    return {"result": {}}


def _session(arguments: Mapping[str, Any]) -> SparkSession:
    ranks, cores = arguments["ranks"], arguments["cores"]
    conf = _CLUSTER | {
        "spark.executor.instances": ranks,
        "spark.executor.cores": cores,
        "spark.task.cpus": cores,
        "spark.cores.max": ranks * cores,
    }
    if arguments["gpus"] and not arguments["local"]:
        conf |= {"spark.executor.resource.gpu.amount": 1, "spark.task.resource.gpu.amount": 1}
    builder = SparkSession.builder.appName("finetune")
    for name, value in conf.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _what_next(checkpoint: int) -> str:
    from_where = f"it resumes from the checkpoint of step {checkpoint}" if checkpoint else "it starts again"
    return f"Nothing was published. Run the same command again: {from_where}"


def _no_room(arguments: Mapping[str, Any]) -> str:
    return (
        f"Spark has no room for {arguments['ranks']} ranks of {arguments['cores']} cores at once. Wait until other "
        "applications have ended, add workers, or lower KOGPT2_TRAINING__RANKS or KOGPT2_TRAINING__RANK_CORES"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
