"""``python -m benchmarks.speculation VERSION``: what guessed tokens gain on a trained version, and that answers stay.

Questions in equal parts: *learned* ones, which the version was trained on; *paraphrased* ones, about the same topics in
other authors' words (``gold.csv`` and ``dev.csv``, never learned); *new* ones (``--new FILE``, a CSV file with a column
``Q``, for example ChatbotData). No question comes twice. Each part is answered with and without guesses in turn, in a
closed loop of 1, 8 and 32 waiting questions.
"""

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.__main__ import machine
from kogpt2_chat.artifact.card import ENGINE_FILES, verify_folder
from kogpt2_chat.artifact.forms import Form, FormChoice
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.domain.chat.prompt import bot_token_ids
from kogpt2_chat.inference.form_choice import available_forms
from kogpt2_chat.inference.loading import ServedBot, learned_drafts, load_form, make_engine
from kogpt2_chat.inference.measure_forms import measure_speed
from kogpt2_chat.inference.native.library import find_library
from kogpt2_chat.inference.uncertain import read_uncertainty
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings

PARTS: Final = ("learned", "paraphrased", "new")
WAITING: Final = (1, 8, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The answers to some questions.

    Attributes:
        tokens: of each answer, by question.
        seconds: for all.
    """

    tokens: dict[str, tuple[int, ...]]
    seconds: float


def main() -> None:
    """Measure, and print a table for each form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", type=Path)
    parser.add_argument("--new", type=Path, required=True, help="CSV file with a column Q")
    parser.add_argument("--form", default="", help="only this form; by default every form of this machine")
    parser.add_argument("--questions", type=int, default=96, help="questions of each part")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = load_settings()
    settings = settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_batch": max(WAITING)})})
    questions = choose_questions(options.version, options.new, options.questions)
    print(json.dumps(machine(), ensure_ascii=False))
    for form in [options.form] if options.form else available_forms(options.version / ENGINE_FILES[0], find_library()):
        bot = load(options.version, form, settings)
        drafts = learned_drafts(bot, settings.model.max_new_tokens)
        if drafts is None:
            raise SystemExit(f"{options.version} has no learned answers to guess from")
        report(form, questions, bot, replace(bot, drafts=drafts), options.rounds, settings)


def choose_questions(version: Path, new: Path, count: int) -> dict[str, list[str]]:
    """Draw the questions of each part; the same ones in each call."""
    bot = verify_folder(version).bot
    uncertainty = read_uncertainty(version)
    known = [pair.question for pair in uncertainty.known.known] if uncertainty else []
    corpus = CHECKOUT / "corpora" / bot
    other = [pair.question for name in ("gold.csv", "dev.csv") for pair in read_pairs(corpus / name)]
    with new.open(encoding="utf-8") as file:
        unseen = [row["Q"] for row in csv.DictReader(file)]
    draw = random.Random(14)  # noqa: S311 - a sample, not secrets
    used: set[str] = set()
    chosen = {}
    for part, pool in zip(PARTS, (known, other, unseen), strict=True):
        free = sorted(
            {question for question in pool if question not in used and (part == PARTS[0] or question not in known)}
        )
        chosen[part] = draw.sample(free, min(count, len(free)))
        used.update(chosen[part])
    return chosen


def load(version: Path, form: Form, settings: Settings) -> ServedBot:
    """Load a version in a form, and time its passes, from which the length of the guesses follows."""
    card, tokenizer = verify_folder(version), load_tokenizer(version)
    network = load_form(version, version / ENGINE_FILES[0], tokenizer, form, settings)
    return ServedBot(
        label=form,
        network=network,
        tokenizer=tokenizer,
        card=card,
        max_prompt_tokens=settings.model.max_prompt_tokens,
        max_answer_chars=settings.serving.max_answer_chars,
        first_ids=bot_token_ids(card.bot, card.prompt_format),
        uncertainty=read_uncertainty(version),
        choice=FormChoice(form=form, least_share=0.0, speed_by_form=measure_speed({form: network})),
    )


def ask(bot: ServedBot, questions: Sequence[str], waiting: int, settings: Settings) -> Run:
    """Answer questions; a new one is asked when one is answered, so that always as many wait."""
    engine, tokens, left = make_engine(settings), {}, list(reversed(questions))
    started = time.perf_counter()
    while left or engine.in_flight:
        while left and engine.in_flight < waiting:
            question = left.pop()
            engine.add_request(question, bot, bot.encode(question))
        tokens.update({done.request_id: tuple(done.token_ids) for done in engine.step()})
    return Run(tokens=tokens, seconds=time.perf_counter() - started)


def report(
    form: Form, questions: dict[str, list[str]], plain: ServedBot, guessing: ServedBot, rounds: int, settings: Settings
) -> None:
    """Print answers/s with guesses, the gain by part and for all, and the answers that differ."""
    print(f"\n{form}: reading the weights costs as much as {plain.free_rows:.1f} rows\n")
    print("| waiting | part | answers/s without | with guesses | gain (lowest to highest) | other answers |")
    print("|---" * 6 + "|")
    for waiting in WAITING:
        without_s, with_s = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)
        for part, asked in questions.items():
            count = len(asked) if waiting > 1 else len(asked) // 2
            times: list[tuple[float, float]] = []
            different = 0
            ask(guessing, asked[:waiting], waiting, settings)  # warm up
            for number in range(rounds):
                runs = {}
                for bot in (plain, guessing)[:: 1 if number % 2 else -1]:
                    runs[bot is guessing] = ask(bot, asked[:count], waiting, settings)
                different = sum(
                    runs[True].tokens[question] != runs[False].tokens[question] for question in asked[:count]
                )
                times.append((runs[False].seconds, runs[True].seconds))
            gains = sorted(without / with_guesses for without, with_guesses in times)
            without_s[part], with_s[part] = (median(column) / count for column in zip(*times, strict=True))
            _row(waiting, part, without_s[part], with_s[part], f"{gains[0]:.2f} to {gains[-1]:.2f}", different, count)
        _row(waiting, "all", sum(without_s.values()) / 3, sum(with_s.values()) / 3, "", 0, 0)
    sys.stdout.flush()


def _row(waiting: int, part: str, without_s: float, with_s: float, spread: str, different: int, count: int) -> None:
    compared = f"{different} of {count}" if count else ""
    gain = f"**{without_s / with_s:.2f}** {f'({spread})' if spread else ''}"
    print(f"| {waiting} | {part} | {1 / without_s:.1f} | {1 / with_s:.1f} | {gain} | {compared} |", flush=True)


if __name__ == "__main__":
    main()
