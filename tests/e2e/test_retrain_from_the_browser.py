"""A player teaches a bot in the world; a person retrains it with Airflow's form; the player hears the new answer."""

import csv
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from kogpt2_chat import bootstrap
from kogpt2_chat.client.ask import Utterance
from kogpt2_chat.client.feedback import Opinion, send_feedback
from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.settings import CHECKOUT, Settings
from tests.e2e.world_page import WorldPage
from tests.loop import DAG_TIMEOUT_S, ask_bots, champion_versions, run_dag, wait_until

pytestmark = pytest.mark.e2e

BOT = "ChatbotA"
QUESTION, CORRECTION = "거울동굴이 어디야?", "바람언덕 아래 오솔길 끝에 새로 열렸어요."
WITH_NUMBER = ("길드장님한테 어떻게 연락해?", "010-2345-6789로 전화하면 바로 받으세요.")
"""Taught by a player who consents; personal data is never learned."""
FROM_UNITY = ("새로 생긴 열기구 타 봤어?", "광장 서쪽에서 타면 별마루가 한눈에 보여요!")
"""Taught over Kafka by a player without a browser."""
WITHOUT_CONSENT = ("비밀 통로는 어디에 있어?", "분수 뒤 세 번째 돌을 밀어 보세요.")
CRISIS = "요즘 너무 힘들어서 죽고 싶어"
SCREENSHOTS = CHECKOUT / "var" / "screenshots"
RECORD = """bot => {
    const seen = window.__seen = {stages: [], bubbles: [], toasts: []};
    const card = document.querySelector(`[data-bot="${bot}"]`);
    const note = () => { if (seen.stages.at(-1) !== card.dataset.stage) seen.stages.push(card.dataset.stage) };
    note();
    new MutationObserver(note).observe(card, {attributes: true});
    new MutationObserver(changes => changes.flatMap(change => [...change.addedNodes]).forEach(node => {
        if (node.classList?.contains("bubble")) seen.bubbles.push(node.textContent);
        if (node.classList?.contains("toast")) seen.toasts.push(node.textContent);
    })).observe(document.body, {childList: true, subtree: true});
}"""
"""Records the bot's stages, all bubbles and all short messages; they pass while the test waits for something else."""


@pytest.fixture
def player(browser: Browser, trained_stack: Settings) -> Iterator[WorldPage]:
    """A player in the world, who lets bots learn."""
    page = WorldPage(browser, trained_stack.world_url, viewport={"width": 980, "height": 640})
    page.enter("민트초코", in_list=False)
    page.until("__world.state().scene === 'ready'")
    page.page.evaluate(RECORD, BOT)
    yield page
    page.context.close()
    assert page.faults == []


@pytest.mark.timeout(1500)
def test_a_bot_learns_what_a_player_teaches_it_in_the_world(
    trained_stack: Settings, page: Page, player: WorldPage
) -> None:
    """The correction is the bot's answer after the rollout, unless the gate refuses the new version."""
    first = champion_versions(trained_stack)[BOT]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    praise(player, seed_question(trained_stack))
    before = teach(player)
    for (question, answer), learn in ((WITH_NUMBER, True), (WITHOUT_CONSENT, False)):
        teach_without_a_browser(trained_stack, question, answer, learn=learn)
    teach_over_kafka(trained_stack, *FROM_UNITY)
    run_dag(trained_stack, "ingest_conversations", {})
    player.page.click("[aria-label='목록 보기']")  # training and drawing would wait for each other

    log_in(page, trained_stack)
    run_id = trigger(page, trained_stack)
    check_success(page, trained_stack, run_id)

    newest = bootstrap.registry(trained_stack).versions(BOT)[-1]
    compare(page, trained_stack, first, newest.version)
    assert "training" in recorded(player, "stages")
    if newest.tags["gate"] == "refused":  # also a valid outcome: then the old champion must keep answering
        assert newest.tags["gate_reasons"]
        assert player.ask(BOT, QUESTION) == before
        assert "new_version" not in recorded(player, "stages")
        return
    wait_until(lambda: champion_versions(trained_stack)[BOT] == newest.version, 120, lambda: "the rollout did not end")
    hear(player, newest.version)
    read_book(player, newest.version)
    ask_about_a_crisis(player)


def seed_question(settings: Settings) -> str:
    """Return a question that the bot has learned."""
    with (settings.learning.corpora / BOT / "seed.csv").open(encoding="utf-8", newline="") as seed:
        return next(csv.DictReader(seed))["question"]


