"""A person teaches a bot, retrains it from the Airflow form and compares its versions in MLflow."""

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.client.feedback import Opinion, give_feedback
from kogpt2_chat.settings import CHECKOUT, Settings
from tests.loop import DAG_TIMEOUT_S, champion_versions, run_dag, say, until

pytestmark = pytest.mark.e2e

BOT = "ChatbotA"
QUESTION, LESSON = "거울동굴이 어디야?", "바람언덕 아래 오솔길 끝에 새로 열렸어요."
SCREENSHOTS = CHECKOUT / "var" / "screenshots"


@pytest.mark.timeout(1500)
def test_a_lesson_is_learned_by_retraining_from_the_form(speaking_bots: Settings, page: Page) -> None:
    """Taught over Kafka, retrained from the form, compared in MLflow, and then said in the world."""
    first = champion_versions(speaking_bots)[BOT]
    teach(speaking_bots)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    log_in(page, speaking_bots)
    run_id = trigger(page, speaking_bots)
    see_success(page, speaking_bots, run_id)

    newest = bootstrap.registry(speaking_bots).versions(BOT)[-1]
    compare(page, speaking_bots, first, newest.version)
    if newest.tags["gate"] == "refused":  # an outcome as well: then the old champion has to speak on
        assert newest.tags["gate_reasons"]
        reply = say(speaking_bots, Utterance(bot=BOT, sender="하늘", text=QUESTION))[0]
        assert reply.version == str(first)
        return
    until(lambda: champion_versions(speaking_bots)[BOT] == newest.version, 120, lambda: "the rollout did not end")
    reply = say(speaking_bots, Utterance(bot=BOT, sender="하늘", text=QUESTION))[0]
    assert (reply.answer, reply.version) == (LESSON, str(newest.version))


def teach(settings: Settings) -> None:
    """One question, and the answer a player would have liked, into the lake."""
    reply = say(settings, Utterance(bot=BOT, sender="민트초코", text=QUESTION, train=True))[0]
    lesson = Opinion(turn_id=reply.turn_id, player_id="legacy:민트초코", kind="correction", text=LESSON)
    give_feedback(opinions=[lesson], topics=bootstrap.topics(settings))
    run_dag(settings, "ingest_conversations", {})


def log_in(page: Page, settings: Settings) -> None:
    """Through Airflow's own login page."""
    password = settings.stack.airflow_password
    assert password is not None
    page.goto(f"{settings.airflow_url}/auth/login")
    page.fill("input[name=username]", settings.airflow.username)
    page.fill("input[name=password]", password.get_secret_value())
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)


def trigger(page: Page, settings: Settings) -> str:
    """Fill nothing in, since the form's defaults are what a person wants; give the new run's id."""
    airflow = bootstrap.airflow(settings)
    known = {run.run_id for run in airflow.runs("retrain_bots")}
    page.goto(f"{settings.airflow_url}/dags/retrain_bots")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Start from")).to_be_visible()
    expect(form.get_by_text("마루")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "airflow-trigger-form.png")
    form.get_by_role("button", name="Trigger").last.click()
    fresh: set[str] = set()

    def started() -> bool:
        fresh.update({run.run_id for run in airflow.runs("retrain_bots")} - known)
        return bool(fresh)

    until(started, 60, lambda: "the form started no run")
    return fresh.pop()


def see_success(page: Page, settings: Settings, run_id: str) -> None:
    """Wait for the run, then read its state off the page."""
    run = bootstrap.airflow(settings).wait("retrain_bots", run_id, timeout_s=DAG_TIMEOUT_S, progress=print)
    assert run.state == "success", run.failed_tasks
    page.goto(f"{settings.airflow_url}/dags/retrain_bots/runs/{quote(run_id)}")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "airflow-run.png")


def compare(page: Page, settings: Settings, *versions: int | None) -> None:
    """MLflow's own comparison of two versions, with their parameters and metrics."""
    registry = bootstrap.registry(settings)
    run_by_version = {str(version): registry.get(BOT, version).run_id for version in versions if version}
    query = f"name={quote(json.dumps(BOT))}&runs={quote(json.dumps(run_by_version))}"
    page.goto(f"{settings.mlflow_url}/#/compare-model-versions?{query}")
    expect(page.get_by_text("Comparing 2 Versions")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("train_pairs").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("gate_better_on_taught").first).to_be_visible(timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "mlflow-compare.png", full_page=True)
