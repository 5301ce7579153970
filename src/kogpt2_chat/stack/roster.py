"""All programs of a stack, and which of them a person means by a name."""

from collections.abc import Collection, Sequence

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.servers.airflow import airflow_programs
from kogpt2_chat.stack.servers.elastic import elastic_programs
from kogpt2_chat.stack.servers.hdfs import hdfs_programs
from kogpt2_chat.stack.servers.kafka import kafka_programs
from kogpt2_chat.stack.servers.mlflow import mlflow_programs
from kogpt2_chat.stack.servers.spark import spark_programs
from kogpt2_chat.stack.servers.worker import worker_programs


def all_programs(settings: Settings, folders: Folders, java: Java) -> list[Program]:
    """Every program, in the order in which people read them."""
    return [
        *kafka_programs(settings, folders, java),
        *hdfs_programs(settings, folders, java),
        *elastic_programs(settings, folders, java),
        *mlflow_programs(settings, folders),
        *airflow_programs(settings, folders),
        *spark_programs(settings, folders, java),
        *worker_programs(settings),
    ]


def chosen(programs: Sequence[Program], only: Collection[str] | None) -> list[Program]:
    """The programs that ``only`` names, by name or group; all without it.

    Args:
        programs: all there are.
        only: names or groups; empty or None for all.

    Returns:
        The chosen ones, and the set-up steps they need, in the order of ``programs``.

    Raises:
        InvalidInput: a name that is neither.
    """
    if not only:
        return list(programs)
    known = {program.name for program in programs} | {program.group for program in programs}
    if unknown := sorted(set(only) - known):
        raise InvalidInput(f"no such service: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    wanted = {program.name for program in programs if {program.name, program.group} & set(only)}
    steps = {program.name for program in programs if program.once}
    wanted |= {need for program in programs if program.name in wanted for need in program.needs if need in steps}
    return [program for program in programs if program.name in wanted]
