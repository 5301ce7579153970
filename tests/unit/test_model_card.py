"""The model card in the registry: what it says, that it fits, and that no text becomes markup."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from kogpt2_chat.artifact.profiles import load_profile
from kogpt2_chat.domain.gate.block import Comparison, Reason, Rule
from kogpt2_chat.domain.gate.decision import Decision
from kogpt2_chat.domain.gate.model_card import MOST_CHARS, CardFacts, Judged, SampleAnswer, model_card
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.domain.text.markdown import as_markdown
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.lake.describe_version import describe_version
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry

INJECTIONS = [
    "[x](javascript:alert(1))",
    "![x](https://evil.example/a.png)",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "`code` ``` ```html",
    "a | b | c",
    "| --- | --- |",
    "**굵게** _기울임_ ~~지움~~",
    "# 제목",
    "\n# 새 줄\n\n- 목록",
    "> 인용",
    "1. 하나",
    "- 하나",
    "+ 하나",
    "https://evil.example/x",
    "www.evil.example",
    "a@evil.example",
    "<https://evil.example>",
    "[ref]: https://evil.example",
    "&lt;b&gt; &#60;b&#62; &amp;",
    "\\<b> \\| \\[x\\]",
    "$$x$$ :smile: ==표시==",
    "<!-- 숨김 --> <? x ?> <![CDATA[x]]>",
    "</td></tr></table><h1>밖</h1>",
    "\u202e뒤집힘\u202c\x1b[31m",
]
MANIFEST = Manifest(
    bot="ChatbotA", dataset_id="3f2a9c81d04e", content_hash="3f2a", created_at="2026-11-24T01:00:00+00:00",
    counts={"train": 90, "val": 5, "test": 5}, sources={"seed": 80, "correction": 15, "praised": 5},
    rejects={"no_consent": 7, "quarantine": 2}, new_pairs=6, previous="aaaabbbbcccc", table_versions={},
    rules={"quarantine_hours": 24, "auto_review": False, "assumed_consent": False}, seeds_superseded=3,
    withdrawn_pairs=1,
)  # fmt: skip
TAGS = {
    "dataset": "3f2a9c81d04e",
    "base": "small",
    "licence": "Apache-2.0",
    "parent": "3",
    "git_commit": "0123456789abcdef",
}
REASONS = (
    Rule("loads", "serving").at_least(1.0, 1.0, "loads"),
    Rule("gold_not_worse", "fit").at_most(0.012, 0.03, "gold NLL"),
    replace(Rule("few_looping", "failures").at_most(0.05, 0.01, "5 of 100 answers loop"), baseline=0.0),
    replace(Rule("few_cut", "failures").at_most(0.004, 0.01, "1 of 250 answers are cut"), baseline=0.01),
    replace(Rule("chrf", "reference", blocking=False).at_least(31.2, 30.0, "chrF"), baseline=30.5),
    Rule("own_answers", "baseline", blocking=False).at_least(0.75, 0.0, "own answers"),
)
COMPARISONS = [
    Comparison(rule="gold_not_worse", what="NLL of gold answers", value=2.31, baseline=2.402, lower_is_better=True),
    Comparison(rule="few_looping", what="answers that loop", value=0.05, baseline=0.0, lower_is_better=True),
    Comparison(rule="few_cut", what="answers that are cut", value=0.004, baseline=0.01, lower_is_better=True),
    Comparison(rule="chrf", what="chrF", value=31.2, baseline=31.2, lower_is_better=False),
]
SAMPLES = [SampleAnswer(question="안녕?", expected="반가워요!", answer="안녕하세요.", baseline="네 네 네")]


def judged(**changed: object) -> Judged:
    decision = Decision(
        bot="ChatbotA", version=4, baseline="champion 3", profile=load_profile("small_base"), passed=False,
        reasons=REASONS,
    )  # fmt: skip
    body: dict[str, object] = {
        "decision": decision, "comparisons": COMPARISONS, "samples": SAMPLES, "missed": ["축제 언제 해?"], **changed,
    }  # fmt: skip
    return Judged(**body)  # type: ignore[arg-type]


def card(**changed: object) -> str:
    body: dict[str, object] = {
        "bot": "ChatbotA", "version": 4, "tags": TAGS, "manifest": MANIFEST, "run_page": "#/experiments/1/runs/abc",
        "parent_page": "#/models/ChatbotA/versions/3", "judged": judged(), **changed,
    }  # fmt: skip
    return model_card(CardFacts(**body))  # type: ignore[arg-type]


def rendered(markdown: str) -> str:
    """Return the HTML of a renderer with all that could go wrong: HTML, tables, strike-through and bare addresses."""
    return MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown)


def plain(html: str) -> str:
    return (
        re.sub("<[^>]+>", " ", html)
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
        .replace("&amp;", "&")
    )


def test_the_card_says_at_a_glance_what_is_better_and_what_is_worse() -> None:
    """The first lines have the verdict, and every measurement beside the baseline's."""
    glance = plain(rendered(card()).split("<h2>Data")[0])
    assert "Refused by the gate, profile small_base, compared with champion 3" in " ".join(glance.split())
    better, worse, equal = (
        next(line for line in glance.splitlines() if label in line) for label in ("Better", "Worse", "Equal")
    )
    assert "NLL of gold answers 2.31 (baseline 2.402), answers that are cut 0.004 (baseline 0.01)" in better
    assert "answers that loop 0.05 (baseline 0)" in worse
    assert "chrF 31.2 (baseline 31.2)" in equal


