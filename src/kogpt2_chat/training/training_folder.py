"""The folder on HDFS through which a training on several ranks gets its input and returns its result.

``job`` is what to train, ``progress-STEP`` a checkpoint, ``result`` the trained weights. Each is a folder that appears
whole: it is uploaded under another name and renamed. Only rank 0 and the driver write.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from kogpt2_chat.errors import AlreadyRunning
from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.checkpoint import load_network
from kogpt2_chat.ports import Files
from kogpt2_chat.training.early_stop import EpochReport
from kogpt2_chat.training.recipe import Recipe

_JOB: Final = "job"
_RESULT: Final = "result"
_PROGRESS: Final = "progress-"
_SPEC: Final = "job.json"
_REPORTS: Final = "reports.json"
_WEIGHTS: Final = "weights.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What to train on: the arguments of :func:`kogpt2_chat.training.fit.fit`."""

    recipe: Recipe
    examples: Sequence[Example]
    kept: Sequence[Example]
    validation: Sequence[Example]


class TrainingFolder:
    """The folder of one training.

    Every method raises ``Unavailable`` if HDFS does not answer; those that write also raise ``AlreadyRunning`` if
    another run has written the same.

    Args:
        files: HDFS.
        path: the folder.
        scratch: a local folder for what is uploaded and downloaded.
    """

    def __init__(self, files: Files, path: str, scratch: Path) -> None:
        self._files, self._path, self._scratch = files, path, scratch

    def write_job(self, network: GPT2LMHeadModel, job: TrainingJob) -> None:
        """Write the input, and remove a result of an earlier run. Checkpoints stay."""
        self.remove_job()
        local = self._scratch / _JOB
        network.save_pretrained(local)
        (local / _SPEC).write_text(json.dumps(asdict(job)), "utf-8")
        self._upload(local, _JOB)

    def read_job(self) -> tuple[GPT2LMHeadModel, TrainingJob]:
        """Return the network to train, and what to train on."""
        local = self._files.download(f"{self._path}/{_JOB}", self._scratch)
        spec: dict[str, Any] = json.loads((local / _SPEC).read_text("utf-8"))
        job = TrainingJob(
            recipe=Recipe(**spec["recipe"]),
            examples=_examples(spec["examples"]),
            kept=_examples(spec["kept"]),
            validation=_examples(spec["validation"]),
        )
        return load_network(local), job

    def write_checkpoint(self, progress: Path, step: int) -> None:
        """Upload the checkpoints in a local folder, and remove older ones.

        Args:
            progress: the folder in which the training loop keeps its checkpoints.
            step: the step of the newest one.
        """
        older = self._checkpoints()
        self._upload(progress, f"{_PROGRESS}{step:08}")
        for name in older:
            self._files.delete(f"{self._path}/{name}")

    def read_checkpoint(self, progress: Path) -> int:
        """Download the newest checkpoint into the folder of the training loop; return its step, 0 if there is none."""
        if not (found := self._checkpoints()):
            return 0
        self._files.download(f"{self._path}/{found[-1]}", progress.parent).rename(progress)
        return int(found[-1].removeprefix(_PROGRESS))

    def write_result(self, network: GPT2LMHeadModel, reports: Sequence[EpochReport]) -> None:
        """Write the trained weights and the report of each epoch."""
        local = self._scratch / _RESULT
        local.mkdir()
        save_file({name: weight.detach().contiguous() for name, weight in network.named_parameters()}, local / _WEIGHTS)
        (local / _REPORTS).write_text(json.dumps([asdict(report) for report in reports]), "utf-8")
        self._upload(local, _RESULT)

    def read_result(self, network: GPT2LMHeadModel) -> list[EpochReport]:
        """Copy the trained weights into a network, and return the report of each epoch."""
        local = self._files.download(f"{self._path}/{_RESULT}", self._scratch)
        trained = load_file(local / _WEIGHTS)
        with torch.no_grad():
            for name, weight in network.named_parameters():
                weight.copy_(trained[name])
        return [EpochReport(**report) for report in json.loads((local / _REPORTS).read_text("utf-8"))]

    def remove_job(self) -> None:
        """Remove input and result; a run that failed resumes from the checkpoint, which stays."""
        for name in (_JOB, _RESULT):
            self._files.delete(f"{self._path}/{name}")

    def _checkpoints(self) -> list[str]:
        return [name for name in self._files.list(self._path) if name.startswith(_PROGRESS)]

    def _upload(self, local: Path, name: str) -> None:
        aside = f"{self._path}/.{name}-{uuid.uuid4().hex}"
        for file in sorted(path for path in local.rglob("*") if path.is_file()):
            self._files.write(f"{aside}/{file.relative_to(local).as_posix()}", file.read_bytes())
        if not self._files.publish_folder(aside, f"{self._path}/{name}"):
            raise AlreadyRunning(f"HDFS {self._path}/{name} exists: another run of this training is writing there")


def _examples(values: Sequence[Mapping[str, Any]]) -> list[Example]:
    return [
        Example(ids=tuple(value["ids"]), answer_start=value["answer_start"], weight=value["weight"]) for value in values
    ]
