"""Read the file ``.env``: the values it sets and the lines that cannot be parsed.

The file is UTF-8, with or without a byte order mark.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from dotenv.parser import Original, parse_stream

ENV_FILE: Final = "KOGPT2_ENV_FILE"
"""Variable that names the file. Empty: no file is read. Unset: ``.env`` in the current directory."""
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """The content of the file.

    Attributes:
        path: absolute path for messages; None if no file was read.
        values: by name, spelled as in the file; None for a name without ``=``.
        faults: one sentence for each line that cannot be parsed.
    """

    path: Path | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def read_env_file(environment: Mapping[str, str]) -> EnvFile:
    """Read the file that the environment names, or ``.env``. A missing file is a fault only if it was named."""
    named = environment.get(ENV_FILE)
    if named == "":
        return EnvFile()
    path = Path(named or ".env").expanduser().absolute()
    if not named and not path.is_file():
        return EnvFile()
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        return EnvFile(path=path, faults=(f"{path} cannot be read: {error.strerror or error}",))
    except ValueError as error:
        return EnvFile(path=path, faults=(f"{path} {error}",))
    return _parsed(path, text)


def _decoded(content: bytes) -> str:
    """Return the file's text.

    Raises:
        ValueError: the content is not UTF-8; the message names the encoding and the remedy.
    """
    if content.startswith(_UTF16_MARKS) or b"\0" in content:
        raise ValueError("is written in UTF-16, expected UTF-8: save it again as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = "in CP949, Windows' Korean code page" if _is_cp949(content) else "in another encoding"
        raise ValueError(f"line {line} is not UTF-8 but {found}: save it again as UTF-8") from error


def _is_cp949(content: bytes) -> bool:
    try:
        content.decode("cp949")
    except UnicodeDecodeError:
        return False
    return True


def _parsed(path: Path, text: str) -> EnvFile:
    statements = list(parse_stream(StringIO(text.replace("\r\n", "\n"))))
    readable = "".join(one.original.string for one in statements if not one.error)
    return EnvFile(
        path=path,
        # python-dotenv expands `${NAME}`; the last assignment of a name wins.
        values=dotenv_values(stream=StringIO(readable)),
        faults=tuple(
            f"{path} line {_line(one.original)} cannot be read: expected NAME=value, with two quotation marks or none"
            for one in statements
            if one.error
        ),
    )


def _line(statement: Original) -> int:
    """Return the statement's first line. The parser counts blank lines before a statement as part of it."""
    text = statement.string
    return statement.line + text[: len(text) - len(text.lstrip())].count("\n")
