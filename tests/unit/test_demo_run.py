"""The demo's steps, on doubles of its servers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kogpt2_chat.adapters.airflow import DagRun, TaskState
from kogpt2_chat.client.ask import ReceivedAnswer, Utterance, ask
from kogpt2_chat.client.feedback import Opinion, send_feedback
from kogpt2_chat.demo.estimate import DemoEstimate
from kogpt2_chat.demo.players import TROLLED, TROLLS
from kogpt2_chat.demo.run import STEPS, Demo, DemoParts, Progress
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import Broker
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.training.base import PreparedBase
from tests.answering_topics import AnsweringTopics

REFUSED = "ChatbotC"


@dataclass(kw_only=True)
class FakePlatform:
    """The demo's servers: each retraining makes a version per bot, which passes the gate and is rolled out.

    Attributes:
        runs: the DAG runs, each with its id and params.
        refused: bots whose versions the gate refuses.
        rolls_out: whether versions that passed become champion.
        state: how runs end.
        small: whether the base is the small one.
        world_page: the page of the world's client, if it is built.
        slept_s: seconds that the demo waited.
        left: what its players have left.
        estimate: what the demo is said to need before it starts.
    """

    folder: Path
    broker: Broker = field(default_factory=Broker)
    registry: InMemoryRegistry = field(default_factory=InMemoryRegistry)
    runs: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    rolls_out: bool = True
    state: str = "success"
    small: bool = True
    world_page: Path = Path(__file__)
    slept_s: float = 0.0
    left: list[str] = field(default_factory=list)
    estimate: DemoEstimate | None = None

    def __post_init__(self) -> None:
        self.topics = AnsweringTopics(self.broker)

    def run(
        self, dag_id: str, conf: Mapping[str, object], *, timeout_s: float, progress: Callable[[str], None]
    ) -> DagRun:
        self.runs.append((dag_id, conf))
        if dag_id == "retrain_bots" and self.state == "success":
            for bot in conf["bots"]:
                self._train(bot)
        task = TaskState(task="train", state=self.state, duration_s=1.0, tries=1)
        return DagRun(dag_id=dag_id, run_id="run-1", state=self.state, tasks=(task,))

    def parts(self) -> DemoParts:
        base = PreparedBase(folder=self.folder, sha="1" * 64, name="small", licence="Apache-2.0", small=self.small)
        return DemoParts(
            prepare_base=lambda _settings, _progress: base,
            estimate=lambda _settings, _base, _script, _progress: self.estimate,
            start_servers=self._start,
            topics=lambda _settings: self.topics,
            registry=lambda _settings: self.registry,
            airflow=lambda _settings: self,
            visitors=lambda _settings: KafkaVisitors(self.topics, self.left),
            suggest=lambda _settings, dataset, _progress: [f"KoGPT2 with {dataset or 'the shipped corpora'}"],
            clock=lambda: self.slept_s,
            pause=self._pause,
            world_page=self.world_page,
        )

    def _start(self, settings: Settings, progress: Progress) -> None:
        progress(f"mlflow: healthy after 5 s ({settings.mlflow_url})")
        self.topics.ensure()

    def _pause(self, seconds: float) -> None:
        self.slept_s += seconds

    def _train(self, bot: str) -> None:
        passed = bot not in self.refused
        run_id = self.registry.start_run(bot, {}, {})
        self.folder.mkdir(exist_ok=True)
        (self.folder / "model.json").write_text("{}")
        self.registry.log_files(run_id, self.folder, "model")
        tags = {"gate": "pass"} if passed else {"gate": "fail", "gate_reasons": "golden question missed"}
        version = self.registry.add_version(bot, run_id, "model", tags)
        if passed and self.rolls_out:
            self.registry.set_alias(bot, "champion", version)


@dataclass
class KafkaVisitors:
    """Visitors without a world: they ask over the double of Kafka."""

    topics: AnsweringTopics
    left: list[str]

    def ask(self, utterances: Sequence[Utterance]) -> list[ReceivedAnswer]:
        return ask(utterances=utterances, topics=self.topics, timeout_s=20)

    def rate(self, opinions: Sequence[Opinion]) -> int:
        return send_feedback(opinions=opinions, topics=self.topics)

    def leave(self) -> None:
        self.left.append("the world")


@pytest.fixture
def platform(tmp_path: Path) -> FakePlatform:
    return FakePlatform(folder=tmp_path / "version")


@pytest.fixture
def demo(platform: FakePlatform, tmp_path: Path) -> Demo:
    return Demo(settings=Settings(home=tmp_path / "home"), dataset="", progress=lambda _: None, parts=platform.parts())


def with_progress_lines(demo: Demo) -> tuple[Demo, list[str]]:
    """Return the demo and a list that receives its progress lines."""
    lines: list[str] = []
    progress: Progress = lines.append
    return replace(demo, progress=progress), lines


def test_a_first_demo_trains_talks_ingests_and_trains_again(demo: Demo, platform: FakePlatform) -> None:
    """Version 1 of every bot is forced, since there is no new data yet; version 2 is not."""
    report = demo.run()
    assert platform.runs == [
        ("retrain_bots", {"bots": list(BOT_IDS), "force": True}),
        ("ingest_conversations", {}),
        ("retrain_bots", {"bots": list(BOT_IDS), "force": False}),
    ]
    assert list(report.seconds_by_step) == [
        "base model",
        "estimate",
        "start the servers",
        "version 1: dataset, fine-tuning, gate, rollout (Airflow)",
        "players talk and teach (world and Kafka)",
        "ingest_conversations (Airflow)",
        "version 2: dataset, fine-tuning, gate, rollout (Airflow)",
        "the same questions again (world and Kafka)",
        "estimate the cost of KoGPT2",
    ]
    assert [(trial.version, trial.champion) for trial in report.trials] == [(1, False), (2, True)] * len(BOT_IDS)
    assert report.speechless == []
    assert platform.left == ["the world"]
    assert report.offer == ["KoGPT2 with the shipped corpora"]


def test_the_first_address_that_is_printed_is_the_worlds(demo: Demo) -> None:
    """Also in the report at the end. The line before the players talk invites to join them."""
    demo, lines = with_progress_lines(demo)
    world = demo.settings.world_url
    assert re.findall(r"http://[\d.:]+", demo.run().text())[0] == world
    assert re.findall(r"http://[\d.:]+", "\n".join(lines))[0] == world
    assert f"the world is open: {world} (별마루에 들어와 보세요)" in lines


def test_a_world_without_a_page_is_not_called_open(platform: FakePlatform, demo: Demo) -> None:
    """The set-up could not reach npm's registry: everything else works, and the line says what is missing."""
    platform.world_page = demo.settings.home / "index.html"
    demo, lines = with_progress_lines(replace(demo, parts=platform.parts()))
    demo.run()
    assert not [line for line in lines if "the world is open" in line]
    assert [line for line in lines if "the world has no page" in line and "make setup" in line]


