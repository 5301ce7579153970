"""Measure which form of a version's graph serves best on this machine, once per kind of processor and model.

The measurements are stored as JSON below ``engine/`` in the cache: speed by machine and size of the model, agreement
by machine, version and form. If a file cannot be read or written, the measurement is repeated. It is also repeated if a
form has crashed more than a day ago: the reason may have been short memory.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import openvino as ov

from kogpt2_chat.artifact.card import CHECK_FILE, ENGINE_FILES, WEIGHTS_FILE, ModelCard
from kogpt2_chat.artifact.forms import SHORT_FORMS, Agreement, Form, FormChoice, Speed, choose
from kogpt2_chat.errors import GateRefused
from kogpt2_chat.inference.engine_check import read_check
from kogpt2_chat.inference.native.library import can_compute, native_forms
from kogpt2_chat.inference.paged import forms_of
from kogpt2_chat.inference.uncertain import FILE as KNOWN_FILE
from kogpt2_chat.machine.cores import library_threads, usable_cores
from kogpt2_chat.machine.processor import CAP, processor_entries, processor_name

Facts = Mapping[str, object]
Figure = TypeVar("Figure", Speed, Agreement)
_FOLDER: Final = "engine"
_CRASH_KEPT_S: Final = 24 * 3600
_SHAPE: Final = ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions")


class Measurements(Protocol):
    """Measures forms of one version. Both methods give None for a form that ends its process."""

    def speeds(self, forms: Sequence[Form]) -> Mapping[Form, Speed | None]:
        """Time all forms in turn."""

    def agreement(self, form: Form) -> Agreement | None:
        """Compare a form's answers with those in fp32; called only if the version has answers to compare with."""


def choose_form(
    folder: Path,
    graph: Path,
    card: ModelCard,
    *,
    native: Path | None,
    frequent: int = 0,
    threads: int,
    least_share: float,
    cache: Path,
    measurements: Measurements,
) -> FormChoice:
    """Choose the form in which a version is served on this machine.

    Args:
        folder: the version's verified folder.
        graph: its graph.
        card: its card.
        native: the library of the native engine; None: it was not built.
        frequent: size of the short list's frequent part; 0: no form has a short list.
        threads: from the settings; 0: all cores.
        least_share: smallest share of answers that must be the same as in fp32.
        cache: folder that all checkouts share.
        measurements: called only for figures that are not in the cache.

    Returns:
        The choice. Its form agrees with fp32 unless no form does, and never crashes.

    Raises:
        CheckpointCorrupt: a form cannot be loaded, or the version's prompts do not fit it.
        GateRefused: every form crashes on this machine.
        Unavailable: the measurement failed in another way.
    """
    if not can_compute(_config(folder)):
        native = None
    machine = machine_facts(threads) | {"native": native.name if native else ""}
    answers = read_check(folder)
    frequent = frequent if KNOWN_FILE in card.files else 0
    forms = available_forms(graph, native, short=frequent > 0)
    listed = {"short list": frequent} if frequent else {}
    entry = _entry(cache, "speed", {**machine, "shape": _shape(folder), **listed})
    speeds = _cached(entry, Speed, forms, lambda: measurements.speeds(forms))
    usable = {form: speed for form, speed in speeds.items() if speed is not None}
    crashing = [form for form in forms if form not in usable]

    def agreement(form: Form) -> Agreement | None:
        if not answers:
            return None
        content = {name: card.files.get(name, "") for name in (*ENGINE_FILES, WEIGHTS_FILE, CHECK_FILE)}
        listed = {"short list": [frequent, card.files[KNOWN_FILE]]} if form in SHORT_FORMS else {}
        entry = _entry(cache, "agreement", {"machine": _key(machine), "form": form, **listed, **content})
        found = _cached(entry, Agreement, [form], lambda: {form: measurements.agreement(form)})[form]
        if found is None:
            crashing.append(form)
        return found or Agreement(answers=len(answers), same_answers=0, tokens=0, same_tokens=0)

    while usable:
        choice = choose(usable, agreement, least_share)
        if choice.form not in crashing:
            compared = {form: found for form, found in choice.agreement_by_form.items() if form not in crashing}
            return replace(choice, agreement_by_form=compared, crashing=tuple(crashing))
        usable = {form: speed for form, speed in usable.items() if form not in crashing}
    raise GateRefused(f"on this machine {folder} crashes in every form ({', '.join(forms)}): keep the previous version")


def available_forms(graph: Path, native: Path | None, *, short: bool = False) -> tuple[Form, ...]:
    """Return the forms in which a version can be loaded on this machine.

    Args:
        graph: its graph.
        native: the library of the native engine; None: it was not built.
        short: whether there are also forms with a short list of tokens.

    Raises:
        CheckpointCorrupt: the graph cannot be read.
    """
    if native is None:
        return forms_of(graph)
    return (*forms_of(graph), *native_forms(native), *(native_forms(native, short=True) if short else ()))


def machine_facts(threads: int) -> dict[str, object]:
    """Return what speed and agreement depend on besides the model: processor, instruction cap, library and cores."""
    entries = processor_entries()
    return {
        "processor": processor_name(entries),
        "stepping": [entries.get(name, "") for name in ("cpu family", "model", "stepping", "CPU part")],
        "flags": entries.get("flags") or entries.get("Features") or "",
        "cap": os.environ.get(CAP, ""),
        "openvino": ov.__version__,
        "cores": library_threads(threads) or usable_cores(),
    }


def _config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text("utf-8")))


def _shape(folder: Path) -> list[int]:
    config = _config(folder)
    return [int(config[name]) for name in _SHAPE]


def _key(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _entry(cache: Path, kind: str, facts: Facts) -> tuple[Path, Facts]:
    """Return the cache file for measurements made under these conditions, and the conditions."""
    return cache / _FOLDER / f"{kind}-{_key(facts)}.json", facts


def _cached(
    entry: tuple[Path, Facts],
    kind: type[Figure],
    names: Iterable[str],
    measure: Callable[[], Mapping[Any, Figure | None]],
) -> Mapping[Any, Figure | None]:
    """Return the measurements of these names from the cache; measure and store them if they are not there."""
    path, facts = entry
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # missing, truncated or another format
        found = json.loads(path.read_text("utf-8"))
        stored = {name: found["figures"][name] for name in names}
        figures = {name: None if figure is None else kind(**figure) for name, figure in stored.items()}
        is_old = None in figures.values() and time.time() - path.stat().st_mtime > _CRASH_KEPT_S
        if found["facts"] == facts and all(_is_plausible(figure) for figure in figures.values()) and not is_old:
            return figures
    measured = measure()
    _write(path, {"facts": facts, "figures": {name: figure and asdict(figure) for name, figure in measured.items()}})
    return measured


def _is_plausible(figure: Speed | Agreement | None) -> bool:
    return figure is None or all(isinstance(value, int | float) and value >= 0 for value in asdict(figure).values())


def _write(path: Path, content: Facts) -> None:
    """Write the file and rename it into place, because another worker may be reading it."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="utf-8", delete=False) as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
