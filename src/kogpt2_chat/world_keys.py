"""The keys that sign and verify questions and feedback: from the settings, or from the file that `stack up` writes.

Gateways, workers and ingest read them here, once, when they start. Keys must not appear in logs or messages.
"""

import os
import secrets
from typing import Final

from kogpt2_chat.domain.chat.signing import SigningKeys, key_fault
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

KEY_FILE: Final = "world/keys"
"""Path of the file in the home: one key per line, the newest first. Empty lines and those with # at the beginning are
ignored."""
_RANDOM_BYTES: Final = 32
_HEAD: Final = "# Keys of the virtual world, one per line, the newest first. Keep them secret.\n"


def signing_keys(settings: Settings) -> SigningKeys:
    """Return the keys in the settings, otherwise those in the home's file; none if there is neither.

    Args:
        settings: the keys and the home.

    Returns:
        The keys. Without any, nothing is signed, and every record is unauthenticated.

    Raises:
        InvalidInput: the file cannot be read, or a key in it cannot be used.
    """
    if settings.world.keys:
        return SigningKeys(tuple(key.get_secret_value() for key in settings.world.keys))
    path = settings.home / KEY_FILE
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return SigningKeys()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the keys in {path} cannot be read: {type(error).__name__}") from error
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if fault := key_fault(keys):
        raise InvalidInput(f"the keys in {path} cannot be used: {fault}")
    return SigningKeys(keys)


def write_first_key(settings: Settings) -> None:
    """Write the file with a new random key, readable by its owner only. A file with content stays as it is.

    Args:
        settings: the home; if they have keys, no file is needed and nothing is written.
    """
    if settings.world.keys:
        return
    path = settings.home / KEY_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        return
    part = path.with_name("keys.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{_HEAD}{secrets.token_urlsafe(_RANDOM_BYTES)}\n")
    part.rename(path)
