"""The results of a run as JSON lines: each measurement is written at once, so an interrupted run continues."""

import json
from pathlib import Path
from typing import Any, Final

Line = dict[str, Any]
_FACTS: Final = "facts"
_DONE: Final = "done"
_END: Final = "complete"


class Run:
    """A run's file. A run with the same facts that is not complete continues; any other one begins anew.

    Args:
        path: the file; an earlier run's file is kept beside it.
        facts: what the figures depend on: commit, processor, weights, settings.
    """

    def __init__(self, path: Path, facts: Line) -> None:
        self._path = path
        self.lines = read_lines(path)
        self.continued = bool(self.lines) and self.lines[0] == {_FACTS: facts} and not is_complete(self.lines)
        if self.continued:
            path.write_text("".join(map(_text, self.lines)), "utf-8")  # without a line that was cut off
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.lines:
            path.replace(path.with_suffix(".previous.jsonl"))
        self.lines = []
        self.add({_FACTS: facts})

    def add(self, line: Line) -> None:
        """Write a line."""
        self.lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_text(line))

    def value(self, name: str) -> Any:
        """Return the value of the first line that has this name; None if there is none."""
        return next((line[name] for line in self.lines if name in line), None)

    def is_done(self, *step: object) -> bool:
        """Check whether a step of the run is done."""
        return {_DONE: list(step)} in self.lines

    def finish(self, *step: object) -> None:
        """Write that a step is done, so that a continued run leaves it out."""
        self.add({_DONE: list(step)})

    def complete(self) -> None:
        """Write that everything was measured."""
        self.add({_END: True})


def is_complete(lines: list[Line]) -> bool:
    """Check whether everything of a run was measured."""
    return {_END: True} in lines


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a run's file; a last line that was cut off is left out."""
    found: list[Line] = []
    if path.exists():
        for text in path.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(text))
            except ValueError:
                break
    return found


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
