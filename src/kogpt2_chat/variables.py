"""Convert the settings tree from and to variables: read the environment and ``.env``, and write them back.

This module checks names and the form of texts. The tree's types validate the values.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, SecretStr

from kogpt2_chat.domain.servers.addresses import without_login
from kogpt2_chat.env_file import ENV_FILE, read_env_file

PREFIX: Final = "KOGPT2_"
_NOT_SETTINGS: Final = re.compile(
    rf"{ENV_FILE}|KOGPT2_PYTHON|KOGPT2_STACK_PROGRAM|KOGPT2_SERVING__FAILPOINT|KOGPT2_(TEST|BENCH)_\w+"
)
"""Variables with the project's prefix that are not settings: set-up, supervisor, tests and benchmarks read them."""
_OUTDATED: Final = {
    "KOGPT2_MODEL__SMALL_MAX_STEPS": "use KOGPT2_MODEL__SMALL_ANSWER_TOKENS",
    "KOGPT2_PORTS__SPARK_UI": "this page does not exist",
    "KOGPT2_SERVING__ENGINE": "the reference engine only evaluates versions, it does not serve them",
    "KOGPT2_SERVING__HISTORY_TURNS": "models are not trained on earlier turns",
    "KOGPT2_SERVING__LATE_ANSWER": "use KOGPT2_SERVING__UNCERTAIN",
    "KOGPT2_SERVING__NICE": "start the worker with `nice`, or set `Nice=` in its unit",
    "KOGPT2_SERVING__SLOW_COMMIT_S": "a producer is replaced whenever one of its requests may still be in flight",
    "KOGPT2_SERVING__SWAP_POLL_S": "rollouts are always polled twice a second",
    "KOGPT2_STACK__START_TIMEOUT_S": "use KOGPT2_STACK__STALL_S and KOGPT2_STACK__START_HARD_END_S",
    "KOGPT2_TRAINING__CLIP_NORM": "gradients are always clipped to a norm of 1",
    "KOGPT2_TRAINING__MAX_STEPS": "use KOGPT2_TRAINING__ANSWER_TOKENS",
}
"""Settings of earlier releases that no longer have an effect, and the reason or replacement."""
_RENAMED: Final = {
    "KOGPT2_LEARNING__QUARANTINE_HOURS": "KOGPT2_LEARNING__MIN_AGE_HOURS",
    "KOGPT2_SERVING__SLOT": "KOGPT2_SERVING__ORDINAL",
}
"""New names of renamed settings by old name. The old names of the last release still work in this one."""
_QUOTES: Final = ("''", '""', "“”", "‘’", "``")
_SHOWN_CHARS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One setting: its path in the tree, and the type that decides how its text is parsed."""

    path: tuple[str, ...]
    annotation: Any

    @property
    def is_json(self) -> bool:
        """Whether the setting is written as JSON."""
        return get_origin(self.annotation) in (dict, tuple)

    @property
    def is_secret(self) -> bool:
        """Whether the value is never displayed, and is used without stripping whitespace."""
        return self.annotation is SecretStr or SecretStr in get_args(self.annotation)


@dataclass(slots=True)
class Given:
    """The values that the environment and ``.env`` set, and what is wrong with them.

    Attributes:
        tree: values by section and field.
        faults: sentences, each with the variable's name.
        wrong: names of the variables that have faults.
        is_whole: False if nothing of ``.env`` could be read.
        warnings: sentences about settings of earlier releases: without effect, or under an old name.
        source_by_name: where each variable was found: the environment or the path of ``.env``.
    """

    tree: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    is_whole: bool = True
    warnings: list[str] = field(default_factory=list)
    source_by_name: dict[str, str] = field(default_factory=dict)

    def add_fault(self, name: str, sentence: str) -> None:
        """Record what is wrong with a variable."""
        self.wrong.add(name)
        self.faults.append(sentence)

    def put(self, path: Sequence[str], value: object) -> None:
        """Set a value; None removes it, so that the default applies."""
        *sections, name = path
        parent = self.tree
        for section in sections:
            parent = parent.setdefault(section, {})
        parent.pop(name, None)
        if value is not None:
            parent[name] = value


class Names:
    """The variables of a settings tree."""

    def __init__(self, tree: type[BaseModel]) -> None:
        self.leaf_by_name = leaves_of(tree)
        self.section_by_name = {variable(leaf.path[:1]): leaf.path[0] for leaf in self.leaf_by_name.values()}
        self.section_by_name = {
            name: section for name, section in self.section_by_name.items() if name not in self.leaf_by_name
        }

    def unknown(self, name: str) -> str:
        """Return a sentence about a name that is not a setting, with the most similar setting."""
        for leaf_name, leaf in self.leaf_by_name.items():
            if name.startswith(f"{leaf_name}__"):
                return f"{name}: no such setting; set {leaf_name} as a whole, as {expected_form(leaf)}"
        # The common prefix would make all names look similar.
        common = PREFIX if name.startswith(PREFIX) else ""
        known = [one.removeprefix(common) for one in self.leaf_by_name]
        near = get_close_matches(name.removeprefix(common), known, n=1)
        hint = f"did you mean {common}{near[0]}?" if near else "`kogpt2-chat settings` shows all"
        return f"{name}: no such setting; {hint}"


def variable(path: Sequence[str]) -> str:
    """Return the variable of a setting, e.g. ``KOGPT2_PORTS__OFFSET``."""
    return PREFIX + "__".join(path).upper()


def leaves_of(tree: type[BaseModel], path: tuple[str, ...] = ()) -> dict[str, Leaf]:
    """Return every setting of a tree by its variable."""
    found: dict[str, Leaf] = {}
    for name, info in tree.model_fields.items():
        here, kind = (*path, name), info.annotation
        if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
            found |= leaves_of(kind, here)
        else:
            found[variable(here)] = Leaf(path=here, annotation=kind)
    return found


def expected_form(leaf: Leaf) -> str:
    """Describe the JSON that a setting expects."""
    if leaf.is_json and leaf.is_secret:
        return 'a JSON list such as ["KEY"]'
    if get_origin(leaf.annotation) is tuple:
        return "a JSON list such as [9866, 9876]"
    return 'one JSON object such as {"ChatbotA": ...}'


def read_variables(tree: type[BaseModel], environment: Mapping[str, str]) -> Given:
    """Read the environment and the ``.env`` file that it names. The environment wins, even with an empty value.

    Args:
        tree: the settings to look for.
        environment: variables by name.

    Returns:
        The values that were set, and everything that is wrong with names and texts.
    """
    file, names = read_env_file(environment), Names(tree)
    given = Given(faults=list(file.faults), is_whole=bool(file.values) or not file.faults)
    meant = {name: text for name, text in file.values.items() if _is_meant(name, names, in_file=True)}
    _add_all(given, names, meant, str(file.path))
    meant = {name: text for name, text in environment.items() if _is_meant(name, names, in_file=False)}
    _add_all(given, names, meant, "the environment")
    return given


def as_variables(settings: BaseModel) -> dict[str, str]:
    """Return the explicitly set settings as variables that set them again, secrets included."""
    return dict(_texts(settings, settings.model_dump(exclude_unset=True)))


def shown_variables(settings: BaseModel) -> dict[str, str]:
    """Return all settings as variables for display: secrets are shown as asterisks."""
    texts = dict(_texts(settings, settings.model_dump(mode="json")))
    return {name: texts.get(name, "") for name in leaves_of(type(settings))}


def shown(value: object) -> str:
    """Format a value for a message: without a login, and cut to one line."""
    value = without_login(value) if isinstance(value, str) else value
    text = ascii(value) if _has_kind(str(value), "Cs") else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _texts(settings: BaseModel, dumped: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, leaf in leaves_of(type(settings)).items():
        value: Any = dumped
        for part in leaf.path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            yield name, _text(value)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, (str, Path)):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=_secret_text)


def _secret_text(value: object) -> str:
    """Return the text of a secret in a list."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(f"{type(value).__name__} is not a setting's type")


