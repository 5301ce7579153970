"""Run the demo's steps: base model, servers, version 1, players, lake, version 2, and the same questions again."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import ReceivedAnswer, ask
from kogpt2_chat.client.feedback import send_feedback
from kogpt2_chat.demo.estimate import DemoEstimate, estimate_demo, require_room
from kogpt2_chat.demo.offer import offer
from kogpt2_chat.demo.players import TROLLED, Script, load_script
from kogpt2_chat.demo.report import DemoReport, JudgedVersion
from kogpt2_chat.demo.visitors import Visitors, WorldVisitors
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.ports import Registry, Topics
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings
from kogpt2_chat.training.estimate_base import estimate_base

if TYPE_CHECKING:
    from kogpt2_chat.adapters.airflow import DagRun
    from kogpt2_chat.training.base import PreparedBase

Progress = Callable[[str], None]
DEMO_ENVIRONMENT: Final = {
    "KOGPT2_LEARNING__MIN_AGE_HOURS": "0",
    "KOGPT2_LEARNING__AUTO_REVIEW": "true",
    "KOGPT2_LEARNING__LEGACY_CONSENT": "true",
    "KOGPT2_LEARNING__RETRAIN_CRON": "never",
    "KOGPT2_LEARNING__RETRAIN_ON_TEACHINGS": "false",
}
"""Settings that a real deployment would not use: no minimum age of turns, corrections accepted without review, legacy
consent assumed, and no automatic retraining."""
_ANSWERS_TIMEOUT_S: Final = 120.0
RUN_TIMEOUT_S: Final = 48 * 3600.0
"""Airflow ends a run after a day at most (KoGPT2 takes hours on two cores); an earlier run may have to finish first."""
_ROLLOUT_MARGIN_S: Final = 60.0
"""Start of the run, besides the time that each bot's rollout may take: bots are rolled out one after the other."""
STEPS: Final = (
    "start the servers",
    "version 1: dataset, fine-tuning, gate, rollout (Airflow)",
    "players talk and teach (world and Kafka)",
    "ingest_conversations (Airflow)",
    "version 2: dataset, fine-tuning, gate, rollout (Airflow)",
    "the same questions again (world and Kafka)",
)
"""The steps that are estimated before the demo starts."""


class DagRunner(Protocol):
    """Runs DAGs."""

    def run(self, dag_id: str, conf: Mapping[str, object], *, timeout_s: float, progress: Progress) -> "DagRun":
        """Start a run and wait until it has ended."""
        ...


def _prepare_base(settings: Settings, progress: Progress) -> "PreparedBase":
    from kogpt2_chat.training.base import prepare

    return prepare(settings, progress)


def _start_servers(settings: Settings, progress: Progress) -> None:
    from kogpt2_chat.stack.stack import up
    from kogpt2_chat.stack.started_with import require_same
    from kogpt2_chat.training.base import AUTO

    # Airflow's tasks use the learning settings that Airflow was started with, not those of this command.
    require_same(settings, "airflow-scheduler", "KOGPT2_LEARNING__")
    if settings.model.base != AUTO:  # a later demo of the same home keeps its base without naming it
        require_same(settings, "airflow-scheduler", "KOGPT2_MODEL__BASE")
    up(settings, progress=progress, on_ready=lambda: bootstrap.prepare_servers(settings))


def _estimate(settings: Settings, base: "PreparedBase", script: Script, progress: Progress) -> DemoEstimate | None:
    """Estimate the demo; fail if memory or disk space do not suffice."""
    from kogpt2_chat.stack.folders import folders_of
    from kogpt2_chat.stack.supervision import Supervisor

    trained = [bot for bot in BOT_IDS if (settings.home / "versions" / bot).is_dir()]
    found = estimate_demo(
        base=base.folder, script=script, trained=trained, step_names=STEPS, settings=settings, progress=progress
    )
    if found is not None:
        require_room(found, settings, servers_run=Supervisor(folders_of(settings)).find() is not None)
    return found


