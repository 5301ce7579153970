"""A person teaches a bot, retrains it with Airflow's form and compares its versions in MLflow."""

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.client.feedback import Opinion, send_feedback
from kogpt2_chat.settings import CHECKOUT, Settings
from tests.loop import DAG_TIMEOUT_S, ask_bots, champion_versions, run_dag, wait_until

pytestmark = pytest.mark.e2e

BOT = "ChatbotA"
QUESTION, CORRECTION = "거울동굴이 어디야?", "바람언덕 아래 오솔길 끝에 새로 열렸어요."
SCREENSHOTS = CHECKOUT / "var" / "screenshots"


@pytest.mark.timeout(1500)
def test_a_bot_learns_a_correction_by_retraining_from_the_form(trained_stack: Settings, page: Page) -> None:
    """A correction sent over Kafka is the bot's answer after the rollout, unless the gate refuses the new version."""
    first = champion_versions(trained_stack)[BOT]
    teach(trained_stack)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    log_in(page, trained_stack)
    run_id = trigger(page, trained_stack)
    check_success(page, trained_stack, run_id)

    newest = bootstrap.registry(trained_stack).versions(BOT)[-1]
    compare(page, trained_stack, first, newest.version)
    if newest.tags["gate"] == "refused":  # also a valid outcome: then the old champion must keep answering
        assert newest.tags["gate_reasons"]
        reply = ask_bots(trained_stack, Utterance(bot=BOT, sender="하늘", text=QUESTION))[0]
        assert reply.version == str(first)
        return
    wait_until(lambda: champion_versions(trained_stack)[BOT] == newest.version, 120, lambda: "the rollout did not end")
    reply = ask_bots(trained_stack, Utterance(bot=BOT, sender="하늘", text=QUESTION))[0]
    assert (reply.answer, reply.version) == (CORRECTION, str(newest.version))


def teach(settings: Settings) -> None:
    """Ask a question, correct the answer, and ingest both."""
    reply = ask_bots(settings, Utterance(bot=BOT, sender="민트초코", text=QUESTION, train=True))[0]
    correction = Opinion(turn_id=reply.turn_id, player_id="legacy:민트초코", kind="correction", text=CORRECTION)
    send_feedback(opinions=[correction], topics=bootstrap.topics(settings))
    run_dag(settings, "ingest_conversations", {})


def log_in(page: Page, settings: Settings) -> None:
    """Log in on Airflow's login page."""
    password = settings.stack.airflow_password
    assert password is not None
    page.goto(f"{settings.airflow_url}/auth/login")
    page.fill("input[name=username]", settings.airflow.username)
    page.fill("input[name=password]", password.get_secret_value())
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)


def trigger(page: Page, settings: Settings) -> str:
    """Trigger a run with the form's defaults, and return its id."""
    airflow = bootstrap.airflow(settings)
    known = {run.run_id for run in airflow.runs("retrain_bots")}
    page.goto(f"{settings.airflow_url}/dags/retrain_bots")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.locator("label", has_text="Start from")).to_be_visible()
    expect(form.get_by_text("마루")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "airflow-trigger-form.png")
    form.get_by_role("button", name="Trigger").last.click()
    new: set[str] = set()

    def started() -> bool:
        new.update({run.run_id for run in airflow.runs("retrain_bots")} - known)
        return bool(new)

    wait_until(started, 60, lambda: "the form started no run")
    return new.pop()


def check_success(page: Page, settings: Settings, run_id: str) -> None:
    """Wait for the run to succeed, and check that its page shows it."""
    run = bootstrap.airflow(settings).wait("retrain_bots", run_id, timeout_s=DAG_TIMEOUT_S, progress=print)
    assert run.state == "success", run.failed_tasks
    page.goto(f"{settings.airflow_url}/dags/retrain_bots/runs/{quote(run_id)}")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "airflow-run.png")


def compare(page: Page, settings: Settings, *versions: int | None) -> None:
    """Check MLflow's comparison of two versions: it shows their parameters and metrics."""
    registry = bootstrap.registry(settings)
    run_by_version = {str(version): registry.get(BOT, version).run_id for version in versions if version}
    query = f"name={quote(json.dumps(BOT))}&runs={quote(json.dumps(run_by_version))}"
    page.goto(f"{settings.mlflow_url}/#/compare-model-versions?{query}")
    expect(page.get_by_text("Comparing 2 Versions")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("train_pairs").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("gate_better_on_taught").first).to_be_visible(timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "mlflow-compare.png", full_page=True)
