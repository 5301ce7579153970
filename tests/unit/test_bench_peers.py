"""The benchmark of other engines: the load that all get, how an interrupted run continues, and its tables."""

import random
import sys
from itertools import count, islice, pairwise
from pathlib import Path

import pytest

from benchmarks.peers import environments, make, subjects
from benchmarks.peers.__main__ import prepare, stream_rate
from benchmarks.peers.environments import REQUIREMENTS, PeerMissing, run_or_explain
from benchmarks.peers.loads import (
    Request,
    WrongLength,
    arrivals,
    closed_loop,
    equal_lengths,
    mixed_lengths,
    requests,
    stream,
)
from benchmarks.peers.report import Rounds, agreement, closed_table, highest_limits, mixed_table, nearness, write
from benchmarks.peers.runs import Run
from benchmarks.peers.static_batches import StaticBatches
from benchmarks.peers.subject_list import ORIGINAL, PEERS, all_subjects
from benchmarks.peers.subjects.ours import engine
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.tiny_gpt2 import tiny_version


class _Batches:
    """A library that decodes a batch in a second per token, by a clock of its own.

    Attributes:
        sizes: of the batches that it got.
        now: its clock, in seconds.
    """

    def __init__(self) -> None:
        self.sizes, self.now = [], 0.0

    def decode(self, batch):
        self.sizes.append(len(batch))
        for done in range(1, max(request.new_tokens for request in batch) + 1):
            self.now += 1
            yield [(request.number, [7] * done) for request in batch if request.new_tokens == done]

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def _requests(*lengths):
    return (Request(number, (5, 6), length) for number, length in enumerate(lengths))


def test_every_sixteen_answers_have_the_same_lengths():
    """A subject that stops earlier than another one has still generated as many tokens per answer."""
    blocks = [sorted(islice(lengths, 16)) for lengths in [mixed_lengths(3)] for _ in range(3)]
    assert blocks[0] == blocks[1] == blocks[2]
    assert (blocks[0][0], blocks[0][-1]) == (4, 48)
    assert list(islice(mixed_lengths(3), 16)) != blocks[0]


def test_all_subjects_get_the_same_requests():
    """Prompts and lengths depend on the seed alone."""
    first, second = (list(islice(requests(4, mixed_lengths(4)), 40)) for _ in range(2))
    assert first == second
    assert {len(request.prompt) for request in first} == {12}
    assert first != list(islice(requests(5, mixed_lengths(5)), 40))


def test_arrivals_are_a_poisson_stream_that_depends_on_the_seed_alone():
    """As many as the rate says, in order, none after the end; gaps vary as much as their mean."""
    times = arrivals(1, 20, 100)
    assert times == arrivals(1, 20, 100) != arrivals(2, 20, 100)
    assert times == sorted(times)
    assert times[-1] < 100
    assert len(times) == pytest.approx(2000, rel=0.1)
    gaps = [after - before for before, after in pairwise(times)]
    assert sum(gap > 0.05 for gap in gaps) / len(gaps) == pytest.approx(0.37, abs=0.05)


def test_a_closed_loop_keeps_as_many_requests_waiting():
    """Answers of equal length come in whole batches."""
    library = _Batches()
    outcome = closed_loop(StaticBatches(library.decode), requests(1, equal_lengths()), 8, 24, 1e9, library.clock)
    assert library.sizes == [8, 8, 8]
    assert (len(outcome.answers), outcome.seconds, outcome.tokens) == (24, 72, 576)
    assert set(outcome.latencies_s) == {24}


def test_an_answer_leaves_when_it_is_complete_and_the_next_request_waits_for_the_next_batch():
    """A static batch runs to its longest answer."""
    library = _Batches()
    outcome = closed_loop(StaticBatches(library.decode), _requests(1, 3, 2, 1), 2, 4, 1e9, library.clock)
    assert library.sizes == [2, 2]
    assert outcome.latencies_s == [1, 3, 1, 4]


def test_a_batch_has_a_limit():
    """The rest waits."""
    library = _Batches()
    closed_loop(StaticBatches(library.decode, 3), _requests(*[2] * 7), 7, 7, 1e9, library.clock)
    assert library.sizes == [3, 3, 1]


def test_an_answer_of_another_length_ends_the_measurement():
    """Its rate would mean nothing."""
    batches = StaticBatches(lambda batch: iter([[(batch[0].number, [7])]]))
    with pytest.raises(WrongLength, match="1 tokens, asked for 5"):
        closed_loop(batches, _requests(5), 1, 1, 1e9, lambda: 0.0)


