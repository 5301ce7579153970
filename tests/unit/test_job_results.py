"""The names of jobs' results: XCom keys, and the keys that ``--json`` prints."""

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from kogpt2_chat import jobs
from kogpt2_chat.cli import output
from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.cli.status import StatusReport
from kogpt2_chat.domain.learning.distrust import DistrustEntry
from kogpt2_chat.jobs.build_dataset import BuildResult, BuiltDataset
from kogpt2_chat.jobs.choose import ChooseResult, TrainingChoice
from kogpt2_chat.training.base import PreparedBase

OWN_FORM = "its own as_json"
DISTRUST_ENTRY = "action at by date entry_id kind reason subject"
MODERATION = "action at by reason subject until v"
REPORT = "at by gateway kind line_id name player_id report_id room text v"
TABLE = ["commits", "gaps.end", "gaps.partition", "gaps.start", "left_out", "positions", "rows"]
NAMES_BY_JOB = {
    "build_dataset": " ".join(
        f"datasets.{name}"
        for name in [
            "counts",
            "faults",
            "new_pairs",
            "path",
            "published",
            "rejects",
            "seeds_superseded",
            "sources",
            "version",
            "withdrawn_pairs",
        ]
    ),
    "choose": OWN_FORM,
    "distrust": DISTRUST_ENTRY,
    "evaluate": OWN_FORM,
    "explain": OWN_FORM,
    "export_daily_csv": "files read written year",
    "finetune": "bot dataset epochs left_out loss parent run_id seconds steps validation_nll",
    "import_corpus": "bots.dev bots.gold bots.golden bots.seed first_unusable folder left_out lines.all lines.blank "
    "lines.header rows trimmed unusable",
    "index": "documents kept_out refused removed sent turns feedback.documents feedback.rated feedback.refused "
    "feedback.removed feedback.sent refusals.document_id refusals.reason",
    "ingest": " ".join(
        [
            *(f"{table}.{name}" for table in ("feedback", "turns") for name in TABLE),
            *(f"lost.{name}" for name in ("end", "kafka_partition", "reason", "start", "table", "topic")),
        ]
    ),
    "lineage": OWN_FORM,
    "list_moderations": " ".join(f"moderations.{name}" for name in MODERATION.split()),
    "list_reports": " ".join(
        [
            *(f"reports.{name}" for name in REPORT.split()),
            *(f"reports.lines.{name}" for name in ("name", "player_id", "text")),
            *("total", "unreadable"),
        ]
    ),
    "list_distrusted": " ".join(f"distrusted.{name}" for name in DISTRUST_ENTRY.split()),
    "list_safety_turns": "counts turns.bot turns.date turns.kind turns.opened turns.turn_id",
    "moderate": "action at by keys reason subject until",
    "mute": "bot changed epoch muted workers",
    "nominate": "bot nominated version",
    "open_safety_turn": "answer audit_id bot fallback kind player_id received_at session_id source text turn_id",
    "register": "bot run_id tags version",
    "replay_dead_letters": "dry_run left letters other_reasons reasons replays.reason replays.replay_of sent",
    "replay_quarantine": "dry_run mended readable still stored waiting",
    "rollback": "bot changed epoch previous reason version workers",
    "rollout": "bot changed epoch previous reason version workers",
    "row_lineage": OWN_FORM,
    "show_learned": "bot dataset pairs.answer pairs.new pairs.question total version",
    "show_quarantine": "records",
}
"""Callers outside this repository read these names: a change needs the old name for a release."""


DATASET = BuiltDataset(
    dataset_id="0123456789ab",
    path="/Chatbot/datasets/ChatbotA/0123456789ab",
    counts={"train": 8},
    sources={},
    rejects={},
    new_pairs=8,
    withdrawn_pairs=0,
    seeds_superseded=0,
    published=True,
    faults=(),
)


