"""Handwritten pages agree with the code and with each other."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest
import typer

from kogpt2_chat.cli import app
from kogpt2_chat.cli.output import Exit
from kogpt2_chat.domain.lake.layout import TableName
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.variables import leaves_of

ENGLISH, KOREAN = ((CHECKOUT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
RUNBOOK = (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8")
LEAVES = leaves_of(Settings)
PAGES = sorted(
    str(path.relative_to(CHECKOUT))
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "docker/*.md")
    for path in CHECKOUT.glob(pattern)
)
FACTS = {
    "settings": r"KOGPT2_[A-Z0-9_]+",
    "commands": r"(?m)^\| (`.*?`) \|",
    "links": r"\]\(((?!README)[^)]+)\)",
    "code": r"`([^`\n]+)`",
    "commands to type": r"(?m)^(?:make|\.venv/bin/kogpt2-chat) .*?(?=  +#|$)",
}


def commands(group: typer.Typer, path: str = "") -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback
        yield path + (command.name or command.callback.__name__.replace("_", "-"))
    for inner in group.registered_groups:
        assert inner.typer_instance
        yield from commands(inner.typer_instance, f"{path}{inner.name} ")


@pytest.mark.parametrize("fact", FACTS)
def test_the_korean_and_the_english_readme_have_the_same_facts(fact: str) -> None:
    """Both have the same settings, commands, links and code, except for examples of paths."""
    english, korean = (set(re.findall(FACTS[fact], page)) for page in (ENGLISH, KOREAN))
    examples = {one for one in english ^ korean if "path" in one or "경로" in one}
    assert korean ^ english == examples


@pytest.mark.parametrize(("page", "start"), [(ENGLISH, "Exit codes:"), (KOREAN, "종료 코드는")])
def test_both_pages_name_the_exit_codes(page: str, start: str) -> None:
    """All except the code of an interruption, which is the same for all programs."""
    sentence = page.split(start)[1].split("\n\n", maxsplit=1)[0]
    assert set(map(int, re.findall(r"\b\d\b", sentence))) == set(Exit) - {Exit.INTERRUPTED}


def test_the_readme_explains_every_command() -> None:
    """The list of options is generated, but the purpose of each command is explained in the README."""
    names = list(commands(app))
    assert {"ask", "stack up", "review-safety show"} <= set(names)
    assert [name for name in names if f"`{name}" not in ENGLISH] == []


@pytest.mark.parametrize(
    "name",
    [
        "KOGPT2_AIRFLOW__ALERT_WEBHOOK",
        "KOGPT2_LEARNING__RETRAIN_CRON=never",
        "KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS",
        "k distrust",
        "k replay-quarantine",
    ],
)
def test_the_runbook_explains_automatic_retraining(name: str) -> None:
    """Bots learn from unknown players and are retrained automatically. Operators must know how to intervene."""
    assert name in RUNBOOK


def test_the_glossary_names_every_table_of_the_lake() -> None:
    """The row of the lake lists its tables."""
    (lake,) = [line for line in (CHECKOUT / "docs/glossary.md").read_text().splitlines() if line.startswith("| **Lake")]
    assert set(re.findall(r"`(\w+)`", lake)) == set(get_args(TableName))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"KOGPT2_[A-Z]+__[A-Z0-9_]*[A-Z0-9]", RUNBOOK))))
def test_every_setting_that_the_runbook_names_exists(name: str) -> None:
    """Readers copy the names. Those of earlier releases are named where the runbook says how to go back."""
    earlier = RUNBOOK.split("## Going back one release")[1].split("\n## ")[0]
    assert name in LEAVES or name in earlier


@pytest.mark.parametrize("page", PAGES)
def test_links_have_a_target(page: str) -> None:
    """The file exists, and so does the heading in it."""
    path = CHECKOUT / page
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))
            anchors = [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
            assert anchor in anchors, link