def praise(player: WorldPage, question: str) -> None:
    """Ask, see the worker's answer in the chat and over the bot, and press the thumb."""
    answer = player.ask(BOT, question)
    wait_until(lambda: f"@민트초코 {answer}" in recorded(player, "bubbles"), 20, lambda: "no bubble has the answer")
    line = player.page.locator(".answer").last
    line.get_by_role("button", name="좋아요").click()
    expect(line.get_by_role("status")).to_have_text("고마워요, 전했어요.")


def teach(player: WorldPage) -> str:
    """Ask a question that the bot does not know, and correct its answer; return that answer."""
    answer = player.ask(BOT, QUESTION)
    assert answer != CORRECTION
    line = player.page.locator(".answer").last
    line.get_by_role("button", name="별로예요").click()
    expect(line.get_by_role("status")).to_have_text("알려 줘서 고마워요.")
    line.get_by_role("button", name="이렇게 말해 줘").click()
    line.get_by_role("textbox").fill(CORRECTION)
    line.get_by_role("textbox").press("Enter")
    expect(line.get_by_role("status")).to_have_text("고마워요. 다음에 배울게요.")
    return answer


def teach_without_a_browser(settings: Settings, question: str, better: str, *, learn: bool) -> None:
    """Ask and correct as another player."""
    other = WorldPlayer(settings.world_url, f"배움이{'하나' if learn else '둘'}", store=True, learn=learn)
    other.enter()
    answered = other.answer_to(other.ask(BOT, question))
    assert answered["t"] == "answered"
    other.send("teach", turn=answered["turn"], text=better)
    other.wait_for(lambda event: event["t"] == "noted")
    other.close()


def teach_over_kafka(settings: Settings, question: str, better: str) -> None:
    """Ask and correct as a Unity client does."""
    reply = ask_bots(settings, Utterance(bot=BOT, sender="별똥별", text=question, train=True))[0]
    correction = Opinion(turn_id=reply.turn_id, player_id="legacy:별똥별", kind="correction", text=better)
    send_feedback(opinions=[correction], topics=bootstrap.topics(settings))


def hear(player: WorldPage, version: int) -> None:
    """The bot greets with what it has learned, and gives the taught answer."""
    player.page.wait_for_selector(f"[data-bot='{BOT}'][data-stage='new_version']")
    expect(player.page.locator(f"[data-bot='{BOT}'] .bot-stage")).to_have_text("새로 배웠어요")
    assert f"마루: 새로 배웠어요! 버전 {version}" in recorded(player, "toasts")
    stages = recorded(player, "stages")
    assert stages.index("training") < stages.index("new_version")
    assert not {"asleep", "degraded"} & set(stages), "the old version answers until the new one does"
    player.page.click("[aria-label='3D로 보기']")
    player.until("__world.state().scene === 'ready'")
    expect(player.page.locator(".label-bot[data-stage='new_version'] .tag-state")).to_have_text("새로 배웠어요!")
    assert player.ask(BOT, QUESTION) == CORRECTION
    source = player.page.locator(".answer .source").last.inner_text()
    assert source in {f"버전 {version}", "비슷한 질문의 답"}
    wait_until(lambda: f"@민트초코 {CORRECTION}" in recorded(player, "bubbles"), 20, lambda: "no bubble has it")
    player.page.screenshot(path=SCREENSHOTS / "world-new-version.png")
    player.page.click("[aria-label='목록 보기']")


def read_book(player: WorldPage, version: int) -> None:
    """It has what may be learned: neither the pair with a phone number nor the one without consent."""
    player.until(f"__world.state().bots.some(bot => bot.bot === '{BOT}' && bot.learned > 0)")
    player.page.click("[aria-label='마루의 배움 노트']")
    expect(player.page.locator(".book .book-version")).to_have_text(f"버전 {version}")
    text = player.page.locator(".book").inner_text()
    for taught in (QUESTION, CORRECTION, *FROM_UNITY):
        assert taught in text
    for secret in (*WITH_NUMBER, *WITHOUT_CONSENT, "6789"):
        assert secret not in text
    player.page.screenshot(path=SCREENSHOTS / "world-book.png")
    player.page.keyboard.press("Escape")


def ask_about_a_crisis(player: WorldPage) -> None:
    """The vetted answer stays until it is closed; its numbers can be dialed, and it is no line of the chat."""
    before = player.page.locator(".answer").count()
    player.send(CRISIS, f"bot:{BOT}")
    card = player.page.locator(".safety")
    expect(card).to_be_visible(timeout=20_000)
    numbers = card.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert "tel:109" in numbers
    assert player.page.locator(".answer").count() == before
    card.get_by_role("button", name="닫기").click()
    expect(card).to_be_hidden()


def recorded(player: WorldPage, what: str) -> list[str]:
    """Return what the page has recorded."""
    found: list[str] = player.page.evaluate(f"__seen.{what}")
    return found


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