def test_the_card_names_data_base_licence_and_the_rule_of_consent() -> None:
    """From the tags and the dataset's manifest."""
    data = plain(rendered(card()).split("<h2>Data")[1].split("<h2>")[0])
    for fact in (
        "Dataset 3f2a9c81d04e of 2026-11-24T01:00:00+00:00: rows seed 80, correction 15, praised 5; train 90, val 5, test 5",
        "(aaaabbbbcccc): 6 pairs new, 1 withdrawn; 3 seed pairs replaced",
        "need a second player who agrees, and an age of 24 h",
        "Base small, licence Apache-2.0; training started from version 3; code 0123456789ab",
        "Left out: no_consent 7, quarantine 2",
    ):
        assert fact in data
    assert "taken to consent" not in data
    assumed = replace(MANIFEST, rules={"assumed_consent": True, "auto_review": True, "min_age_hours": 1.5})
    data = plain(rendered(card(manifest=assumed)))
    assert "players who stated nothing count as consenting" in data
    assert "need no second player, and an age of 1.5 h" in data


def test_the_gates_table_has_values_limits_and_the_baselines_values() -> None:
    """Missed blocking rules come first, informational rules last."""
    table = rendered(card()).split("<table>")[1].split("</table>")[0]
    rows = [re.findall("<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert rows == [
        ["few_looping", "<strong>no</strong>", "0.05", "0.01", "0"],
        ["loads", "yes", "1", "1", ""],
        ["gold_not_worse", "yes", "2.31, bound 0.012", "0.03", "2.402"],
        ["few_cut", "yes", "0.004", "0.01", "0.01"],
        ["chrf (for information)", "yes", "31.2", "30", "30.5"],
        ["own_answers (for information)", "yes", "0.75", "0", ""],
    ]


def test_weaknesses_come_from_the_gates_own_figures() -> None:
    """Missed rules, faulty answers that are few enough, missed must-pass questions, and the unsure share."""
    weak = plain(rendered(card()).split("<h2>Known weaknesses")[1].split("<h2>")[0])
    lines = [" ".join(line.split()) for line in weak.splitlines() if len(line.split()) > 1]
    assert lines == [
        "Must-pass questions that its own answers miss: 축제 언제 해?",
        "5 of 100 answers loop",
        "1 of 250 answers are cut",
        "Unsure of 25% of its answers, which are replaced",
    ]
    spotless = Decision(
        bot="ChatbotA", version=4, baseline="base", profile=load_profile("small_base"), passed=True, reasons=REASONS[:2]
    )
    assert "The gate found none" in card(judged=judged(decision=spotless, missed=()))


def test_links_lead_to_run_decision_and_parent() -> None:
    """They are relative, so that they work under any address of the registry."""
    links = re.findall('<a href="([^"]+)">(.*?)</a>', rendered(card()))
    assert links == [
        ("#/experiments/1/runs/abc", "run"), ("#/models/ChatbotA/versions/3", "parent version"),
        ("#/experiments/1/runs/abc/artifacts/decision.html", "decision"),
    ]  # fmt: skip


def test_a_version_before_the_gate_and_one_of_an_earlier_release_say_what_is_missing() -> None:
    """Nothing is made up for missing tags, a missing manifest or missing rules."""
    before = plain(rendered(card(judged=None)))
    assert before.count("Not evaluated yet") == 2
    assert "decision.html" not in card(judged=None)
    old = card(tags={}, manifest=None, run_page="", parent_page="", judged=None)
    assert "Dataset unknown: its manifest is missing" in plain(rendered(old))
    assert "Base unknown, licence unknown; training started from the base; code unknown" in plain(rendered(old))
    assert "## Links" not in old
    assert "does not state its rules" in card(manifest=replace(MANIFEST, rules={}))
    assert plain(rendered(card(bot="시험봇"))).split("\n")[0].strip() == "시험봇, version 4"


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_text_becomes_markup(text: str) -> None:
    """Texts of questions, answers, tags, baselines and sentences: the page has the elements of an innocent card."""
    hostile = judged(
        samples=[SampleAnswer(question=text, expected=text, answer=text, baseline=text)], missed=[text],
        comparisons=[replace(COMPARISONS[0], what=text)],
        decision=Decision(bot="ChatbotA", version=4, baseline=text, profile=replace(load_profile("small_base"), name=text),
                          passed=False, reasons=(Rule(text, text).at_most(2.0, 1.0, text),)),
    )  # fmt: skip
    innocent = judged(
        samples=[SampleAnswer(question="a", expected="a", answer="a", baseline="a")], missed=["a"],
        comparisons=[replace(COMPARISONS[0], what="a")],
        decision=Decision(bot="ChatbotA", version=4, baseline="a", profile=load_profile("small_base"),
                          passed=False, reasons=(Rule("a", "a").at_most(2.0, 1.0, "a"),)),
    )  # fmt: skip
    tags = dict.fromkeys(TAGS, text)
    made = card(
        judged=hostile, tags=tags, manifest=replace(MANIFEST, rejects={text: 1}, sources={text: 2}, previous=text)
    )
    wanted = card(judged=innocent, manifest=replace(MANIFEST, sources={"seed": 2}))
    assert re.findall("<[^>]+>", rendered(made)) == re.findall("<[^>]+>", rendered(wanted))
    assert not set("\u202e\x1b") & set(made)


@pytest.mark.parametrize("text", INJECTIONS)
def test_escaped_text_is_shown_as_it_was(text: str) -> None:
    """A reader sees the letters that were written, on one line, without invisible characters."""
    shown = plain(rendered(f"x {as_markdown(text)} x").replace("\n", ""))
    assert (
        " ".join(shown.split()) == f"x {' '.join(''.join(c for c in text if c.isprintable() or c.isspace()).split())} x"
    )


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    """No reference is cut in the middle."""
    assert as_markdown("|" * 500, 3) == "&#124;&#124;…"
    assert as_markdown("안녕하세요", 5) == "안녕하세요"


def test_the_card_fits_into_the_description() -> None:
    """However long the texts are: samples go first, then informational rules; verdict, data and links stay."""
    many = tuple(
        replace(reason, rule=f"{reason.rule}_{number}", sentence="<" * 10_000, passed=False)
        for number in range(30)
        for reason in REASONS
    )
    long = judged(
        decision=replace(judged().decision, reasons=many), samples=[replace(SAMPLES[0], answer="|" * 9000)] * 50,
        missed=["*" * 900] * 50, comparisons=[replace(COMPARISONS[0], what="[" * 500)] * 30,
    )  # fmt: skip
    manifest = replace(MANIFEST, rejects={f"{'_' * 90}{number}": number for number in range(90)},
                       sources={f"{'_' * 90}{number}": number for number in range(90)}, dataset_id="<" * 999)  # fmt: skip
    made = card(judged=long, manifest=manifest, tags=dict.fromkeys(TAGS, "~" * 9000))
    assert len(made) <= MOST_CHARS
    assert "Refused" in made
    assert "## Data" in made
    assert "[run](#/experiments/1/runs/abc)" in made
    assert "More did not fit" in made
    assert "## Own answers" not in made
    assert "More did not fit" not in card()


def test_names_in_answers_are_masked() -> None:
    """A version may have learned a name."""
    sample = SampleAnswer(question="내 이름은 김하늘이야", expected="a", answer="010-1234-5678이에요", baseline=None)
    answers = card(judged=judged(samples=[sample])).split("## Own answers")[1].split("##")[0]
    assert "내 이름은" in answers
    assert "김하늘" not in answers
    assert "1234" not in answers


class LakeAway(InMemoryFiles):
    """A lake that does not answer."""

    def read(self, path: str) -> bytes:
        raise Unavailable(f"{path}: HDFS does not answer")


@pytest.mark.parametrize("files", [InMemoryFiles(), LakeAway()])
def test_a_version_is_described_without_its_manifest(files: InMemoryFiles) -> None:
    """A lake that is away does not stop a registration or a decision; no counts are logged then."""
    registry = InMemoryRegistry()
    run_id = registry.start_run("학습", {}, {})
    registry.runs[run_id].files["version/model.json"] = b"{}"
    number = registry.add_version("ChatbotA", run_id, "version", {"dataset": "3f2a", "parent": "7"})
    describe_version(registry.get("ChatbotA", number), registry, files, "/Chatbot")
    found = registry.get("ChatbotA", number).description
    assert "its manifest is missing or cannot be read" in found
    assert "[run](#/runs/" in found
    assert "parent version" not in found
    assert registry.runs[run_id].metrics == {}


def test_a_reason_of_a_new_block_needs_no_change() -> None:
    """The table takes in any rule."""
    reason = Reason(
        rule="polite", block="conduct", value=1.0, threshold=0.0, passed=False, blocking=True, sentence="무례함"
    )
    made = card(judged=judged(decision=replace(judged().decision, reasons=(reason,))))
    assert "| polite | **no** | 1 | 0 |  |" in made
    assert "- 무례함" in made
