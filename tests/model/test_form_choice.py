"""The forms of one version, and the choice between them by measurements on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import openvino as ov
import psutil
import pytest

from kogpt2_chat.artifact.card import CARD_FILE, CHECK_FILE, file_sha256, read_card
from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS, NATIVE_INT8, Speed
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.errors import CheckpointCorrupt, GateRefused, Unavailable
from kogpt2_chat.evaluation.answers import generate_answers
from kogpt2_chat.evaluation.export import reference_answers
from kogpt2_chat.inference.engine_check import PROMPTS, CheckedAnswer, compare, read_check
from kogpt2_chat.inference.form_choice import choose_form, machine_facts
from kogpt2_chat.inference.form_process import FormProcess
from kogpt2_chat.inference.loading import load_for_players, load_served, make_engine
from kogpt2_chat.inference.measure_forms import measure_speed
from kogpt2_chat.inference.native.library import find_library, native_forms
from kogpt2_chat.inference.native_model import NativeModel
from kogpt2_chat.inference.paged import PagedModel, forms_of
from kogpt2_chat.inference.pages import PageTable
from kogpt2_chat.network.checkpoint import load_checkpoint
from kogpt2_chat.network.load import LoadedBot
from tests.loop import wait_until

pytestmark = pytest.mark.capped_openvino
LIBRARY = find_library()
NATIVE_FORMS = native_forms(LIBRARY) if LIBRARY else ()
ALL_FORMS = (INT8, INT8_WEIGHTS, *NATIVE_FORMS)


@pytest.fixture(scope="module")
def version(learned, tmp_path_factory):
    """A version as training writes it; read only."""
    return learned.write(tmp_path_factory.mktemp("forms") / "7")


@pytest.fixture
def changed(version, tmp_path):
    """Function that copies the version with other prompts and correct hashes."""
    folder = shutil.copytree(version, tmp_path / "8")

    def rewrite(content):
        (folder / CHECK_FILE).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        card = json.loads((folder / CARD_FILE).read_text("utf-8"))
        card["files"][CHECK_FILE] = file_sha256(folder / CHECK_FILE)
        (folder / CARD_FILE).write_text(json.dumps(card), "utf-8")
        return folder

    return rewrite


def loaded(folder, form):
    """A version in a form."""
    if form in NATIVE_FORMS:
        control_ids = load_tokenizer(folder).control_ids
        return NativeModel(folder, control_ids, library=LIBRARY, int8=form == NATIVE_INT8, max_sequences=32)
    return PagedModel(folder / "engine.xml", max_sequences=32, form=form)


class RecordingMeasurements:
    """Measures forms in this process, and records which ones."""

    def __init__(self, folder):
        self.folder, self.measured = folder, []

    def speeds(self, forms):
        self.measured += forms
        return measure_speed({form: loaded(self.folder, form) for form in forms})

    def agreement(self, form):
        self.measured.append(form)
        return compare(loaded(self.folder, form), read_check(self.folder))


def choose(folder, cache, measurements, **changes):
    arguments = {"native": None, "threads": 1, "least_share": 0.9, "cache": cache} | changes
    return choose_form(folder, folder / "engine.xml", read_card(folder), measurements=measurements, **arguments)


def command_that_crashes(crashing, end):
    """The real program, but the library ends it when it loads one of some forms."""
    program = f"""
import os, signal, time
from kogpt2_chat.inference import measure_forms
load_form = measure_forms.load_form
def load(folder, graph, tokenizer, form, settings, **options):
    if form in {tuple(crashing)!r}:
        {end}
    return load_form(folder, graph, tokenizer, form, settings, **options)
