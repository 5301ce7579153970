"""Models with random weights, for tests only.

``tiny_version`` quickly writes a version folder with a tiny GPT-2 in KoGPT2's token layout, which can be loaded,
trained and decoded like a real one. ``full_size_files`` writes the files that a model hub has for KoGPT2, in full size.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

LINES: Final = (
    "안녕하세요! 별마루에 잘 오셨어요.",
    "오늘은 어디부터 구경하고 싶으세요?",
    "달빛호수에서 같이 산책해요.",
    "등불축제는 토요일 저녁에 열려요.",
    "힘들었겠어요. 잠깐 쉬어 가요.",
    "고백할 때는 웃으면서 말해 봐요!",
)


def tiny_version(
    folder: Path,
    *,
    bot: str = "ChatbotA",
    seed: int = 1,
    vocabulary: int = 1000,
    lines: Sequence[str] = LINES,
    calibrated: bool = False,
    with_engine: bool = True,
) -> Path:
    """Write a version folder with a random two-layer network.

    Args:
        folder: the version folder to write.
        bot: the bot's id.
        seed: seed of the random weights.
        vocabulary: most entries in the tokenizer.
        lines: the texts that the tokenizer is trained on.
        calibrated: whether to calibrate the activation ranges, so that the version can be served in both forms.
        with_engine: whether to write the graph of the serving engine; OpenVINO is imported only for that.

    Returns:
        The folder.
    """
    from kogpt2_chat.artifact.card import ModelCard
    from kogpt2_chat.artifact.tokenizer import train_tokenizer
    from kogpt2_chat.network.checkpoint import write_checkpoint
    from kogpt2_chat.network.network import gpt2_config, new_network

    tokenizer = train_tokenizer(lines, vocabulary)
    config = gpt2_config(vocabulary=tokenizer.size, layers=2, width=32, heads=2, positions=256, dropout=0.0)
    card = ModelCard(base="tiny", licence="Apache-2.0", small=True, bot=bot)
    if not with_engine:
        write_checkpoint(folder, new_network(config, seed), tokenizer, card)
        return folder
    from kogpt2_chat.evaluation.export import write_version

    sequences = [tokenizer.encode_prompt(line, 64) for line in lines] if calibrated else []
    write_version(folder, new_network(config, seed), tokenizer, card, sequences=sequences)
    return folder


def weights_hash(network: "GPT2LMHeadModel") -> str:
    """Return the SHA-256 of the names and bytes of all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def full_size_files(folder: Path, *, layers: int = 12, width: int = 768, heads: int = 12) -> Path:
    """Write the files that a hub has for KoGPT2: config, a 51,200-entry tokenizer, a random ``pytorch_model.bin``.

    Args:
        folder: the folder to write.
        layers: number of layers; KoGPT2 has 12.
        width: hidden size; KoGPT2's is 768.
        heads: number of attention heads; KoGPT2 has 12.

    Returns:
        The folder.
    """
    import torch

    from kogpt2_chat.network.network import gpt2_config, new_network

    folder.mkdir(parents=True, exist_ok=True)
    config = gpt2_config(vocabulary=51_200, layers=layers, width=width, heads=heads, positions=1024, dropout=0.1)
    network = new_network(config, seed=1)
    (folder / "config.json").write_text(config.to_json_string(use_diff=False), "utf-8")
    torch.save({name: weight for name, weight in network.state_dict().items() if name != "lm_head.weight"},
               folder / "pytorch_model.bin")  # fmt: skip
    (folder / "tokenizer.json").write_text(full_tokenizer(51_200), "utf-8")
    return folder


def full_tokenizer(size: int) -> str:
    """Return a tokenizer as JSON with KoGPT2's layout: control tokens first, then characters, then unused entries."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from kogpt2_chat.domain.chat.prompt import CONTROL_TOKENS, UNKNOWN

    letters = ["▁", *map(chr, range(0x21, 0x7F)), *map(chr, range(0xAC00, 0xD7A4))]
    entries = [*CONTROL_TOKENS, *letters]
    entries += [f"▁빈칸{number}" for number in range(size - len(entries))]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: id_ for id_, token in enumerate(entries)}, merges=[], unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)
