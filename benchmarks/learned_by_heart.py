"""``python -m benchmarks.learned_by_heart VERSION FOLDER``: a version that says some of its pairs word for word.

It goes on training the version's network on a few hundred of its known pairs, says how many of them it then answers
exactly, and writes a version that knows these pairs. For measurements that need a bot which says what it has learned,
as a fully trained one does: a stand-in's training until then takes hours.
"""

import argparse
import random
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import verify_folder
from kogpt2_chat.artifact.convert import convert
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.prompt import bot_token_ids
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.inference.uncertain import FILE, as_text, read_uncertainty
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.checkpoint import load_network, write_checkpoint
from kogpt2_chat.network.load import use_threads
from kogpt2_chat.network.network import reproduces_answers
from kogpt2_chat.settings import load_settings
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe

_EPOCHS: Final = 8


def main() -> None:
    """Train, and write the version."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", type=Path)
    parser.add_argument("folder", type=Path, help="the new version; an existing one is replaced")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2e-4, help="peak of the learning rate")
    options = parser.parse_args()
    settings = load_settings()
    use_threads(settings)
    card, tokenizer, uncertainty = (
        verify_folder(options.version), load_tokenizer(options.version), read_uncertainty(options.version)
    )  # fmt: skip
    if uncertainty is None:
        raise SystemExit(f"{options.version} has no known pairs")
    draw = random.Random(14)  # noqa: S311 - a sample, not secrets
    by_question = {pair.question: pair for pair in uncertainty.known.known}
    known = draw.sample(sorted(by_question.values(), key=lambda pair: pair.question), options.pairs)
    examples = make_examples(
        [Pair(question=pair.question, answer=pair.answer) for pair in known], tokenizer,
        settings.model.max_prompt_tokens, settings.model.max_new_tokens, bot_token_ids(card.bot, card.prompt_format),
    )  # fmt: skip
    network = load_network(options.version)
    recipe = Recipe(
        epochs=_EPOCHS, batch_size=32, examples_per_row=4, learning_rate=options.rate, warmup_fraction=0.02,
        weight_decay=0.0, label_smoothing=0.0, dropout=0.0, seed=1, checkpoint_every_steps=10**6,
    )  # fmt: skip

    def add_graph(folder: Path) -> None:
        convert(folder, tokenizer.control_ids)

    fit(network, examples, recipe, progress=lambda line: print(line, flush=True))
    print(f"{sum(reproduces_answers(network, examples))} of {len(examples)} answers are exact", flush=True)
    write_checkpoint(
        options.folder, network, tokenizer, card, {FILE: as_text(uncertainty.thresholds, known)}, add_graph
    )
    print(f"written: {options.folder}")


if __name__ == "__main__":
    main()
