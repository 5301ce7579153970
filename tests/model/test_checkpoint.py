"""Version folders and base import: a file is loaded only if its hash is the one on the card."""

import json
import pickle
import shutil

import pytest
import torch

from kogpt2_chat.artifact.card import file_sha256
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.domain.text.loops import is_loop
from kogpt2_chat.errors import CheckpointCorrupt, InvalidInput
from kogpt2_chat.evaluation.answers import generate_reference_answers
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.checkpoint import load_checkpoint, write_checkpoint
from kogpt2_chat.network.load import load_bot
from kogpt2_chat.testing.tiny_gpt2 import full_size_files, weights_hash
from kogpt2_chat.training import base, import_base
from kogpt2_chat.training.fit import fit
from tests.model.recipes import recipe_with


@pytest.fixture
def version(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "7")


def test_a_loaded_version_equals_the_written_one(version, settings, tmp_path):
    """Writing and loading does not change weights, and leaves no temporary folder."""
    loaded = load_checkpoint(version)
    again = tmp_path / "again"
    write_checkpoint(again, loaded.network, loaded.tokenizer, loaded.card)
    assert weights_hash(load_checkpoint(again).network) == weights_hash(loaded.network)
    assert file_sha256(again / "model.safetensors") == file_sha256(version / "model.safetensors")
    assert load_bot(version, settings).label == "7"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json"])
def test_a_changed_or_missing_file_is_named(version, name):
    """If a byte is changed or a file is missing, the version is not loaded, and the message names the file."""
    content = bytearray((version / name).read_bytes())
    content[-2] ^= 1
    (version / name).write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=name):
        load_checkpoint(version)
    (version / name).unlink()
    with pytest.raises(CheckpointCorrupt, match=name):
        load_checkpoint(version)


def test_an_unlisted_file_and_an_unknown_kind_of_file_are_refused(version):
    """A folder with code is refused, whether the card lists the file or not."""
    (version / "modeling_evil.py").write_text("raise SystemExit", "utf-8")
    with pytest.raises(CheckpointCorrupt, match=r"modeling_evil.py"):
        load_checkpoint(version)
    card = json.loads((version / "model.json").read_text("utf-8"))
    card["files"]["modeling_evil.py"] = file_sha256(version / "modeling_evil.py")
    (version / "model.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(CheckpointCorrupt, match="may not be loaded"):
        load_checkpoint(version)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"base": 1, "files": []}', "null"])
def test_a_broken_card_is_refused(version, content):
    """A version without a readable card is corrupt."""
    (version / "model.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointCorrupt, match=r"model.json"):
        load_checkpoint(version)


def test_a_hub_bin_is_imported_under_its_licence(settings, tmp_path):
    """A .bin file is converted to safetensors once; weights with another hash than the pinned one are refused."""
    source = full_size_files(tmp_path / "hub", layers=1, width=32, heads=2)
    sha = file_sha256(source / "pytorch_model.bin")
    chosen = settings.model_copy(
        update={"model": settings.model.model_copy(update={"base": str(source), "base_sha256": sha})}
    )
    lines = []
    prepared = base.prepare(chosen, lines.append)
    assert not prepared.small
    assert prepared.licence == "unknown: see the base model's own terms"
    assert base.prepare(chosen, lines.append) == prepared
    assert len(lines) == 1
    weights = torch.load(source / "pytorch_model.bin", weights_only=True)["transformer.wte.weight"]
    assert torch.equal(load_checkpoint(prepared.folder).network.transformer.wte.weight, weights)
    wrong = chosen.model_copy(update={"model": chosen.model.model_copy(update={"base_sha256": "0" * 64})})
    with pytest.raises(InvalidInput, match="SHA-256"):
        base.prepare(wrong, lines.append)


class PickledCall:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_bin_with_code_in_it_never_runs(tmp_path, capsys):
    """weights_only refuses a pickle that contains anything except tensors."""
    torch.save({"transformer.wte.weight": PickledCall()}, tmp_path / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(InvalidInput, match="not a plain weights file"):
        import_base.read_hub_bin(tmp_path / "pytorch_model.bin")
    assert capsys.readouterr().out == ""


def test_a_damaged_cached_base_is_made_again(settings, tmp_path):
    """A cached base with a changed file is replaced."""
    source = full_size_files(tmp_path / "hub", layers=1, width=32, heads=2)
    chosen = settings.model_copy(update={"model": settings.model.model_copy(update={"base": str(source)})})
    prepared = base.prepare(chosen, lambda _: None)
    (prepared.folder / "config.json").write_text("{}", "utf-8")
    assert base.prepare(chosen, lambda _: None) == prepared


@pytest.mark.slow
def test_a_full_size_kogpt2_can_be_imported_trained_and_served(settings, tmp_path):
    """125 M weights, 51,200 entries: import, load, train two steps, save, load, answer; the licence is kept."""
    source = full_size_files(tmp_path / "kogpt2")
    chosen = settings.model_copy(update={"model": settings.model.model_copy(update={"base": str(source)})})
    prepared = base.prepare(chosen, lambda _: None)
    shutil.rmtree(source)
    assert prepared.licence == import_base.KOGPT2_LICENCE
    loaded = load_checkpoint(prepared.folder)
    assert sum(weight.numel() for weight in loaded.network.parameters()) == 125_164_032
    examples = make_examples([Pair(question="안녕", answer="안녕하세요!")] * 2, loaded.tokenizer, 64, 40)
    fit(loaded.network, examples, recipe_with(precision="fp32", epochs=2, batch_size=2, learning_rate=1e-4))
    write_checkpoint(tmp_path / "1", loaded.network, loaded.tokenizer, loaded.card)
    bot = load_bot(tmp_path / "1", chosen)
    answers = generate_reference_answers(bot, ["안녕", "등불시장 어디야?"], chosen)
    assert all(len(answer.text) <= chosen.serving.max_answer_chars for answer in answers)


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("정말 정말 정말 좋아요", True),
        ("나는 너를 나는 너를 나는 너를", True),
        ("하하하하하하", True),
        ("ㅋㅋㅋㅋㅋㅋㅋㅋ 재밌네요", False),
        ("정말 정말 좋아요!!!!!!", False),
        ("천천히 천천히 걸어 봐요.", False),
    ],
)
def test_a_loop_is_distinguished_from_emphasis(text, loops):
    """The same words three times are a loop; laughter and doubled words are not."""
    assert is_loop(text) is loops
