"""Bases of KoGPT2's layout that the walk uses: grown from a small network, and with a vocabulary without bytes."""

import pytest
import torch

from benchmarks.full_base import layout_tokenizer
from benchmarks.grown_network import grown
from kogpt2_chat.artifact.tokenizer import read_tokenizer
from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.evaluate import evaluate
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.jobs.register import register
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.training.base import prepare
from tests.model.loop_inputs import GOLD, SEEDS, csv_lines, loop_settings, put_dataset

UNSPELLABLE = [("이모지 알아?", "그럼요 😀 좋아해요."), ("펲이 뭐야?", "펲시 같은 뷁이에요.")]


def config(**changed):
    shape = {"vocabulary": 300, "layers": 2, "width": 32, "heads": 2, "positions": 64, "dropout": 0.1}
    return gpt2_config(**shape | changed)


@torch.no_grad()
def test_a_grown_network_computes_the_same():
    """It has three times the width, heads and layers; later, all its copies learn different things."""
    small = new_network(config(), 1).eval()
    for weight in small.parameters():
        weight.add_(torch.randn_like(weight) * 0.05)
    large = grown(small, config(vocabulary=400, layers=6, width=96, heads=6, positions=128), 2)
    ids = torch.randint(0, 300, (3, 20))
    assert torch.allclose(large(ids).logits[..., :300], small(ids).logits, atol=1e-5)
    read = large.transformer.h[0].mlp.c_fc.weight[:, :128]
    assert not torch.allclose(read[:32], read[32:64])


def test_a_network_cannot_grow_to_heads_of_another_width():
    """Attention over more values is not the same."""
    with pytest.raises(InvalidInput, match=r"heads of 16 cannot grow to 96 values and 3 heads"):
        grown(new_network(config(), 1), config(layers=6, width=96, heads=3), 2)


def test_the_tokenizer_has_the_full_size_and_no_bytes():
    """Rare syllables and emojis are unknown, as in KoGPT2's vocabulary; frequent words are one token."""
    tokenizer = read_tokenizer(layout_tokenizer(["안녕하세요 별마루예요", "안녕하세요 좋은 아침이에요"], 6000))
    assert tokenizer.size == 6000
    assert len(tokenizer.encode("안녕하세요")) == 1
    assert tokenizer.encode("뷁")[-1] == tokenizer.encode("😀")[-1] == UNKNOWN_ID
    assert tokenizer.decode(tokenizer.encode("별마루 아침")) == "별마루 아침"


def test_a_bot_from_a_base_without_bytes_is_judged_without_what_it_cannot_say(tmp_path):
    """Pairs whose answers contain unknown characters are left out of training and of the evaluation.

    Before, the serving engine's likelihood of known answers was infinite, and the gate refused every such version.
    """
    settings = loop_settings(tmp_path)
    gold = settings.learning.corpora / "ChatbotA" / "gold.csv"
    gold.write_text(csv_lines([*GOLD, *UNSPELLABLE]), "utf-8")
    source = tmp_path / "hub"
    new_network(config(vocabulary=3000, width=64, positions=128, dropout=0.0), 3).save_pretrained(source)
    texts = [text for pair in (*SEEDS, *GOLD) for text in pair]
    (source / "tokenizer.json").write_text(layout_tokenizer(texts, 3000), "utf-8")
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"base": str(source)})})
    files, registry = InMemoryFiles(), InMemoryRegistry()
    put_dataset(files, "aaaa", lambda rows: rows([*SEEDS, *UNSPELLABLE], "seed", 1))
    ports = {"files": files, "registry": registry, "settings": settings}

    assert prepare(settings, lambda _: None).name == "hub"
    done = finetune(bot="ChatbotA", dataset="aaaa", mode="from_base", epochs=None, progress=lambda _: None, **ports)
    register(bot="ChatbotA", run_id=done.run_id, **ports)
    decision = evaluate(bot="ChatbotA", version=1, progress=lambda _: None, **ports)

    assert done.left_out == {"answer_unknown_character": 2}
    reasons = {reason.rule: reason for reason in decision.reasons}
    assert reasons["engine_nll"].passed, reasons["engine_nll"].sentence
    assert f"NLL on {len(SEEDS)} newly taught pairs" in reasons["better_on_taught"].sentence