measure_forms.load_form = load
measure_forms.main()
"""
    return (sys.executable, "-c", program)


class FormProcessThatCrashes(FormProcess):
    """Measures with :func:`command_that_crashes`."""

    def __init__(self, folder, settings, crashing, end="os.abort()"):
        command = command_that_crashes(crashing, end)
        super().__init__(folder, folder / "engine.xml", settings, side_by_side=False, command=command)


def products(model):
    """The kernels that the engine multiplies with."""
    nodes = model._all_cores.get_compiled_model().get_runtime_model().get_ordered_ops()
    facts = [node.get_rt_info() for node in nodes]
    return {fact["primitiveType"].value for fact in facts if fact["layerType"].value == "FullyConnected"}


@pytest.mark.parametrize("form", ALL_FORMS)
def test_each_form_gives_the_fp32_answers(version, learned, settings, form):
    """All answers are the same as in fp32."""
    model = loaded(version, form)
    agreement = compare(model, read_check(version))
    assert (agreement.answers, agreement.same_answers) == (6, 6)
    assert agreement.same_tokens == agreement.tokens > 20
    assert len(model.pool.free) == len(set(model.pool.free)), "a page was released twice"


def test_the_forms_multiply_differently(version):
    """One multiplies in int8, the other in fp32, so the measurements compare two different computations."""
    executed = {
        form: products(PagedModel(version / "engine.xml", max_sequences=32, form=form)) for form in (INT8, INT8_WEIGHTS)
    }
    assert all(kernel.endswith("i8") for kernel in executed[INT8]), executed
    assert all(kernel.endswith("f32") for kernel in executed[INT8_WEIGHTS]), executed


def test_without_ranges_a_graph_has_one_form(learned, tmp_path, settings):
    """It is measured like several."""
    folder = learned.write(tmp_path / "1", ranges=False)
    assert forms_of(folder / "engine.xml") == (INT8_WEIGHTS,)
    choice = choose(folder, tmp_path / "cache", RecordingMeasurements(folder))
    assert (choice.form, choice.agrees, set(choice.speed_by_form)) == (INT8_WEIGHTS, True, {INT8_WEIGHTS})
    assert choice.agreement.same_answers == 6


def test_a_version_of_the_previous_release_is_served(learned, tmp_path, settings):
    """It has no prompts, so nothing is compared, which is reported; both forms can be loaded from its files."""
    folder = learned.write(tmp_path / "1", prompts=False)
    assert not (folder / CHECK_FILE).exists()
    choices = []
    bot = load_for_players(folder, settings, on_choice=choices.append)
    assert set(choices[0].speed_by_form) == set(ALL_FORMS)
    assert (choices[0].agrees, choices[0].as_fields()["compared"], bot.form) == (True, False, choices[0].form)
    answers = [answer.token_ids for answer in generate_answers(make_engine(settings), bot, [learned.pairs[0].question])]
    assert learned.pairs[0].answer.startswith(bot.decode(answers[0]))


@pytest.mark.skipif(not LIBRARY, reason="the native engine was not built: set-up says why")
def test_the_forms_of_the_native_engine_take_part(version, tmp_path):
    """A library of other sources is measured anew."""
    measuring = RecordingMeasurements(version)
    choice = choose(version, tmp_path / "cache", measuring, native=LIBRARY)
    assert set(measuring.measured) == set(choice.speed_by_form) == set(ALL_FORMS)
    again = RecordingMeasurements(version)
    choose(version, tmp_path / "cache", again, native=LIBRARY)
    assert again.measured == []
    other = shutil.copy(LIBRARY, tmp_path / "gpt2-other.so")
    choose(version, tmp_path / "cache", again, native=other)
    assert set(again.measured) == set(ALL_FORMS)


@pytest.mark.skipif(not LIBRARY, reason="the native engine was not built: set-up says why")
@pytest.mark.parametrize(
    ("change", "native"),
    [
        ({}, True),
        ({"n_inner": 4 * 64}, True),
        ({"n_inner": 100}, False),
        ({"activation_function": "relu"}, False),
        ({"scale_attn_weights": False}, False),
        ({"scale_attn_by_inverse_layer_idx": True}, False),
    ],
)
def test_the_native_engine_leaves_variants_of_gpt2_to_openvino(version, tmp_path, change, native):
    folder = shutil.copytree(version, tmp_path / "8")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["n_embd"] == 64
    (folder / "config.json").write_text(json.dumps(config | change), "utf-8")
    choice = choose(folder, tmp_path / "cache", RecordingMeasurements(version), native=LIBRARY)
    assert set(choice.speed_by_form) == set(ALL_FORMS if native else (INT8, INT8_WEIGHTS))


def test_a_machine_measures_once(version, tmp_path):
    """Speed is measured once per processor and size, agreement also per version; a second load reads the cache."""
    first, second = RecordingMeasurements(version), RecordingMeasurements(version)
    choice = choose(version, tmp_path, first)
    assert set(first.measured) == {INT8, INT8_WEIGHTS}
    assert choose(version, tmp_path, second) == choice
    assert second.measured == []


def test_another_version_is_compared_and_not_timed_again(version, changed, tmp_path):
    """Agreement belongs to a version, speed to a size."""
    choice = choose(version, tmp_path / "cache", RecordingMeasurements(version))
    answers = [{"prompt": one.prompt, "tokens": one.tokens} for one in read_check(version)[1:]]
    folder = changed({"v": 1, "answers": answers})
    measuring = RecordingMeasurements(folder)
    other = choose(folder, tmp_path / "cache", measuring)
    assert (other.speed_by_form, measuring.measured) == (choice.speed_by_form, [choice.form])
    assert other.agreement.answers == 5


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"facts": {}, "figures": {}}', '{"facts": {}, "figures": {"int8": 1}}']
)
def test_unreadable_cached_measurements_are_repeated(version, tmp_path, content):
    """A truncated or unknown file only costs another measurement."""
    choose(version, tmp_path, RecordingMeasurements(version))
    for path in (tmp_path / "engine").iterdir():
        path.write_text(content, "utf-8")
    measuring = RecordingMeasurements(version)
    choose(version, tmp_path, measuring)
    assert set(measuring.measured) == {INT8, INT8_WEIGHTS}


def test_a_cache_that_cannot_be_written_is_not_an_error(version, tmp_path):
    """The measurement is then repeated at each load."""
    (tmp_path / "cache").write_text("a file, not a folder", "utf-8")
    assert choose(version, tmp_path / "cache", RecordingMeasurements(version)).agrees


def test_another_processor_is_measured_again(version, tmp_path, monkeypatch):
    """Caches may be copied between machines, where other measurements apply. A cap counts as another processor."""
    choose(version, tmp_path, RecordingMeasurements(version))
    before = machine_facts(1)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")  # read into the key here; this process's kernels stay
    assert machine_facts(1) != before
    assert {"processor", "flags", "openvino", "cores"} <= set(before)
    measuring = RecordingMeasurements(version)
    choose(version, tmp_path, measuring)
    assert set(measuring.measured) == {INT8, INT8_WEIGHTS}


@pytest.mark.parametrize("signal_name", ["SIGSEGV", "SIGILL", "SIGABRT"])
def test_a_form_that_ends_its_process_is_left_out(version, settings, tmp_path, signal_name):
    """The other forms are measured and chosen; the crash is remembered, and reported."""
    end = f"os.kill(os.getpid(), signal.{signal_name})"
    crashing = FormProcessThatCrashes(version, settings, [INT8], end)
    choice = choose(version, tmp_path / "engine", crashing)
    assert (choice.form, choice.agrees, choice.crashing) == (INT8_WEIGHTS, True, (INT8,))
    assert choice.as_fields()["crashing"] == [INT8]
    assert set(choice.speed_by_form) == set(choice.agreement_by_form) == {INT8_WEIGHTS}
    again = RecordingMeasurements(version)
    assert choose(version, tmp_path / "engine", again) == choice
    assert again.measured == []


def test_a_form_that_crashes_when_it_is_compared_is_left_out(version, settings, tmp_path):
    """Another form is chosen, although it is slower."""
    crashing = FormProcessThatCrashes(version, settings, [INT8])
    crashing.speeds = lambda _: {
        INT8: Speed(one_row_ms=1, eight_rows_ms=1), INT8_WEIGHTS: Speed(one_row_ms=2, eight_rows_ms=2)
    }  # fmt: skip
    choice = choose(version, tmp_path / "engine", crashing)
    assert (choice.form, choice.agrees, choice.crashing) == (INT8_WEIGHTS, True, (INT8,))
    assert set(choice.agreement_by_form) == {INT8_WEIGHTS}


def test_a_crash_is_measured_again_after_a_day(version, settings, tmp_path):
    """Memory may have been short."""
    choose(version, tmp_path / "engine", FormProcessThatCrashes(version, settings, [INT8]))
    long_ago = time.time() - 25 * 3600
    for path in (tmp_path / "engine" / "engine").iterdir():
        os.utime(path, (long_ago, long_ago))
    again = RecordingMeasurements(version)
    choice = choose(version, tmp_path / "engine", again)
    assert (set(again.measured), choice.crashing) == ({INT8, INT8_WEIGHTS}, ())


@pytest.mark.parametrize("prompts", [True, False])
def test_a_form_that_crashes_is_not_used_even_if_it_is_the_only_one(learned, settings, tmp_path, prompts):
    folder = learned.write(tmp_path / "1", ranges=False, prompts=prompts)
    assert forms_of(folder / "engine.xml") == (INT8_WEIGHTS,)
    with pytest.raises(GateRefused, match=r"crashes in every form \(int8_weights\)"):
        choose(folder, tmp_path / "engine", FormProcessThatCrashes(folder, settings, [INT8_WEIGHTS]))


def test_a_form_that_disagrees_is_chosen_before_one_that_crashes(version, settings, tmp_path):
    """Then the gate has a form to measure, and refuses."""
    crashing = FormProcessThatCrashes(version, settings, [INT8])
    crashing.speeds = lambda _: {
        INT8: Speed(one_row_ms=1, eight_rows_ms=1), INT8_WEIGHTS: Speed(one_row_ms=2, eight_rows_ms=2)
    }  # fmt: skip
    choice = choose(version, tmp_path / "engine", crashing, least_share=1.1)
    assert (choice.form, choice.agrees, choice.crashing) == (INT8_WEIGHTS, False, (INT8,))


def is_running(process_id):
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
def test_the_measuring_process_ends_with_its_parent(version, settings, tmp_path):
    """The successor of a worker that was killed must not measure beside it."""
    mark = tmp_path / "pid"
    end = f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"""
