"""``python -m benchmarks.passes [VERSION]``: processor time of a pass, by form and number of rows.

Without a version's folder, of a random network of full size. With ``KOGPT2_SERVING__SHORT_LIST`` also of the forms
with a short list, if the version has learned answers. One core. Processor time is what a pass costs, also while other
programs run; waiting for memory counts, waiting for a core does not.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.models import full_size_versions
from kogpt2_chat.artifact.card import ENGINE_FILES
from kogpt2_chat.artifact.forms import Form
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.inference.form_choice import available_forms
from kogpt2_chat.inference.loading import load_form
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.inference.pages import PagedNetwork, PageTable
from kogpt2_chat.inference.short_list import short_list
from kogpt2_chat.settings import CHECKOUT, load_settings

ROWS: Final = (1, 2, 4, 8, 16, 32)
PROMPT: Final = range(300, 312)
ROUNDS: Final = 12


def main() -> None:
    """Measure every form of this machine in turn, and print a table."""
    settings = load_settings()
    version = Path(sys.argv[1]) if len(sys.argv) > 1 else _random_version()
    graph, tokenizer, library = version / ENGINE_FILES[0], load_tokenizer(version), find_library()
    listed = short_list(version, tokenizer, settings.serving.short_list, settings.model.max_new_tokens)
    forms = available_forms(graph, library, short=settings.serving.short_list > 0 and bool(listed))
    models = {form: load_form(version, graph, tokenizer, form, settings, side_by_side=True) for form in forms}
    print(f"native engine: {library.name if library else 'not built'}")
    print("| ms | " + " | ".join(f"{rows} rows" for rows in ROWS) + f" | a prompt of {len(PROMPT)} |")
    print("|---|" + "---|" * (len(ROWS) + 1))
    tokens_ms = {rows: measure(models, rows, [500]) for rows in ROWS}
    prompt_ms = measure(models, 1, PROMPT)
    for form in forms:
        cells = [*(tokens_ms[rows][form] for rows in ROWS), prompt_ms[form]]
        print(f"| `{form}` | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


def _random_version() -> Path:
    return full_size_versions(CHECKOUT / "var" / "bench-models", lambda text: print(text, file=sys.stderr))[BOT_IDS[0]]


def measure(models: Mapping[Form, PagedNetwork], rows: int, tokens: range | list[int]) -> dict[Form, float]:
    """Return the median milliseconds of processor time of a pass, by form; the forms take turns."""
    found: dict[Form, list[float]] = {form: [] for form in models}
    for number in range(ROUNDS + 2):
        for form, model in models.items():
            tables = [PageTable() for _ in range(rows)]
            if len(tokens) == 1:
                model.forward([(table, PROMPT) for table in tables], single_core=True)
            taken_ms = _processor_ms(lambda model=model, tables=tables: model.forward(  # type: ignore[misc]
                [(table, tokens) for table in tables], single_core=True
            ))  # fmt: skip
            if number >= 2:
                found[form].append(taken_ms)
            for table in tables:
                model.release(table)
    return {form: statistics.median(times) for form, times in found.items()}


def _processor_ms(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began)


if __name__ == "__main__":
    main()