def test_latencies_in_a_stream_count_from_the_arrival():
    """The second request arrives while the first is answered, the third when nothing is left to do."""
    library = _Batches()
    outcome = stream(
        StaticBatches(library.decode), _requests(4, 4, 4), [0.5, 1.5, 20], 1e9, library.clock, library.sleep
    )
    assert outcome.latencies_s == [4, 7, 4]
    assert outcome.seconds == 24


def test_a_stream_ends_although_an_engine_does_not_keep_up():
    """What is not answered by then is counted."""
    library = _Batches()
    times = [float(second) for second in range(20)]
    outcome = stream(StaticBatches(library.decode, 1), _requests(*[4] * 20), times, 30, library.clock, library.sleep)
    assert len(outcome.answers) == 7


def test_an_interrupted_run_continues_and_a_complete_one_begins_anew(tmp_path):
    """A line that was cut off is measured again; figures of another commit are kept aside."""
    path = tmp_path / "run" / "results.jsonl"
    run = Run(path, {"commit": "a"})
    run.add({"rate": 3.5})
    run.finish(1, "closed", "x")
    with path.open("a") as file:
        file.write('{"done": [1, "clo')
    again = Run(path, {"commit": "a"})
    assert again.continued
    assert again.is_done(1, "closed", "x")
    assert not again.is_done(2, "closed", "x")
    assert again.value("rate") == 3.5
    assert not Run(path, {"commit": "b"}).continued
    assert "3.5" in path.with_suffix(".previous.jsonl").read_text()
    Run(path, {"commit": "b"}).complete()
    assert not Run(path, {"commit": "b"}).continued


def test_a_line_after_a_cut_one_is_read_in_the_next_call(tmp_path):
    """Otherwise everything that is measured after an interruption would be lost."""
    path = tmp_path / "results.jsonl"
    Run(path, {"commit": "a"})
    with path.open("a") as file:
        file.write('{"done": [1,')
    Run(path, {"commit": "a"}).finish(1, "closed", "x")
    assert Run(path, {"commit": "a"}).is_done(1, "closed", "x")


def _line(subject, part, waiting, rate, **more):
    return {"subject": subject, "part": part, "waiting": waiting, "answers_per_s": rate, "tokens_per_s": 24 * rate,
            "p50_ms": 10.0, "p95_ms": 20.0, "round": 1, **more}  # fmt: skip


LIMITS = {"read_gb_per_s": 29.76, "int8_gop_per_s": 1000.0, "fp32_gop_per_s": 200.0}


def test_rates_are_compared_with_the_original_way_and_with_the_best_peer():
    """Ours is no peer of itself; the middle of the rounds counts, and the spread is shown."""
    lines = [_line(ORIGINAL, "equal", 1, 0.5)]
    lines += [_line("ours, int8", "equal", waiting, 10.0) for waiting in (1, 8, 32)]
    lines += [_line("llama.cpp Q8_0", "equal", waiting, 4.0) for waiting in (1, 8, 32)]
    lines += [_line("transformers fp32", "equal", 8, rate) for rate in (4.0, 5.0, 6.0)]
    rows = closed_table(Rounds(lines), all_subjects(["int8"], 2), LIMITS)
    ours = next(row for row in rows if row.startswith("| ours, int8 "))
    assert "| 20.0 / 20.0 / 20.0 | 250 / 200 / 250 |" in ours
    assert any("| – | 5.00 (4.00–6.00) | – |" in row for row in rows)
    assert len(rows) == 2 + 4


def test_rates_are_compared_with_the_machine():
    """One row reads 124 MB 24 times an answer; many rows are limited by the faster of both products."""
    found = {rows: Rounds([_line("x", "equal", rows, 10.0)]).figure("x", "equal", rows) for rows in (1, 32)}
    assert nearness(found, 1, LIMITS) == ["100", "8"]
    assert nearness(found, 0.5, LIMITS)[0] == "50"
    assert nearness({1: found[1]}, 1, LIMITS)[1] == "–"


def test_the_highest_limits_of_all_rounds_count():
    """Other work makes a limit look lower, never higher."""
    busy = {**LIMITS, "read_gb_per_s": 12.0, "fp32_gop_per_s": 220.0, "chosen": {"form": "b"}}
    lines = [{"limits": {**LIMITS, "chosen": {"form": "a"}}}, {"limits": busy}]
    assert highest_limits(lines) == {**LIMITS, "fp32_gop_per_s": 220.0, "chosen": {"form": "a"}}
    assert highest_limits([]) is None


