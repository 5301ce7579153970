"""The operators' account and the key of their cookies: in the settings and in the home's files."""

import json
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.operator_login import (
    KEY_FILE,
    PASSWORD_FILE,
    operator_login,
    operator_password,
    shown_password,
    write_operator_login,
)
from kogpt2_chat.settings import Ops, Settings, load_settings
from kogpt2_chat.variables import shown_variables
from kogpt2_chat.world_keys import signing_keys, write_first_key

KEY = "k" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "홈 폴더"


def test_the_login_is_generated_once(home: Path) -> None:
    """There is no default password. Only this user can read the files, and the key is none of the guests' keys."""
    settings = Settings(home=home)
    write_first_key(settings)
    write_operator_login(settings)
    first = operator_login(settings)
    assert first.username == "operator"
    assert first.password is not None
    assert len(first.password) >= 16
    assert len(first.key) >= 43
    assert first.key not in signing_keys(settings).keys
    for name in (PASSWORD_FILE, KEY_FILE):
        assert oct((home / name).stat().st_mode & 0o777) == "0o600"
    write_operator_login(settings)
    assert operator_login(settings) == first
    assert sorted(found.name for found in home.joinpath("world").iterdir()) == [
        "keys", "operator-key", "operator-password",
    ]  # fmt: skip
    other = Settings(home=home.with_name("other"))
    write_operator_login(other)
    assert operator_login(other).password != first.password
    assert operator_login(other).key != first.key


def test_what_the_settings_name_needs_no_file(home: Path) -> None:
    """It takes precedence over a file of before."""
    write_operator_login(Settings(home=home))
    ops = Ops(username="김하늘", password="골라 준 암호", key=KEY)
    found = operator_login(Settings(home=home, ops=ops))
    assert (found.username, found.password, found.key) == ("김하늘", "골라 준 암호", KEY)
    other = home.with_name("other")
    write_operator_login(Settings(home=other, ops=ops))
    assert not other.exists()


def test_without_a_file_there_is_no_password_and_a_key_of_this_process(home: Path) -> None:
    """Nobody can log in, rather than everybody. With a password alone, a login lasts until the gateway restarts."""
    settings = Settings(home=home)
    assert operator_password(settings) is None
    assert operator_login(settings).password is None
    assert operator_login(settings).key != operator_login(settings).key


def test_an_empty_file_gets_a_new_secret(home: Path) -> None:
    """For example, after the disk was full."""
    for name in (PASSWORD_FILE, KEY_FILE):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    assert operator_login(Settings(home=home)).password is None
    write_operator_login(Settings(home=home))
    assert operator_login(Settings(home=home)).password


@pytest.mark.parametrize(("name", "content"), [(KEY_FILE, b"secretly-short"), (PASSWORD_FILE, b"secretly\xff")])
def test_a_file_that_cannot_be_used_is_named_and_not_quoted(home: Path, name: str, content: bytes) -> None:
    """A short key could be guessed from a cookie."""
    (home / name).parent.mkdir(parents=True)
    (home / name).write_bytes(content)
    with pytest.raises(InvalidInput, match="operator") as caught:
        operator_login(Settings(home=home))
    assert shown_password(Settings(home=home)) is None, "`status` shows the rest"
    assert str(home / name) in str(caught.value)
    assert "secretly" not in str(caught.value)


def test_nothing_shows_the_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor the login's own text."""
    monkeypatch.setenv("KOGPT2_OPS__PASSWORD", "secret-password")
    monkeypatch.setenv("KOGPT2_OPS__KEY", "secret-key" * 4)
    settings = load_settings()
    login = operator_login(settings)
    assert (login.password, login.key) == ("secret-password", "secret-key" * 4)
    shown = json.dumps(shown_variables(settings)) + repr(settings) + repr(login) + settings.model_dump_json()
    assert "secret-" not in shown
    monkeypatch.setenv("KOGPT2_OPS__KEY", "secret-key")
    with pytest.raises(InvalidInput, match="KOGPT2_OPS__KEY") as caught:
        load_settings()
    assert "secret-" not in str(caught.value)
