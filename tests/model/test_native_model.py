"""The native engine: the same numbers as transformers, whatever else is in a pass, on every instruction set."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.native import library
from kogpt2_chat.inference.native.build import build, is_built, levels, library_path
from kogpt2_chat.inference.native.library import find_library, native_forms, usable_levels
from kogpt2_chat.inference.native_model import NativeModel
from kogpt2_chat.inference.pages import PageTable
from kogpt2_chat.machine.processor import processor_flags
from kogpt2_chat.network.network import gpt2_config, new_network

pytestmark = pytest.mark.skipif(not find_library(), reason="the native engine was not built: set-up says why")


def runnable():
    """The instruction sets of this processor."""
    caps = {"generic": "SSE41", "avx2": "AVX2", "avx2_vnni": "AVX2_VNNI", "avx512": "AVX512_CORE", "avx512_vnni": ""}
    flags = processor_flags()
    return [
        level for level in levels() if usable_levels(flags, caps[level])[0] == level and library_path(level).is_file()
    ]


KINDS = [
    (level, int8) for level in runnable() for int8 in (False, True)
    if not int8 or "native_int8" in native_forms(library_path(level))
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network whose sizes fill neither a panel of outputs nor a vector, with some large channels."""
    path = tmp_path_factory.mktemp("native")
    network = new_network(gpt2_config(vocabulary=333, layers=2, width=36, heads=3, positions=64, dropout=0.0), 7)
    with torch.no_grad():
        for name, values in network.named_parameters():
            values.mul_(4 if values.ndim == 2 else 1)
            if name.endswith("bias"):
                values.normal_(0, 0.3)
    network.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def reference(folder):
    """Function that computes all logits with the rounded weights in fp32, by transformers."""
    network = new_network(gpt2_config(vocabulary=333, layers=2, width=36, heads=3, positions=64, dropout=0.0), 7)
    network.load_state_dict(
        {name: torch.tensor(values) for name, values in load_file(folder / "model.safetensors").items()}, strict=False
    )
    network.tie_weights()
    with torch.no_grad():
        for name, values in network.named_parameters():
            if values.ndim == 2 and "wpe" not in name:
                by_output = values if "wte" in name else values.T
                scale = by_output.abs().amax(1, keepdim=True) / 127
                by_output.copy_((by_output / scale).round() * scale)
    network.eval()

    @torch.inference_mode()
    def logits(ids):
        return network(torch.tensor([ids])).logits[0].numpy()

    return logits


def load(folder, level, int8=False, **changes):
    arguments = {"control_ids": (), "library": library_path(level), "threads": 1, "max_sequences": 8} | changes
    return NativeModel(folder, int8=int8, **arguments)


def ids_of(count, seed=0):
    return np.random.default_rng(seed).integers(2, 333, count).tolist()


@pytest.mark.parametrize(("level", "int8"), KINDS)
def test_the_logits_are_those_of_the_rounded_weights(folder, reference, level, int8):
    """int16 activations leave an error of rounding; int8 ones a larger one, that keeps the order of clear logits."""
    ids = ids_of(40)
    logits, normalisers = load(folder, level, int8).forward([(PageTable(), ids)], all_logits=True)
    expected = reference(ids)
    spread = expected.std()
    assert np.abs(logits - expected).max() < spread * (0.25 if int8 else 0.005)
    assert np.allclose(normalisers, np.log(np.exp(logits.astype(np.float64)).sum(1)), atol=1e-4)