def _suggest_kogpt2(settings: Settings, dataset: str, progress: Progress) -> list[str]:
    return offer(estimate_base(settings=settings, progress=progress), settings.home, dataset)


def _visitors(settings: Settings) -> Visitors:
    return WorldVisitors(settings.world_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoParts:
    """The external dependencies of a demo; tests replace them.

    Attributes:
        prepare_base: prepares the base model.
        estimate: estimates the demo with that base; None if it could not be measured.
        start_servers: starts the servers.
        topics: opens Kafka's topics.
        registry: opens the model registry.
        airflow: opens Airflow.
        visitors: returns the players in the world.
        suggest: returns the suggestion for a next run, after a demo on the small base.
        clock: returns a monotonic time in seconds.
        pause: sleeps for some seconds.
        world_page: the page of the world's client; it exists if the client is built.
    """

    prepare_base: Callable[[Settings, Progress], "PreparedBase"] = _prepare_base
    estimate: Callable[[Settings, "PreparedBase", Script, Progress], DemoEstimate | None] = _estimate
    start_servers: Callable[[Settings, Progress], None] = _start_servers
    topics: Callable[[Settings], Topics] = bootstrap.topics
    registry: Callable[[Settings], Registry] = bootstrap.registry
    airflow: Callable[[Settings], DagRunner] = bootstrap.airflow
    visitors: Callable[[Settings], Visitors] = _visitors
    suggest: Callable[[Settings, str, Progress], list[str]] = _suggest_kogpt2
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    world_page: Path = CHECKOUT / "world" / "client" / "dist" / "index.html"


def run(*, dataset: str, base: str, bots: Sequence[str], progress: Progress) -> DemoReport:
    """Run the whole loop once. A second run continues from the state that an earlier one left.

    Args:
        dataset: path of a ``ChatbotData.csv``; empty for the shipped corpora.
        base: a folder or hub id of a base model; empty for the one that the settings name.
        bots: the bots that are trained and asked.
        progress: called with a line for each step.

    Returns:
        The report, which is also written to ``HOME/demo``.
    """
    # Two demos at once would receive each other's answers: legacy questions identify a player only by name.
    with hold_lock(load_settings().home / "demo" / "lock", progress):
        settings = prepare_settings(dataset, progress, base)
        return Demo(settings=settings, dataset=dataset, bots=bots, progress=progress, parts=DemoParts()).run()


@dataclass(kw_only=True)
class Demo:
    """One demo, with the settings that it and its servers use.

    Attributes:
        dataset: path of the ``ChatbotData.csv`` that the corpora come from; empty for the shipped corpora.
        bots: the bots that are trained and asked.
        progress: called with a line for each step.
        parts: its external dependencies.
    """

    settings: Settings
    dataset: str
    bots: Sequence[str] = BOT_IDS
    progress: Progress
    parts: DemoParts

    def run(self) -> DemoReport:
        """Run all steps, and return the report, which is also written to ``HOME/demo``."""
        settings, report = self.settings, DemoReport(notes=_notes(self.dataset, self.bots))
        script = load_script(settings.learning.corpora).of(self.bots)
        report.taught = {(lesson.bot, lesson.question): lesson.answer for lesson in script.lessons}
        self.progress(f"the world will open at {settings.world_url} once the servers run")
        # Prepare the base before the servers start: if it must be trained, training needs all cores.
        with report.step("base model"):
            base = self.parts.prepare_base(settings, self.progress)
            self.progress(f"base model: {base.name} ({base.licence}), sha {base.sha[:12]}")
        with report.step("estimate"):
            estimate = self.parts.estimate(settings, base, script, self.progress)
        for line in estimate.lines() if estimate else ():
            self.progress(line)
        start, first, talk, ingest, second, again = STEPS
        with report.step(start):
            self.parts.start_servers(settings, self.progress)
            self.progress(_invitation(settings, self.parts.world_page))
        registry = self.parts.registry(settings)
        if untaught := _without_champion(registry, self.bots):
            with report.step(first):
                self._retrain(registry, untaught, force=True)
        with report.step(talk):
            visitors = self.parts.visitors(settings)
            report.before = self._talk(script, "before", visitors)
            self._teach(script, report.before, visitors)
        with report.step(ingest):
            self._run_dag("ingest_conversations", {})
        with report.step(second):
            self._retrain(registry, self.bots, force=False)
        with report.step(again):
            report.after = self._talk(script, "after", visitors)
            visitors.leave()
        report.trials = _trials(registry, self.bots)
        report.speechless = _without_champion(registry, self.bots)
        report.urls = _urls(settings)
        if estimate:
            report.notes.append(estimate.comparison(report.seconds_by_step))
        if base.small:
            with report.step("estimate the cost of KoGPT2"):
                report.offer = self.parts.suggest(settings, self.dataset, self.progress)
        try:
            _write(report, settings.home / "demo")
        except OSError as error:  # the report is still printed
            report.notes.append(f"the report could not be written: {error}")
        return report

    def _talk(self, script: Script, round_name: str, visitors: Visitors) -> list[ReceivedAnswer]:
        """Ask all questions of a round: the legacy ones over Kafka, as Unity clients do, the others in the world."""
        utterances = script.utterances(round_name)
        legacy = [utterance for utterance in utterances if utterance.legacy]
        self.progress(
            f"players ask {len(utterances) - len(legacy)} questions in the world at {self.settings.world_url}, and "
            f"{len(legacy)} as Unity clients over Kafka"
        )
        topics = self.parts.topics(self.settings)
        by_kafka = iter(ask(utterances=legacy, topics=topics, timeout_s=_ANSWERS_TIMEOUT_S))
        in_world = iter(visitors.ask([utterance for utterance in utterances if not utterance.legacy]))
        replies = [next(by_kafka if utterance.legacy else in_world) for utterance in utterances]
        slowest_ms = max(reply.latency_ms for reply in replies)
        self.progress(f"all questions answered, the slowest after {slowest_ms} ms")
        return replies

    def _teach(self, script: Script, replies: list[ReceivedAnswer], visitors: Visitors) -> None:
        """Send the players' feedback by the way on which they asked."""
        legacy_turns = {
            reply.turn_id for reply, said in zip(replies, script.utterances("before"), strict=True) if said.legacy
        }
        opinions = script.opinions(replies)
        by_kafka = [opinion for opinion in opinions if opinion.turn_id in legacy_turns]
        sent = send_feedback(opinions=by_kafka, topics=self.parts.topics(self.settings))
        sent += visitors.rate([opinion for opinion in opinions if opinion.turn_id not in legacy_turns])
        self.progress(f"players sent {sent} feedback records")

    def _retrain(self, registry: Registry, bots: Sequence[str], *, force: bool) -> None:
        """Run ``retrain_bots``, and wait for the rollouts of its candidates."""
        known = {bot: len(registry.versions(bot)) for bot in bots}
        self._run_dag("retrain_bots", {"bots": list(bots), "force": force})
        for bot in bots:
            fresh = registry.versions(bot)[known[bot] :]
            passed = [version.version for version in fresh if version.tags.get("gate") == "pass"]
            if not fresh:
                self.progress(f"{bot}: no new version: too few new examples")
            elif not passed:
                self.progress(f"{bot}: version {fresh[-1].version} refused: {fresh[-1].tags.get('gate_reasons', '')}")
            else:
                self._await_champion(registry, bot, passed[-1])

    def _await_champion(self, registry: Registry, bot: str, version: int) -> None:
        limit_s = self.settings.rollout.ready_timeout_s * len(self.bots) + _ROLLOUT_MARGIN_S
        deadline = self.parts.clock() + limit_s
        while (champion := registry.by_alias(bot, "champion")) is None or champion.version != version:
            if self.parts.clock() > deadline:
                raise Unavailable(
                    f"{bot}: version {version} passed the gate but is not champion after {limit_s:g} s: "
                    "check the runs of rollout_bots in the Airflow UI"
                )
            self.parts.pause(0.5)
        self.progress(f"{bot}: version {version} is champion and serves")

    def _run_dag(self, dag_id: str, conf: Mapping[str, object]) -> None:
        airflow = self.parts.airflow(self.settings)
        run = airflow.run(dag_id, conf, timeout_s=RUN_TIMEOUT_S, progress=self.progress)
        if run.state != "success":
            raise Unavailable(
                f"{dag_id} run {run.run_id} ended as {run.state}: {run.failed_tasks}; see {self.settings.airflow_url}"
            )


def prepare_settings(dataset: str, progress: Progress, base: str = "") -> Settings:
    """Set the demo's environment variables, which its servers inherit, and read the settings."""
    for name, value in DEMO_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if base:
        os.environ["KOGPT2_MODEL__BASE"] = base
    _default_to_small_base()
    if dataset:
        from kogpt2_chat.jobs.import_corpus import import_corpus

        folder = load_settings().home / "demo" / "corpora"
        imported = import_corpus(source=Path(dataset), folder=folder)
        progress(
            f"imported {dataset}: {imported.rows} rows, unusable {dict(imported.unusable)}, "
            f"left out {dict(imported.left_out)}"
        )
        os.environ["KOGPT2_LEARNING__CORPORA"] = str(folder)
    return load_settings()


def _default_to_small_base() -> None:
    """Use the small base, unless the settings name a base or the home already contains one."""
    from kogpt2_chat.training.base_record import record_path

    settings = load_settings()
    if settings.model.base == "auto" and not record_path(settings.home).exists():
        os.environ.setdefault("KOGPT2_MODEL__BASE", "small")


def _notes(dataset: str, bots: Sequence[str]) -> list[str]:
    notes = ["demo settings: no minimum age of turns, corrections accepted without review, legacy consent assumed"]
    if TROLLED in bots:
        notes.append(
            f"three trolls teach {TROLLED} nonsense for its must-pass questions; its gate should refuse the result"
        )
    return [*notes, f"corpora imported from {dataset}"] if dataset else notes


def _without_champion(registry: Registry, bots: Sequence[str]) -> list[str]:
    return [bot for bot in bots if registry.by_alias(bot, "champion") is None]


def _trials(registry: Registry, bots: Sequence[str]) -> list[JudgedVersion]:
    trials = []
    for bot in bots:
        champion = registry.by_alias(bot, "champion")
        trials += [
            JudgedVersion(
                bot=bot,
                version=version.version,
                gate=version.tags.get("gate", "none"),
                champion=champion is not None and champion.version == version.version,
                reasons=version.tags.get("gate_reasons", ""),
            )
            for version in registry.versions(bot)
        ]
    return trials


def _invitation(settings: Settings, page: Path) -> str:
    if not page.exists():
        return f"the world has no page at {settings.world_url}: run `make setup` where npm's registry can be reached"
    return f"the world is open: {settings.world_url} (별마루에 들어와 보세요)"


def _urls(settings: Settings) -> dict[str, str]:
    return {
        "World (별마루)": settings.world_url,
        "Operators (password: `kogpt2-chat status`)": settings.operators_url,
        "Airflow (password: `kogpt2-chat status`)": settings.airflow_url,
        "MLflow": settings.mlflow_url,
        "Elasticsearch": settings.elastic_url,
        "HDFS over HTTP": settings.webhdfs_url,
    }


def _write(report: DemoReport, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(report.as_json(), ensure_ascii=False, indent=1)
    (folder / "report.json").write_text(facts, encoding="utf-8")
    (folder / "samples.md").write_text(report.samples(), encoding="utf-8")
    (folder / "report.txt").write_text(report.text(), encoding="utf-8")