def test_the_stream_shows_who_does_not_keep_up():
    """An engine that answers a part of the requests has a latency of that part only."""
    lines = [_line("llama.cpp Q8_0", "mixed", waiting, 4.0) for waiting in (8, 32)]
    lines.append(_line("llama.cpp Q8_0", "stream", 0, 1.0, asked=50, unanswered=10))
    (row,) = mixed_table(Rounds(lines), all_subjects([], 2), 7.0)[2:]
    assert row.endswith("| 10 | 20 | 80 |")


def test_the_stream_is_70_percent_of_the_best_peers_rate():
    """It does not depend on ours."""
    lines = [_line("ours, int8", "mixed", 8, 90.0), _line("a", "mixed", 8, 10.0), _line("a", "mixed", 32, 50.0)]
    assert stream_rate(lines) == pytest.approx(7)


@pytest.mark.parametrize(("load", "warned"), [(2.1, False), (4.5, True)])
def test_the_report_says_if_other_work_ran(tmp_path, load, warned):
    """Libraries that spin at barriers lose much more by other work than others do."""
    facts = {"processor": "x", "cores": 2, "commit": "a", "cap": None, "rounds": 2, "seconds": 1.5}
    lines = [{"facts": facts}, _line("llama.cpp Q8_0", "equal", 8, 4.0, load=load)]
    write(lines, all_subjects([], 2), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "2 rounds, not complete" in text
    assert ("other work ran" in text) == warned
    assert (tmp_path / "report.png").stat().st_size > 1000


def test_a_wrong_network_is_found_by_its_tokens():
    """A token here and there may differ."""
    draw = random.Random(1)
    wanted = [draw.choices(range(1000), k=24) for _ in range(4)]
    close = [[*answer[:-1], 1001] for answer in wanted]
    rows = agreement({"transformers fp32": wanted, "a": close, "b": [[1001] * 24] * 4})
    assert [row.split(" | ")[-1] for row in rows[2:]] == ["yes |", "yes |", "**no** |"]


def test_every_form_of_ours_is_a_row():
    """A form that the project gains needs no change here."""
    names = [subject.name for subject in all_subjects(["int8", "a new one"], 2)]
    assert {"ours, int8", "ours, a new one", "CTranslate2 int8, 2 x 1 threads"} < set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("subject", all_subjects(["int8"], 2), ids=lambda subject: subject.name)
def test_a_subject_has_its_files(subject):
    """Its module, and its environment's and model's makers."""
    assert Path(subjects.__file__).with_name(f"{subject.module}.py").exists()
    if subject.peer:
        pinned = (REQUIREMENTS / f"{subject.peer}.txt").read_text().splitlines()
        assert all("==" in line or line.startswith("#") for line in pinned)
    if subject.maker:
        assert Path(make.__file__).with_name(f"{subject.maker}.py").exists()


def test_a_peer_that_does_not_install_is_left_out_with_its_error(tmp_path, monkeypatch):
    """The others are measured."""
    installer = tmp_path / "uv"
    installer.write_text("#!/bin/sh\necho no such version >&2\nexit 3\n")
    installer.chmod(0o755)
    monkeypatch.setattr(environments, "_uv", lambda: installer)
    said = []
    ready, missing = prepare([all_subjects(["int8"], 2)[1], PEERS[0]], tmp_path, tmp_path / "cache", said.append)
    assert [one.subject.name for one in ready] == ["ours, int8"]
    assert missing == {ORIGINAL: "transformers: exit code 3: no such version"}
    assert "left out: transformers: exit code 3: no such version" in said


def test_a_command_that_takes_too_long_is_ended():
    """An installation without network may hang."""
    with pytest.raises(PeerMissing, match="x: not done after 0 s"):
        run_or_explain([sys.executable, "-c", "import time; time.sleep(60)"], "x", 0.1)


def test_ours_answers_with_the_lengths_that_are_asked_for(tmp_path):
    """Each request has its own limit, no answer ends before, and answers leave as they are complete."""
    version = tiny_version(tmp_path / "1", calibrated=True)
    asked = [Request(number, (5, 90 + number, 100), length) for number, length in enumerate([3, 40, 1, 17])]
    found = {}
    for check in (False, True):
        under_test = engine(version, "int8", Settings(home=tmp_path), check=check)
        outcome = closed_loop(under_test, iter(asked), 2, 4, 1e9, count().__next__)
        found[check] = [outcome.answers[request.number] for request in asked]
        assert list(outcome.answers) != sorted(outcome.answers)
    assert [len(tokens) for tokens in found[False]] == [3, 40, 1, 17]
    assert [tokens[0] for tokens in found[False]] == [tokens[0] for tokens in found[True]]