def names(kind: Any, before: str = "") -> Iterator[str]:
    """Yield the printed names of all fields of a result's type, with those of nested results after a dot."""
    if kind is BuiltDataset:
        yield from (f"{before}{name}" for name in DATASET.as_json())
    elif dataclasses.is_dataclass(kind):
        for name, hint in get_type_hints(kind).items():
            yield from list(names(hint, f"{before}{name}.")) or [f"{before}{name}"]
    for argument in get_args(kind):
        yield from names(argument, before)


@pytest.mark.parametrize("job", [module.name for module in pkgutil.iter_modules(jobs.__path__)])
def test_a_jobs_result_keeps_its_names(job: str) -> None:
    """A module of ``jobs`` has a function of its name, whose result is frozen and has the listed names."""
    kind = get_type_hints(getattr(importlib.import_module(f"kogpt2_chat.jobs.{job}"), job))["return"]
    if hasattr(kind, "as_json"):
        assert NAMES_BY_JOB[job] == OWN_FORM
        return
    assert sorted(names(kind)) == sorted(NAMES_BY_JOB[job].split())
    assert kind.__dataclass_params__.frozen


def test_status_keeps_its_names() -> None:
    """Scripts and other programs read ``status --json``."""
    assert sorted(names(StatusReport)) == [
        "airflow.password", "airflow.user", "bots.bot", "bots.detail", "bots.epoch", "bots.state", "bots.version",
        "champions.compared", "champions.warnings", "full_disks", "indexer.documents", "indexer.lag_s",
        "indexer.notes", "indexer.problems", "indexer.refused", "indexer.unreadable", "kafka.warning",
        "operators.password", "operators.user", "safety.answers", "safety.checked_on", "safety.warning",
        "services.detail", "services.healthy", "services.name", "services.pid", "services.port", "urls",
    ]  # fmt: skip


def test_every_listed_job_exists() -> None:
    """The list has no name of a job that was removed."""
    assert set(NAMES_BY_JOB) == {module.name for module in pkgutil.iter_modules(jobs.__path__)}


def test_nested_results_become_objects_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints a result under the names of its fields, except the dataset id: programs read ``version``."""
    output.show(BuildResult(datasets={"ChatbotA": DATASET}), "text", as_json=True)

    printed = json.loads(capsys.readouterr().out)["datasets"]["ChatbotA"]
    assert (printed["counts"], printed["faults"], printed["published"]) == ({"train": 8}, [], True)
    assert list(printed) == [
        "version" if field.name == "dataset_id" else field.name for field in dataclasses.fields(BuiltDataset)
    ]
    assert printed["version"] == DATASET.dataset_id


def test_choices_have_the_bots_as_names() -> None:
    """`retrain_bots` reads the choices of the XCom by bot."""
    choice = TrainingChoice(train=False, dataset="a1", new_pairs=2, withdrawn_pairs=0, reason="too few")
    assert fields_of(ChooseResult(choices={"ChatbotB": choice})) == {
        "ChatbotB": {"train": False, "dataset": "a1", "new_pairs": 2, "withdrawn_pairs": 0, "reason": "too few"}
    }


def test_a_result_with_its_own_json_form_is_printed_in_it() -> None:
    """``as_json`` takes precedence over the fields."""
    base = PreparedBase(folder=Path("/base"), sha="ab", name="small", licence="Apache-2.0", small=True)
    assert fields_of(base)["folder"] == "/base"


def test_times_are_printed_readably(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no type for times. A time is printed as text with its offset."""
    at = datetime(2026, 11, 26, tzinfo=UTC)
    entry = DistrustEntry(
        entry_id="1", at=at, kind="player", subject="민수", action="trust", by="a", reason="b", date="2026-11-26"
    )
    output.show(entry, "text", as_json=True)
    assert json.loads(capsys.readouterr().out)["at"] == "2026-11-26 00:00:00+00:00"


def test_a_value_without_names_is_not_a_result() -> None:
    """XCom needs a name for each value."""
    with pytest.raises(TypeError, match="found tuple"):
        fields_of((1, 2))