@pytest.mark.parametrize(("level", "int8"), KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(folder, level, int8):
    """Bit by bit: prompts whole or in parts, alone or in company, on one core or three."""
    model = load(folder, level, int8, threads=3)
    ids, other = ids_of(37), ids_of(29, 1)
    alone, table, beside = PageTable(), PageTable(), PageTable()
    whole = model.forward([(alone, ids)], all_logits=True, single_core=True)[0].copy()
    first = model.forward([(table, ids[:20]), (beside, other[:3])])[0].copy()
    second = model.forward([(beside, other[3:]), (table, ids[20:36])], all_logits=True)[0].copy()
    third = model.forward([(table, ids[36:])], single_core=True)[0].copy()
    assert np.array_equal(first[0], whole[19])
    assert np.array_equal(second[26:], whole[20:36])
    assert np.array_equal(third[0], whole[36])
    for count in range(1, 9):
        tables = [PageTable() for _ in range(count)]
        rows = model.forward([(one, ids) for one in tables])[0]
        assert all(np.array_equal(row, whole[36]) for row in rows), count
        for one in tables:
            model.release(one)
    for one in (alone, table, beside):
        model.release(one)
    assert sorted(model.pool.free) == list(range(model.pool.count))


@pytest.mark.parametrize(("level", "int8"), KINDS)
def test_the_largest_numbers_do_not_overflow(tmp_path, level, int8):
    """Every weight and every activation of a wide layer at its limit: the sum is exact, not wrapped."""
    network = new_network(gpt2_config(vocabulary=40, layers=1, width=768, heads=2, positions=8, dropout=0.0), 1)
    with torch.no_grad():
        block = network.transformer.h[0].mlp
        for layer, value in ((block.c_fc, 0.0), (block.c_proj, 1.0)):
            layer.weight.fill_(value)
            layer.bias.fill_(0.0)
        block.c_fc.bias.fill_(3.0)  # the activation of every one of 3,072 channels is gelu(3)
        network.transformer.ln_f.weight.fill_(0.0)
        network.transformer.ln_f.bias.copy_(network.transformer.wte.weight[5])
    network.save_pretrained(tmp_path)
    model = load(tmp_path, level, int8)
    hidden = model.forward([(PageTable(), [3])])[0]
    with torch.inference_mode():
        expected = network.eval()(torch.tensor([[3]])).logits[0].numpy()
    assert np.allclose(hidden, expected, atol=0.02 * np.abs(expected).max())


def test_suppressed_tokens_and_the_end(folder):
    """Their logits are minus infinity; the end token's never is."""
    model = load(folder, runnable()[-1], control_ids=(0, 1, 5, 332))
    logits, normalisers = model.forward([(PageTable(), ids_of(4))])
    assert np.flatnonzero(np.isneginf(logits[0])).tolist() == [0, 5, 332]
    finite = logits[0][np.isfinite(logits[0])].astype(np.float64)
    assert normalisers[0] == pytest.approx(np.log(np.exp(finite).sum()), abs=1e-4)


@pytest.mark.parametrize(("level", "int8"), KINDS)
@pytest.mark.parametrize("listed", [[1], [0, 1, 2, 17, 150, 332], list(range(1, 333))])
def test_a_short_list_leaves_out_the_other_tokens(folder, level, int8, listed):
    """Its logits are those of the whole vocabulary, bit by bit, on one core or three; likelihoods need all tokens."""
    whole = load(folder, level, int8, control_ids=(3,))
    short = load(folder, level, int8, control_ids=(3,), listed=[id_ for id_ in listed if id_ != 3], threads=3)
    for count, single_core in ((2, False), (9, False), (3, True)):
        ids = ids_of(20, count)
        here, there = PageTable(), PageTable()
        expected = whole.forward([(here, ids)], tails=[count])[0].copy()
        left_out = np.setdiff1d(np.arange(333), listed)
        expected[:, left_out] = -np.inf
        logits, normalisers = short.forward([(there, ids)], tails=[count], single_core=single_core)
        assert np.array_equal(logits, expected)
        sums = np.exp(expected.astype(np.float64)).sum(1)
        assert np.allclose(normalisers, np.log(sums), atol=1e-4)
        again = short.forward([(PageTable(), ids)], all_logits=True)[0]
        assert np.array_equal(again, whole.forward([(PageTable(), ids)], all_logits=True)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("transformer.h.1.ln_2.bias"), "lacks tensors"),
        (lambda tensors: tensors.update({"transformer.wpe.weight": np.zeros((3, 36), np.float32)}), "another size"),
        (lambda tensors: tensors.update({"transformer.h.9.ln_1.bias": np.zeros(36, np.float32)}), "h.9.ln_1.bias is not a tensor of GPT-2"),
    ],
)  # fmt: skip
def test_wrong_weights_are_refused(folder, tmp_path, change, message):
    """With the tensor's name and what to do."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text("utf-8"), "utf-8")
    with pytest.raises(CheckpointCorrupt, match=message):
        load(tmp_path, runnable()[-1])
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointCorrupt, match="cannot be read"):
        load(tmp_path, runnable()[-1])


def test_masks_of_old_files_are_not_weights(folder, tmp_path):
    """Transformers once stored the causal mask of each layer; the logits are the same with it."""
    tensors = load_file(folder / "model.safetensors")
    for layer in range(2):
        tensors[f"transformer.h.{layer}.attn.bias"] = np.tri(64, dtype=np.float32)[None, None]
        tensors[f"transformer.h.{layer}.attn.masked_bias"] = np.array(-1e4, np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text("utf-8"), "utf-8")
    new, old = (
        load(path, runnable()[-1]).forward([(PageTable(), ids_of(9))], all_logits=True)[0]
        for path in (folder, tmp_path)
    )
    assert np.array_equal(new, old)


def test_a_library_that_cannot_be_loaded_is_not_used(tmp_path, monkeypatch):
    """The worker then decodes with OpenVINO."""
    broken = tmp_path / "gpt2.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(library, "library_path", lambda _: broken)
    assert library.find_library() is None


def test_what_is_outside_of_the_network_is_an_error(folder):
    """Instead of a read outside of memory."""
    model = load(folder, runnable()[-1])
    for ids in ([333], [-1]):
        with pytest.raises(ValueError, match="token ids must be from 0 to 332"):
            model.forward([(PageTable(), ids)])
    with pytest.raises(ValueError, match="longer than 64 positions"):
        model.forward([(PageTable(), [3] * 65)])


@pytest.mark.parametrize(
    ("flags", "cap", "level"),
    [
        ("avx2 fma", "", "avx2"),
        ("avx2 fma avx_vnni", "", "avx2_vnni"),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq", "", "avx512"),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "", "avx512_vnni"),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "AVX2", "avx2"),
        ("avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni", "avx512_core", "avx512"),
        ("avx2 fma avx512f", "", "avx2"),
        ("sse4_2", "", "generic"),
    ],
)
def test_the_instruction_set_follows_from_processor_and_cap(flags, cap, level):
    if "avx2" not in levels():
        pytest.skip("no x86")
    assert usable_levels(flags.split(), cap)[0] == level


def test_a_compiler_that_fails_is_named(tmp_path):
    """And a library of other sources is not found."""
    assert is_built()
    with pytest.raises(RuntimeError, match=r"no-such-compiler cannot be run"):
        build(["no-such-compiler"], tmp_path)
    with pytest.raises(RuntimeError, match=r"false fails for generic"):
        build(["false"], tmp_path)
    assert not list(tmp_path.glob("*.so"))
    assert not library_path("generic", tmp_path).exists()


def test_an_instruction_set_that_the_compiler_does_not_know_is_left_out(tmp_path, monkeypatch, capsys):
    """An old compiler: a processor that has this set uses the next simpler one."""
    if "avx2" not in levels():
        pytest.skip("no x86")
    old = tmp_path / "old-cc"
    old.write_text('#!/bin/sh\ncase "$*" in *-mavx512f*) echo "unknown flag" >&2; exit 1;; esac\n'
                   'while [ "$1" != -o ]; do shift; done; : > "$2"\n')  # fmt: skip
    old.chmod(0o755)
    build([str(old)], tmp_path)
    assert "left out" in capsys.readouterr().err
    made = {level for level in levels() if library_path(level, tmp_path).exists()}
    assert made == {level for level in levels() if "avx512" not in level}
    monkeypatch.setattr(library, "library_path", lambda level: library_path(level, tmp_path))
    monkeypatch.setattr(
        library, "processor_flags", lambda: ["avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq"]
    )
    monkeypatch.setattr(library, "load_library", lambda path: path)
    assert library.find_library() == library_path("avx2", tmp_path)
