"""The login of the operators' pages: the account, and the key that signs the cookie of who is logged in.

Both come from the settings, or from files in the home that `stack up` writes. Gateways read them once, when they start.
Neither may appear in logs or messages; `status` shows the password, as it shows Airflow's.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.chat.signing import key_fault
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

PASSWORD_FILE: Final = "world/operator-password"  # noqa: S105 - a path
"""Path of the file in the home, with the password on its only line."""
KEY_FILE: Final = "world/operator-key"
"""Path of the file in the home, with the key on its only line. It is not one of the keys that sign guests' tokens."""
_PASSWORD_BYTES: Final = 12
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorLogin:
    """The account, and the key for cookies.

    Attributes:
        username: the name of the account.
        password: its password; None if there is none yet, so nobody can log in.
        key: the secret that signs cookies.
    """

    username: str
    password: str | None = field(repr=False)
    key: str = field(repr=False)


def operator_login(settings: Settings) -> OperatorLogin:
    """Return the login in the settings, otherwise that in the home's files.

    Without a key in either, this process gets a random one: who is logged in has to log in again when it restarts, and
    at each gateway.

    Args:
        settings: the account and the home.

    Returns:
        The login.

    Raises:
        InvalidInput: a file cannot be read, or the key in it cannot be used.
    """
    key = settings.ops.key.get_secret_value() or _read(settings.home / KEY_FILE)
    if key and (fault := key_fault([key])):
        raise InvalidInput(f"the key in {settings.home / KEY_FILE} cannot be used: {fault}")
    return OperatorLogin(
        username=settings.ops.username,
        password=operator_password(settings),
        key=key or secrets.token_urlsafe(_KEY_BYTES),
    )


def operator_password(settings: Settings) -> str | None:
    """Return the password in the settings, otherwise that in the home's file; None if there is neither.

    Raises:
        InvalidInput: the file cannot be read.
    """
    return settings.ops.password.get_secret_value() or _read(settings.home / PASSWORD_FILE) or None


def shown_password(settings: Settings) -> str | None:
    """Return the password for `status`; None if there is none yet, or if this user cannot read the file."""
    try:
        return operator_password(settings)
    except InvalidInput:
        return None


def write_operator_login(settings: Settings) -> None:
    """Write the files that the settings do not replace, readable by their owner only. What is there stays as it is."""
    if not settings.ops.password.get_secret_value():
        _write_once(settings.home / PASSWORD_FILE, secrets.token_urlsafe(_PASSWORD_BYTES))
    if not settings.ops.key.get_secret_value():
        _write_once(settings.home / KEY_FILE, secrets.token_urlsafe(_KEY_BYTES))


def _read(path: Path) -> str:
    """Return a file's line; empty if there is no file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the operators' login in {path} cannot be read: {type(error).__name__}") from error


def _write_once(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        return
    part = path.with_name(f"{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{secret}\n")
    part.rename(path)