def test_the_report_compares_the_answers_before_and_after(demo: Demo, platform: FakePlatform) -> None:
    """A lesson is learned if the bot returns the taught answer. The report is also written to the home."""
    report = demo.run()
    assert [reply.question for reply in report.before] == [reply.question for reply in report.after]
    assert (report.learned, len(report.lessons)) == (0, len(report.taught))
    platform.topics.answer_by_question = {question: answer for (_, question), answer in report.taught.items()}
    assert demo.run().learned == len(report.taught)
    assert (demo.settings.home / "demo" / "report.json").exists()


def test_players_send_feedback_once(demo: Demo, platform: FakePlatform) -> None:
    """They send none after the second round of questions."""
    demo, lines = with_progress_lines(demo)
    demo.run()
    (line,) = [line for line in lines if line.endswith("feedback records")]
    assert line == f"players sent {len(platform.broker.all(FEEDBACK_TOPIC))} feedback records"


def test_a_second_demo_trains_only_bots_without_a_champion(demo: Demo, platform: FakePlatform) -> None:
    """Bots that already have a champion keep it."""
    platform.refused = (REFUSED,)
    assert demo.run().speechless == [REFUSED]
    platform.runs.clear()
    platform.refused = ()
    assert demo.run().speechless == []
    assert platform.runs[0] == ("retrain_bots", {"bots": [REFUSED], "force": True})


