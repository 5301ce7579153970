"""The record of a home's base model: written once, so that existing bots keep their base."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from kogpt2_chat.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecord:
    """The base of a home.

    Attributes:
        asked: ``model.base`` when the base was chosen.
        name: hub id, folder name, or ``small``.
        folder: where the base was.
        sha: hash of its weights.
        chosen_at: ISO 8601 time, UTC.
    """

    asked: str
    name: str
    folder: str
    sha: str
    chosen_at: str

    @classmethod
    def now(cls, *, asked: str, name: str, folder: Path, sha: str) -> Self:
        """Return a record with the current time."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(asked=asked, name=name, folder=str(folder), sha=sha, chosen_at=when)


def record_path(home: Path) -> Path:
    """Return the path of a home's record."""
    return home / "base" / "chosen.json"


def read_record(home: Path) -> BaseRecord | None:
    """Read the record of a home. Return None if it has none yet.

    Raises:
        InvalidInput: the file exists but cannot be read.
    """
    path = record_path(home)
    try:
        content = json.loads(path.read_text("utf-8"))
        return BaseRecord(**{name: str(content[name]) for name in BaseRecord.__dataclass_fields__})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} cannot be read ({error}): it records the base of this home's bots; restore it, "
            "or remove it to choose a base again"
        ) from error


def write_record(home: Path, record: BaseRecord) -> None:
    """Write the record atomically."""
    path = record_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n", "utf-8")
    aside.replace(path)


def base_of_versions(home: Path) -> str | None:
    """Return the base of the versions in this home, for homes that are older than the record; None without versions."""
    for card in sorted((*home.glob("models/*/*/model.json"), *home.glob("versions/*/*/model.json"))):
        try:
            content = json.loads(card.read_text("utf-8"))
            return "small" if content["small"] else str(content["base"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
