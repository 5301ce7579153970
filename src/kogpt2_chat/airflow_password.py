"""The password file of Airflow: `stack up` writes it, Airflow's login and the commands that start DAG runs read it."""

import json
from pathlib import Path
from typing import Final

PASSWORDS: Final = "airflow/passwords.json"
"""Path of the file in the home: a JSON object with a password per user."""


def read_password(home: Path, username: str) -> str | None:
    """Return the password of a user; None if the file cannot be read or does not contain the user."""
    try:
        password = json.loads((home / PASSWORDS).read_text(encoding="utf-8"))[username]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return password if isinstance(password, str) else None