def test_a_demo_of_one_bot_trains_asks_and_judges_only_that_bot(demo: Demo, platform: FakePlatform) -> None:
    """A full-size base needs minutes per bot. Without the trolled bot, the trolls stay away."""
    report = replace(demo, bots=BOT_IDS[:1]).run()
    assert [conf["bots"] for dag_id, conf in platform.runs if dag_id == "retrain_bots"] == [[BOT_IDS[0]]] * 2
    assert {reply.bot for reply in (*report.before, *report.after)} == {BOT_IDS[0]}
    assert {bot for bot, _ in report.taught} == {trial.bot for trial in report.trials} == {BOT_IDS[0]}
    assert report.speechless == []
    assert not [note for note in report.notes if "trolls" in note]


def test_a_demo_of_the_trolled_bot_has_the_trolls(demo: Demo) -> None:
    """Their questions are the must-pass ones."""
    report = replace(demo, bots=(TROLLED,)).run()
    assert {reply.sender.removeprefix("legacy:") for reply in report.before} >= set(TROLLS)
    assert [note for note in report.notes if "trolls" in note]


def test_a_refused_version_is_reported_with_the_gates_reasons(demo: Demo, platform: FakePlatform) -> None:
    """The demo continues, because the gate is expected to refuse what trolls teach."""
    platform.refused = (REFUSED,)
    demo, lines = with_progress_lines(demo)
    demo.run()
    assert f"{REFUSED}: version 1 refused: golden question missed" in lines
    assert f"{BOT_IDS[0]}: version 1 is champion and serves" in lines


def test_a_rollout_that_does_not_finish_ends_the_demo(demo: Demo, platform: FakePlatform) -> None:
    """Bots are rolled out one after the other, each for two minutes at most; then an error names the DAG to check."""
    platform.rolls_out = False
    with pytest.raises(Unavailable, match="version 1 passed the gate but is not champion after 420 s.*rollout_bots"):
        demo.run()
    assert 420 < platform.slept_s < 422


def test_the_report_compares_the_estimate_with_the_fact(platform: FakePlatform, demo: Demo) -> None:
    """The estimate is printed before the servers start, Korean first, and compared in the report."""
    platform.estimate = DemoEstimate(
        bots=3, seconds_by_step={STEPS[1]: 3000.0, STEPS[4]: 1200.0}, finetune_s=900.0, evaluate_s=120.0,
        training_mb=4500, disk_mb=9000, train_step_s=7.5, answer_token_s=0.01,
    )  # fmt: skip
    demo, lines = with_progress_lines(replace(demo, parts=platform.parts()))
    report = demo.run()
    said = [index for index, line in enumerate(lines) if line.startswith("예상 시간: 봇 3개에 약 70분")]
    assert said
    assert said[0] < next(index for index, line in enumerate(lines) if line.startswith("mlflow: healthy"))
    assert "minutes by step: version 1 50, version 2 20" in lines[said[0] + 2]
    (note,) = [note for note in report.notes if note.startswith("estimated before the start: 4200 s, took ")]
    assert "(-100% of the estimate)" in note


def test_a_failed_run_ends_the_demo_in_its_step(demo: Demo, platform: FakePlatform) -> None:
    """The error names the failed task, and its note the demo's step."""
    platform.state = "failed"
    with pytest.raises(Unavailable, match=r"retrain_bots run run-1 ended as failed: \('train',\)") as caught:
        demo.run()
    assert caught.value.__notes__ == [
        "This happened in the demo's step 'version 1: dataset, fine-tuning, gate, rollout (Airflow)'."
    ]


def test_a_demo_on_kogpt2_suggests_nothing(demo: Demo, platform: FakePlatform) -> None:
    """The demo's suggestion is KoGPT2 itself."""
    platform.small = False
    report = replace(demo, parts=platform.parts()).run()
    assert report.offer == []
    assert "estimate the cost of KoGPT2" not in report.seconds_by_step


def test_a_report_that_cannot_be_written_is_still_returned(demo: Demo) -> None:
    """A note in the report has the reason."""
    (demo.settings.home / "demo" / "report.json").mkdir(parents=True)
    assert any("the report could not be written" in note for note in demo.run().notes)