from pathlib import Path
from kogpt2_chat.inference.form_process import FormProcess
from kogpt2_chat.settings import Settings
folder = Path({str(version)!r})
command = {command_that_crashes([INT8], end)!r}
FormProcess(folder, folder / "engine.xml", Settings(), side_by_side=False, command=command).speeds(["int8"])
"""
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        wait_until(lambda: mark.exists() and mark.read_text() != "", 120, lambda: f"the parent: {process.poll()}")
        child_id = int(mark.read_text())
        assert is_running(child_id)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not is_running(child_id), 60, lambda: f"process {child_id} goes on")


def test_if_every_form_crashes_the_error_names_them(version, settings, tmp_path):
    crashing = FormProcessThatCrashes(version, settings, [INT8, INT8_WEIGHTS])
    with pytest.raises(GateRefused, match=r"crashes in every form \(int8, int8_weights\)"):
        choose(version, tmp_path / "engine", crashing)


@pytest.mark.parametrize(
    ("end", "message"),
    [("os.kill(os.getpid(), signal.SIGKILL)", "ended with -9: is there enough"), ("raise MemoryError('none')", "none")],
)
def test_a_process_that_ends_in_another_way_is_measured_again(version, settings, tmp_path, end, message):
    """If the kernel ends it, memory is short: that says nothing about the form."""
    with pytest.raises(Unavailable, match=message):
        choose(version, tmp_path / "engine", FormProcessThatCrashes(version, settings, [INT8], end))
    assert set(choose(version, tmp_path / "engine", RecordingMeasurements(version)).speed_by_form) == {
        INT8, INT8_WEIGHTS
    }  # fmt: skip


def test_a_version_that_disagrees_with_fp32_is_not_served(version, changed, settings):
    """The worker reports the measurements and refuses; the gate can load the version, and measures it itself."""
    answers = [{"prompt": one.prompt, "tokens": one.tokens} for one in read_check(version)]
    answers[0]["tokens"] = [*answers[0]["tokens"][:-1], 300]
    folder = changed({"v": 1, "answers": answers})
    choices = []
    with pytest.raises(GateRefused, match=r"5 of 6 prompts .* \(83\.3%, expected at least 90\.0%"):
        load_for_players(folder, settings, on_choice=choices.append)
    assert [choice.agrees for choice in choices] == [False]
    assert set(choices[0].agreement_by_form) == set(ALL_FORMS), "all forms must be compared"
    assert not load_served(folder, settings).choice.agrees


@pytest.mark.parametrize("content", [
    "not json", "[]", {"v": 1}, {"answers": [1]}, {"answers": [{"prompt": [], "tokens": [1]}]},
    {"answers": [{"prompt": [1], "tokens": "11"}]}, {"answers": [{"prompt": [1], "tokens": [True]}]},
    {"answers": [{"prompt": [-1], "tokens": [1]}]}, {"answers": [{"prompt": [10**9], "tokens": [1]}]},
    {"answers": [{"prompt": [1], "tokens": [10**9]}]}, {"answers": [{"prompt": [5] * 500, "tokens": [1]}]},
])  # fmt: skip
def test_invalid_prompts_are_refused(changed, settings, content):
    """Even with a correct hash: prompts of a wrong type, or outside the vocabulary or the context, do not crash."""
    with pytest.raises(CheckpointCorrupt, match=CHECK_FILE):
        load_served(changed(content), settings)


def test_prompts_are_hashed_like_all_files(version, tmp_path):
    """A version with changed or missing prompts is corrupt."""
    folder = shutil.copytree(version, tmp_path / "9")
    (folder / CHECK_FILE).write_text('{"answers": []}', "utf-8")
    with pytest.raises(CheckpointCorrupt, match=CHECK_FILE):
        load_checkpoint(folder)
    (folder / CHECK_FILE).unlink()
    with pytest.raises(CheckpointCorrupt, match=CHECK_FILE):
        load_checkpoint(folder)


def test_prompts_are_spread_evenly_and_answered_to_their_end(learned):
    """Thirty of the distinct prompts are used, in order; a complete answer contains its end token."""
    bot = LoadedBot(label="", network=learned.network, tokenizer=learned.tokenizer, card=learned.card,
                    max_prompt_tokens=0, max_answer_chars=0)  # fmt: skip
    known = learned.examples[0].ids[: learned.examples[0].answer_start]
    prompts = [known, known, *([2, 100 + number, 4] for number in range(89))]
    answers = reference_answers(bot, prompts)
    assert len(answers) == PROMPTS
    assert [answer.prompt for answer in answers[:3]] == [known, (2, 102, 4), (2, 105, 4)]
    assert answers[0] == CheckedAnswer(prompt=known, tokens=learned.examples[0].ids[len(known) :])
    assert answers[0].tokens[-1] == END_ID
    assert reference_answers(bot, []) == []


def test_the_forms_differ_by_the_rounding_of_activations(version):
    """Both are loaded from one graph, which rounds the input of every linear layer."""
    graph = ov.Core().read_model(version / "engine.xml")
    rounded = [node for node in graph.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    assert len(rounded) == 4 * 2 + 1
    models = [PagedModel(version / "engine.xml", max_sequences=32, form=form) for form in (INT8, INT8_WEIGHTS)]
    int8, int8_weights = (model.forward([(PageTable(), [2, 150, 4])])[0].copy() for model in models)
    finite = np.isfinite(int8)
    assert not np.array_equal(int8[finite], int8_weights[finite])
    assert np.allclose(int8[finite], int8_weights[finite], atol=1.0)
