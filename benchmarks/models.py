"""Full-size versions of all bots with random weights: KoGPT2's shape, tokenizer layout and file sizes."""

import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.workload import NEW_TOKENS, PROMPT_TOKENS
from kogpt2_chat.domain.chat.bots import BOT_IDS


def full_size_versions(folder: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """Return the folder of one version per bot below ``folder``; a missing one is made, which takes some seconds."""
    from tokenizers import Tokenizer

    from kogpt2_chat.artifact.card import ModelCard
    from kogpt2_chat.artifact.tokenizer import ChatTokenizer
    from kogpt2_chat.evaluation.export import write_version
    from kogpt2_chat.network.network import gpt2_config, new_network
    from kogpt2_chat.testing.tiny_gpt2 import full_tokenizer

    made = {}
    for seed, bot in enumerate(BOT_IDS):
        version = folder / bot / "1"
        if not version.exists():
            progress(f"making a full-size version of {bot} with random weights")
            config = gpt2_config(vocabulary=51_200, layers=12, width=768, heads=12, positions=1024, dropout=0.1)
            tokenizer = ChatTokenizer(Tokenizer.from_str(full_tokenizer(51_200)))
            card = ModelCard(base="random", licence="Apache-2.0", small=False, bot=bot)
            draw = random.Random(seed)  # noqa: S311 - random tokens, not secrets
            sequences = [draw.choices(range(200, 51_000), k=PROMPT_TOKENS + NEW_TOKENS) for _ in range(16)]
            write_version(version, new_network(config, seed), tokenizer, card, sequences=sequences)
        made[bot] = version
    return made
