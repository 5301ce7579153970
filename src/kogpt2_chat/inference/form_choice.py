"""Measure which form of a version's graph serves best on this machine, once per kind of processor and model.

The measurements are stored as JSON below ``engine/`` in the cache: speed by machine and size of the model, agreement
by machine, version and form. If a file cannot be read or written, the measurement is repeated.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import openvino as ov

from kogpt2_chat.artifact.card import CHECK_FILE, ENGINE_FILES, WEIGHTS_FILE, ModelCard
from kogpt2_chat.artifact.forms import SHORT_FORMS, Agreement, Form, FormChoice, Speed, choose
from kogpt2_chat.inference.engine_check import compare, read_check
from kogpt2_chat.inference.native.library import can_compute, native_forms
from kogpt2_chat.inference.paged import forms_of
from kogpt2_chat.inference.pages import PagedNetwork, PageTable
from kogpt2_chat.inference.uncertain import FILE as KNOWN_FILE
from kogpt2_chat.machine.cores import library_threads, usable_cores
from kogpt2_chat.machine.processor import CAP, processor_entries, processor_name

Facts = Mapping[str, object]
Figure = TypeVar("Figure", Speed, Agreement)
_FOLDER: Final = "engine"
_BATCH_SIZES: Final = (1, 8)
_PROMPT: Final = 12
_WARM_UP, _ROUNDS = 2, 7
_SHAPE: Final = ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions")


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
    load: Callable[[Form], PagedNetwork],
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
        load: returns the graph in a form; called only for forms that must be measured.

    Returns:
        The choice. Its form agrees with fp32 unless no form does.

    Raises:
        CheckpointCorrupt: a form cannot be loaded, or the version's prompts do not fit it.
    """
    if not can_compute(_config(folder)):
        native = None
    machine = machine_facts(threads) | {"native": native.name if native else ""}
    answers = read_check(folder)

    def agreement(form: Form) -> Agreement | None:
        if not answers:
            return None
        content = {name: card.files.get(name, "") for name in (*ENGINE_FILES, WEIGHTS_FILE, CHECK_FILE)}
        listed = {"short list": [frequent, card.files[KNOWN_FILE]]} if form in SHORT_FORMS else {}
        entry = _entry(cache, "agreement", {"machine": _key(machine), "form": form, **listed, **content})
        return _cached(entry, Agreement, [form], lambda: {form: compare(load(form), answers)})[form]

    frequent = frequent if KNOWN_FILE in card.files else 0
    forms = available_forms(graph, native, short=frequent > 0)
    if len(forms) == 1:
        found = agreement(forms[0])
        return FormChoice(
            form=forms[0], least_share=least_share, agreement_by_form={forms[0]: found} if found is not None else {}
        )
    listed = {"short list": frequent} if frequent else {}
    entry = _entry(cache, "speed", {**machine, "shape": _shape(folder), **listed})
    speeds = _cached(entry, Speed, forms, lambda: measure_speed({form: load(form) for form in forms}))
    return choose(speeds, agreement, least_share)


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


def measure_speed(models: Mapping[Form, PagedNetwork]) -> dict[Form, Speed]:
    """Time passes of each model in turn, so that a slow moment of the machine affects all of them.

    Args:
        models: must not be decoding at the same time.

    Returns:
        Median times by form.
    """
    taken_ms: dict[tuple[Form, int], list[float]] = {(form, count): [] for form in models for count in _BATCH_SIZES}
    for count in _BATCH_SIZES:
        tables = {form: [PageTable() for _ in range(count)] for form in models}
        for form, model in models.items():
            model.forward([(table, range(1, 1 + _PROMPT)) for table in tables[form]])
        for number in range(_WARM_UP + _ROUNDS):
            for form, model in models.items():
                started = time.perf_counter()
                model.forward([(table, [1]) for table in tables[form]])
                if number >= _WARM_UP:
                    taken_ms[form, count].append((time.perf_counter() - started) * 1000)
        for form, model in models.items():
            for table in tables[form]:
                model.release(table)
    one, eight = _BATCH_SIZES
    return {
        form: Speed(one_row_ms=median(taken_ms[form, one]), eight_rows_ms=median(taken_ms[form, eight]))
        for form in models
    }


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
    entry: tuple[Path, Facts], kind: type[Figure], names: Iterable[str], measure: Callable[[], Mapping[Any, Figure]]
) -> Mapping[Any, Figure]:
    """Return the measurements of these names from the cache; measure and store them if they are not there."""
    path, facts = entry
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # missing, truncated or another format
        found = json.loads(path.read_text("utf-8"))
        figures = {name: kind(**figure) for name, figure in ((name, found["figures"][name]) for name in names)}
        if found["facts"] == facts and all(_is_plausible(figure) for figure in figures.values()):
            return figures
    measured = measure()
    _write(path, {"facts": facts, "figures": {name: asdict(figure) for name, figure in measured.items()}})
    return measured


def _is_plausible(figure: Speed | Agreement) -> bool:
    return all(isinstance(value, int | float) and value >= 0 for value in asdict(figure).values())


def _write(path: Path, content: Facts) -> None:
    """Write the file and rename it into place, because another worker may be reading it."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="utf-8", delete=False) as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
