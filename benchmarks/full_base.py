"""Make a base of KoGPT2's size on this machine: the files that a hub has for it, for the walk through the demo.

``python -m benchmarks.full_base FOLDER`` writes random weights, which is enough to measure time and memory.
``python -m benchmarks.full_base FOLDER --epochs 24`` makes a base that answers: it trains a network of a third of the
width on the seed pairs, and widens and deepens it to KoGPT2's size without changing what it computes (Chen et al. 2016,
Net2Net). Then ``make demo BASE=FOLDER`` walks with it.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPT2LMHeadModel

from benchmarks.grown_network import grown
from kogpt2_chat.artifact.tokenizer import ChatTokenizer, read_tokenizer
from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.prompt import CONTROL_TOKENS, UNKNOWN
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.training.small_base import learn_answers, read_corpus, small_recipe
from kogpt2_chat.training.small_key import seed_path

VOCABULARY, LAYERS, WIDTH, HEADS, POSITIONS = 51_200, 12, 768, 12, 1024
_SMALL_LAYERS, _SMALL_WIDTH, _SMALL_HEADS, _SMALL_POSITIONS = 4, 256, 4, 256
_DROPOUT: Final = 0.1
_SEED: Final = 20
_USED: Final = 4_000
"""Entries that are trained: with about two characters to a token, as in KoGPT2, the walk takes as long as with it."""
_KS_X_1001_BYTES: Final = 2
"""The codec writes the 2,350 syllables of the standard with two bytes, others with eight."""


def write_random(folder: Path, settings: Settings) -> Path:
    """Write a base of KoGPT2's size with random weights; the tokenizer is trained on the seed pairs.

    Args:
        folder: the folder to write.
        settings: name the corpora.

    Returns:
        The folder.
    """
    from kogpt2_chat.network.network import gpt2_config, new_network

    config = gpt2_config(
        vocabulary=VOCABULARY, layers=LAYERS, width=WIDTH, heads=HEADS, positions=POSITIONS, dropout=_DROPOUT
    )
    return _write(folder, new_network(config, _SEED), _tokenizer(settings, BOT_IDS))


def write_trained(
    folder: Path, settings: Settings, bots: Sequence[str], epochs: int, progress: Callable[[str], None]
) -> Path:
    """Write a base of KoGPT2's size that has learned the seed pairs of some bots as far as held-out pairs allow.

    Args:
        folder: the folder to write; a killed training continues from ``FOLDER.work``.
        settings: name the corpora and the recipe of the small base.
        bots: whose pairs to learn.
        epochs: largest number of passes over the pairs.
        progress: called with a line for each epoch.

    Returns:
        The folder.
    """
    from kogpt2_chat.network.load import use_threads
    from kogpt2_chat.network.network import gpt2_config, new_network
    from kogpt2_chat.training.fit import fit
    from kogpt2_chat.training.resume import clear_progress

    use_threads(settings)
    tokenizer = _tokenizer(settings, bots)
    corpus = read_corpus(settings, bots, tokenizer)
    used = 1 + max(token for example in (*corpus.learned, *corpus.held_out) for token in example.ids)
    config = gpt2_config(
        vocabulary=used, layers=_SMALL_LAYERS, width=_SMALL_WIDTH, heads=_SMALL_HEADS, positions=_SMALL_POSITIONS,
        dropout=settings.model.small_dropout,
    )  # fmt: skip
    network = new_network(config, _SEED)
    recipe = replace(small_recipe(settings), epochs=epochs)
    work = folder.with_name(f"{folder.name}.work")
    progress(f"{len(corpus.learned)} pairs to learn, {len(corpus.held_out)} held out, {used} entries in use")
    fit(network, corpus.learned, recipe, validation=corpus.held_out, progress=progress, resume=work / "all")
    learn_answers(network, corpus, recipe, progress, work / "answers")
    large = gpt2_config(
        vocabulary=VOCABULARY, layers=LAYERS, width=WIDTH, heads=HEADS, positions=POSITIONS, dropout=_DROPOUT
    )
    _write(folder, grown(network, large, _SEED), tokenizer)
    clear_progress(work)
    return folder


def layout_tokenizer(texts: Sequence[str], size: int = VOCABULARY) -> str:
    """Train a byte pair encoding in KoGPT2's layout, as JSON.

    Like KoGPT2's, it has no byte fallback: a syllable outside KS X 1001, or an emoji, becomes ``<unk>``. Entries that
    no text uses fill the rest, so that the network has the full size.

    Args:
        texts: what the merges are learned from.
        size: number of entries.

    Returns:
        The content of a ``tokenizer.json``.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    common = [chr(code) for code in range(0xAC00, 0xD7A4) if len(chr(code).encode("euc_kr")) == _KS_X_1001_BYTES]
    alphabet = ["▁", *map(chr, range(0x21, 0x7F)), *common]
    known = set(alphabet)
    trainer = trainers.BpeTrainer(
        vocab_size=min(size, _USED), special_tokens=list(CONTROL_TOKENS), initial_alphabet=alphabet,
        limit_alphabet=len(alphabet), min_frequency=2, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(sorted("".join(c if c in known else " " for c in text) for text in texts), trainer)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary.update({f"▁빈칸{number}": number for number in range(len(vocabulary), size)})
    return json.dumps(content, ensure_ascii=False)


def _tokenizer(settings: Settings, bots: Sequence[str]) -> ChatTokenizer:
    pairs = [pair for bot in bots for pair in read_pairs(seed_path(settings, bot))]
    return read_tokenizer(layout_tokenizer([text for pair in pairs for text in (pair.question, pair.answer)]))


def _write(folder: Path, network: GPT2LMHeadModel, tokenizer: ChatTokenizer) -> Path:
    network.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def main() -> None:
    """Read the command line and make the base."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_base", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--epochs", type=int, default=0, help="largest number of passes; 0: random weights")
    parser.add_argument("--bots", nargs="+", choices=BOT_IDS, default=list(BOT_IDS), help="whose pairs to learn")
    asked = parser.parse_args()
    settings = load_settings()
    if asked.epochs:
        write_trained(asked.folder, settings, asked.bots, asked.epochs, lambda line: print(line, flush=True))
    else:
        write_random(asked.folder, settings)
    print(f"a base of KoGPT2's size: BASE={asked.folder} make demo")


if __name__ == "__main__":
    main()