def _is_meant(name: str, names: Names, *, in_file: bool) -> bool:
    """Check whether a variable is meant for this project: by its prefix, or by similarity to a setting's name."""
    upper = name.upper()
    if upper.startswith(PREFIX) or (in_file and PREFIX in upper):
        return _NOT_SETTINGS.fullmatch(upper) is None
    return upper.startswith("KOG") and bool(get_close_matches(upper, names.leaf_by_name, n=1, cutoff=0.9))


def _add_all(given: Given, names: Names, texts: Mapping[str, str | None], source: str) -> None:
    """Add the variables of one source."""
    spellings: dict[str, list[str]] = {}
    for name in sorted(texts):
        spellings.setdefault(name.upper(), []).append(name)
    text_by_name: dict[str, str | None] = {}
    for name, spelled in spellings.items():
        if len(spelled) > 1:
            given.add_fault(name, f"{name}: set twice in {source}, as {' and '.join(spelled)}: keep one")
        else:
            text_by_name[name] = texts[spelled[0]]
    for name, text, found_in in _under_new_names(given, text_by_name, source):
        _add(given, names, name, text, found_in)


def _under_new_names(given: Given, values: Mapping[str, Any], source: str) -> Iterator[tuple[str, Any, str]]:
    """Yield the variables of one source with today's names, their values and where they were found.

    A section sorts before its fields, so a single field overrides it.
    """
    for old in sorted(values):
        new = _RENAMED.get(old)
        if new is None:
            yield old, values[old], source
        elif new not in values:
            given.warnings.append(f"{old} (in {source}) is now called {new}; the next release ignores the old name")
            yield new, values[old], f"{source}, as {old}"
        elif values[old] == values[new]:
            given.warnings.append(f"{old} (in {source}) is now called {new}, which is set too: remove {old}")
        else:
            given.wrong.add(old)
            given.add_fault(new, f"{new}: {source} also sets {old}, its old name, to another value: remove {old}")


