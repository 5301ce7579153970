"""The list of all programs of a stack, and their selection by name or group."""

from collections.abc import Collection, Sequence

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.airflow import airflow_programs
from kogpt2_chat.stack.servers.elastic import elastic_programs
from kogpt2_chat.stack.servers.gateway import gateway_programs
from kogpt2_chat.stack.servers.hdfs import hdfs_programs
from kogpt2_chat.stack.servers.indexer import indexer_programs
from kogpt2_chat.stack.servers.kafka import kafka_programs
from kogpt2_chat.stack.servers.mlflow import mlflow_programs
from kogpt2_chat.stack.servers.spark import spark_programs
from kogpt2_chat.stack.servers.worker import worker_programs


def all_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Return every program, in display and start order."""
    return [
        *kafka_programs(settings, folders, java),
        *hdfs_programs(settings, folders, java),
        *elastic_programs(settings, folders, java),
        *mlflow_programs(settings, folders),
        *airflow_programs(settings, folders),
        *spark_programs(settings, folders, java),
        *worker_programs(settings),
        *gateway_programs(settings),
        *indexer_programs(settings),
    ]


def select_programs(programs: Sequence[Program], only: Collection[str] | None) -> list[Program]:
    """Return the programs whose name or group is in ``only``.

    Args:
        programs: all programs.
        only: names or groups; empty or None selects all.

    Returns:
        The selected programs and the set-up steps that they need, in the order of ``programs``.

    Raises:
        InvalidInput: a name is neither a program nor a group.
    """
    if not only:
        return list(programs)
    known = {program.name for program in programs} | {program.group for program in programs}
    if unknown := sorted(set(only) - known):
        raise InvalidInput(f"unknown service: {', '.join(unknown)}; expected: {', '.join(sorted(known))}")
    wanted = {program.name for program in programs if {program.name, program.group} & set(only)}
    steps = {program.name for program in programs if program.once}
    wanted |= {need for program in programs if program.name in wanted for need in program.needs if need in steps}
    return [program for program in programs if program.name in wanted]
