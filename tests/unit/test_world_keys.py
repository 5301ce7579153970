"""The keys of the world: in the settings and in the home's file."""

import json
from pathlib import Path

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings, World, load_settings
from kogpt2_chat.variables import as_variables, shown_variables
from kogpt2_chat.world_keys import KEY_FILE, signing_keys, write_first_key

NAME = "KOGPT2_WORLD__KEYS"
ONE, TWO = "1" * 32, "2" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "홈 폴더"


def test_the_first_key_is_generated_once(home: Path) -> None:
    """There is no default key. Only this user can read the file."""
    write_first_key(Settings(home=home))
    path = home / KEY_FILE
    text, keys = path.read_text(), signing_keys(Settings(home=home))
    assert len(keys.keys) == 1
    assert len(keys.keys[0]) >= 43
    assert (oct(path.stat().st_mode & 0o777), oct(path.parent.stat().st_mode & 0o777)) == ("0o600", "0o700")
    write_first_key(Settings(home=home))
    assert path.read_text() == text
    assert [found.name for found in path.parent.iterdir()] == ["keys"]
    other = home.with_name("other")
    write_first_key(Settings(home=other))
    assert signing_keys(Settings(home=other)) != keys


def test_keys_in_the_settings_need_no_file(home: Path) -> None:
    """No second key lies around that nobody uses."""
    write_first_key(Settings(home=home, world=World(keys=[ONE])))
    assert not home.exists()


def test_a_file_that_was_left_empty_gets_a_key(home: Path) -> None:
    """For example, after the disk was full."""
    (home / KEY_FILE).parent.mkdir(parents=True)
    (home / KEY_FILE).touch()
    assert signing_keys(Settings(home=home)).keys == ()
    write_first_key(Settings(home=home))
    assert len(signing_keys(Settings(home=home)).keys) == 1


def test_a_home_without_a_file_has_no_keys(home: Path) -> None:
    """A worker on another machine without the setting answers too."""
    assert signing_keys(Settings(home=home)).keys == ()


def test_a_file_has_a_key_per_line_and_the_setting_takes_precedence(home: Path) -> None:
    """The newest key comes first in both. Comments, empty lines and spaces around a key do not count."""
    (home / KEY_FILE).parent.mkdir(parents=True)
    (home / KEY_FILE).write_text(f"# new\n {TWO} \r\n\n{ONE}\n")
    assert signing_keys(Settings(home=home)).keys == (TWO, ONE)
    assert signing_keys(Settings(home=home, world=World(keys=[ONE]))).keys == (ONE,)


@pytest.mark.parametrize(
    "content", [b"secretly-short\n", b"\xff\xfe", "\n".join(str(n) * 32 for n in range(4)).encode()], ids=repr
)
def test_a_file_that_cannot_be_used_is_named_and_not_quoted(home: Path, content: bytes) -> None:
    """Otherwise every record would become unauthenticated without a notice."""
    (home / KEY_FILE).parent.mkdir(parents=True)
    (home / KEY_FILE).write_bytes(content)
    with pytest.raises(InvalidInput, match="keys") as caught:
        signing_keys(Settings(home=home))
    assert str(home / KEY_FILE) in str(caught.value)
    assert "secretly" not in str(caught.value)
    assert "0000" not in str(caught.value)


def test_the_setting_is_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that `up` starts get the same keys; no page or command shows them."""
    monkeypatch.setenv(NAME, json.dumps([TWO, ONE]))
    settings = load_settings()
    assert signing_keys(settings).keys == (TWO, ONE)
    assert json.loads(as_variables(settings)[NAME]) == [TWO, ONE]
    shown = shown_variables(settings)[NAME] + repr(settings) + json.dumps(settings.model_dump(mode="json"))
    assert ONE not in shown
    assert TWO not in shown
    monkeypatch.setenv(NAME, as_variables(settings)[NAME])
    assert signing_keys(load_settings()).keys == (TWO, ONE)


@pytest.mark.parametrize(
    "text", ["secret" * 8, '"secret"', "[5]", '["secret"]', '["secret secret secret secret secret"]', '{"a": "secret"}',
             json.dumps(["secret" * 8] * 2), json.dumps([f"{n}secret" * 8 for n in range(4)])],
)  # fmt: skip
def test_a_wrong_setting_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A key in a message could end up in a log."""
    monkeypatch.setenv(NAME, text)
    with pytest.raises(InvalidInput, match=NAME) as caught:
        load_settings()
    assert "secret" not in str(caught.value)


def test_an_empty_setting_means_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does an empty list."""
    write_first_key(Settings(home=home))
    monkeypatch.setenv("KOGPT2_HOME", str(home))
    for text in ("", "[]"):
        monkeypatch.setenv(NAME, text)
        assert len(signing_keys(load_settings()).keys) == 1