def _add(given: Given, names: Names, name: str, text: str | None, source: str) -> None:
    """Add one variable to the tree, or to the faults."""
    given.source_by_name[name] = source
    if text is None:
        given.add_fault(name, f"{name}: has no value in {source}, expected NAME=value")
    elif leaf := names.leaf_by_name.get(name):
        _add_leaf(given, leaf, name, text)
    elif section := names.section_by_name.get(name):
        _add_section(given, names, section, name, text)
    elif name in _OUTDATED:
        given.warnings.append(_outdated(name, source))
    else:
        given.add_fault(name, f"{names.unknown(name)} (in {source})")


def _outdated(name: str, source: str) -> str:
    return f"{name} (in {source}) no longer has an effect: {_OUTDATED[name]}"


def _add_leaf(given: Given, leaf: Leaf, name: str, text: str) -> None:
    text = text if leaf.is_secret else text.strip()
    if text == "":
        given.put(leaf.path, None)
    elif fault := _text_fault(leaf, text):
        given.add_fault(name, f"{name}: {fault}{_found(given, name, leaf, text)}")
    elif not leaf.is_json:
        given.put(leaf.path, text)
    elif (value := _json(text)) is None:
        given.add_fault(name, f"{name}: expected {expected_form(leaf)}{_found(given, name, leaf, text)}")
    else:
        given.put(leaf.path, value)


def _add_section(given: Given, names: Names, section: str, name: str, text: str) -> None:
    """Add a section that is set as one JSON object. Messages do not quote its text, which may contain secrets."""
    found = _json(text) if text.strip() else {}
    if not isinstance(found, dict):
        given.add_fault(
            name, f"{name}: expected a JSON object of the section's settings ({given.source_by_name[name]})"
        )
        return
    values = {_variable_of_key(section, key): value for key, value in found.items()}
    for leaf_name, value, source in _under_new_names(given, values, given.source_by_name[name]):
        leaf = names.leaf_by_name.get(leaf_name)
        given.source_by_name[leaf_name] = source
        if leaf_name in _OUTDATED:
            given.warnings.append(_outdated(leaf_name, name))
        elif leaf is None:
            given.add_fault(leaf_name, f"{names.unknown(leaf_name)} (in {name})")
        elif isinstance(value, str) and not leaf.is_json:
            _add_leaf(given, leaf, leaf_name, value)
        else:
            given.put(leaf.path, value)


def _variable_of_key(section: str, key: str) -> str:
    """Return the variable of a field of a section in JSON. A key that is not in lower case is reported as unknown."""
    return variable((section, key)) if key.islower() else variable((section, "")) + key


def _text_fault(leaf: Leaf, text: str) -> str | None:
    """Return what is wrong with a text regardless of its type, or None."""
    if _has_kind(text, "Cs"):
        return "is not UTF-8 text"
    if not leaf.is_json and _has_kind(text, "Cc"):
        return "contains control characters, such as a line break"
    if not leaf.is_secret and len(text) > 1 and text[0] + text[-1] in _QUOTES:
        return "the quotation marks are part of the value: write it without them"
    return None


def _found(given: Given, name: str, leaf: Leaf, text: str) -> str:
    where = given.source_by_name[name]
    return f" (in {where})" if leaf.is_secret else f" (found {shown(text)} in {where})"


def _json(text: str) -> Any:
    """Return the parsed value, or None if the text is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _has_kind(text: str, category: str) -> bool:
    return any(unicodedata.category(char) == category for char in text)
