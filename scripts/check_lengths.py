"""Report modules and functions that are too long to read in one go."""

import ast
import subprocess
import sys
from pathlib import Path

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
"""Without the docstring."""


def too_long(path: Path) -> list[str]:
    """Return a message for the module, and for each of its functions, that exceeds its limit."""
    text = path.read_text("utf-8")
    lines = len(text.splitlines())
    module = [f"{path}: {lines} lines, at most {MAX_MODULE_LINES}"] if lines > MAX_MODULE_LINES else []
    functions = [
        f"{path}:{node.lineno}: {node.name} has {_lines(node)} lines, at most {MAX_FUNCTION_LINES}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > MAX_FUNCTION_LINES
    ]
    return functions + ([] if path.parts[0] == "tests" else module)


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


if __name__ == "__main__":
    names = subprocess.run(["git", "ls-files", "-z", "*.py"], capture_output=True, check=True, text=True).stdout  # noqa: S607
    reports = [line for name in names.split("\0") if name for line in too_long(Path(name))]
    print("\n".join(reports), end="\n" if reports else "")  # noqa: T201
    sys.exit(bool(reports))
