"""What operators get who are logged in: panels, turns, figures and commands, while the world goes on."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kogpt2_chat.adapters.elastic_http import ElasticOverHttp
from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics, InMemoryTransactionalConsumer
from tests.world.operators import (
    ALL,
    HARMFUL,
    TURN,
    TURNS,
    Operator,
    OperatorPages,
    operator,
    program,
    serve_operator_pages,
)
from tests.world.served import Served
from tests.world.waiting import wait_until
from world.gateway.ops.login import COOKIE
from world.gateway.ops.now import waiting_questions
from world.gateway.ops.routes import REFRESH_S


@pytest.fixture(scope="module")
def operator_pages() -> OperatorPages:
    return OperatorPages()


@pytest.fixture(scope="module")
def served(operator_pages: OperatorPages) -> Iterator[Served]:
    with serve_operator_pages(operator_pages) as running:
        yield running


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Operator]:
    with operator(served) as found:
        yield found


@pytest.fixture
def panels(operator_pages: OperatorPages) -> Iterator[object]:
    """The panels, which a test may break."""
    yield operator_pages.panels
    operator_pages.panels.error = None
    operator_pages.panels.may_count.set()


def test_the_dashboard_says_what_the_page_draws(browser: Operator) -> None:
    """Panels, bots, links and how often to ask again."""
    found = browser.ask("api/dashboard").json()
    assert [panel["id"] for panel in found["panels"]] == ["turns"]
    assert [bot["id"] for bot in found["bots"]] == list(BOT_IDS)
    assert found["bots"][0]["name"] == "마루"
    assert found["links"].keys() == {"mlflow", "airflow"}
    assert found["refresh_s"] == REFRESH_S


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({}, 3),
        ({"bot": "ChatbotB"}, 2),
        ({"bot": "ChatbotC"}, 0),
        ({"from": "2026-03-01T10:00:00Z"}, 2),
        ({"to": "2026-03-01T10:00:00+00:00"}, 1),
        ({"from": "2026-03-01T19:00:00+09:00", "to": "2026-03-02T19:00:00+09:00"}, 1),
        ({"from": "2026-03-01", "to": "2026-03-02"}, 2),
    ],
)
def test_a_panel_is_about_the_wanted_time_and_bot(browser: Operator, parameters: dict[str, str], count: int) -> None:
    """The end is exclusive. A time without a zone is in UTC."""
    reply = browser.ask("api/panel/turns", ALL | parameters)
    assert reply.headers["cache-control"] == "no-store"
    found = reply.json()
    assert (found["id"], found["numbers"][0]["value"]) == ("turns", count)
    assert found["took_ms"] >= 0


def test_without_times_a_panel_is_about_the_last_day() -> None:
    """Up to now."""
    operator_pages = OperatorPages(now=TURNS[2].at.timestamp())
    with serve_operator_pages(operator_pages) as served:
        for earlier_s, found in ((0, 2), (60, 1), (24 * 3600, 0)):
            operator_pages.now -= earlier_s
            rows = operator(served).ask("api/turns").json()["rows"]
            assert [row[0] for row in rows] == [TURNS[found].turn_id]


WRONG = {
    "from": ["yesterday", "2026-13-01", "99999-01-01", "1999-12-31", "2026-03-01T00:00:00 00:00", "1e9", "\u0661"],
    "to": ["0", "2026-02-01T00:00:00Z", "2026-01-01", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"],
    "bot": ["ChatbotD", "chatbota", "ChatbotA ", "*", "ChatbotA,ChatbotB"],
}
WRONG_TURNS = {
    "limit": ["0", "101", "-1", "1.5", "many", "\u0663", "9" * 5000],
    "version": ["latest", "-1", "1" * 10],
    "outcome": ["*", "Model", "a" * 41, "nearest or model", "가"],
    "kind": ["up*", "\u0000"],
    "fault": ["a b"],
    "question_key": ["가" * 1025],
    "conversation": ["s" * 1025],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
@pytest.mark.parametrize("path", ["api/panel/turns", "api/turns"])
def test_a_wrong_parameter_is_named(
    browser: Operator, operator_pages: OperatorPages, path: str, name: str, value: str
) -> None:
    """And nothing is searched."""
    searches = operator_pages.panels.searches
    reply = browser.ask(path, ALL | {name: value})
    assert (reply.status_code, reply.json()["reason"]) == (400, "parameter"), reply.text
    assert name in reply.json()["what"]
    assert operator_pages.panels.searches == searches


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG_TURNS for value in WRONG_TURNS[name]])
def test_a_wrong_filter_of_turns_is_named(
    browser: Operator, operator_pages: OperatorPages, name: str, value: str
) -> None:
    """The search server never sees it."""
    searches = operator_pages.panels.searches
    reply = browser.ask("api/turns", ALL | {name: value})
    assert (reply.status_code, reply.json()["reason"]) == (400, "parameter"), reply.text
    assert name in reply.json()["what"]
    assert operator_pages.panels.searches == searches


def test_a_conversation_may_have_any_name(browser: Operator, operator_pages: OperatorPages) -> None:
    """Players and their programs choose it. An empty one narrows nothing."""
    for name in ("s-19", "손님 #1&limit=1", HARMFUL, "*", "가" * 1024):
        assert browser.ask("api/turns", ALL | {"conversation": name}).status_code == 200
        assert operator_pages.panels.wanted.conversation == name
    browser.ask("api/turns", ALL | {"conversation": ""})
    assert operator_pages.panels.wanted.conversation is None


def test_a_last_day_before_all_times_is_refused(browser: Operator) -> None:
    """The usual period would begin in a year that no index knows."""
    reply = browser.ask("api/panel/turns", {"to": "2000-01-01T00:00:00Z"})
    assert (reply.status_code, reply.json()["reason"]) == (400, "parameter")


def test_more_than_400_days_are_refused(browser: Operator) -> None:
    """400 are not."""
    for end, status in (("2026-02-05T00:00:00Z", 200), ("2026-02-05T00:00:01Z", 400)):
        assert browser.ask("api/panel/turns", {"from": "2025-01-01", "to": end}).status_code == status


def test_text_of_players_is_a_text(browser: Operator) -> None:
    """JSON that no browser takes for a page."""
    reply = browser.ask("api/turns", ALL | {"bot": "ChatbotA", "limit": "1"})
    assert reply.json()["rows"] == [[TURN, HARMFUL]]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in reply.headers["content-security-policy"]
    newest = browser.ask("api/turns", ALL | {"limit": "2"}).json()["rows"]
    assert [row[0] for row in newest] == ["bot_question-0-2", "bot_question-0-1"]


@pytest.mark.parametrize("path", ["api/panel/nothing", "api/nothing", "api/panel/", "api/"])
def test_what_does_not_exist_is_not_found(browser: Operator, path: str) -> None:
    """As JSON, for the page's code."""
    reply = browser.ask(path, ALL)
    assert (reply.status_code, reply.json()["reason"]) == (404, "not_found")


def test_open_pages_share_their_searches(
    browser: Operator, operator_pages: OperatorPages, served: Served, panels: object
) -> None:
    """Those who ask while a search runs wait for the same one, and who asks a moment later gets its result."""
    asked = ALL | {"from": "2026-02-02"}
    operator_pages.panels.may_count.clear()
    before = operator_pages.panels.searches
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(lambda: operator(served).ask("api/panel/turns", asked).json()) for _ in range(8)]
        wait_until(lambda: operator_pages.panels.searches == before + 1)
        operator_pages.panels.may_count.set()
        values = [reply.result(20)["numbers"][0]["value"] for reply in replies]
    assert values == [3] * 8
    assert browser.ask("api/panel/turns", asked).json()["numbers"][0]["value"] == 3
    assert operator_pages.panels.searches == before + 1


def test_a_search_server_that_is_away_stops_nothing_else(
    browser: Operator, operator_pages: OperatorPages, panels: object
) -> None:
    """The panels say so, and find it again at once when it is back. The world goes on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nothing listens on this port
        port = closed.getsockname()[1]
        away = ElasticOverHttp(Settings(elastic={"url": f"http://user:s3cret@127.0.0.1:{port}"}), timeout_s=5)
        with pytest.raises(Unavailable) as caught:
            away.search("kogpt2-turns", {"size": 0})
        operator_pages.panels.error = caught.value
        for path in ("api/panel/turns", "api/turns"):
            reply = browser.ask(path, ALL | {"to": "2026-03-20"})
            assert (reply.status_code, reply.json()["reason"]) == (503, "unavailable")
            assert reply.json()["what"].startswith(f"Elasticsearch http://127.0.0.1:{port} did not answer")
            assert "s3cret" not in reply.text
    assert browser.ask("api/dashboard").status_code == 200
    player = WorldPlayer(browser.url, "하늘")
    player.enter()
    player.say("안녕!")
    assert player.wait_for(lambda event: event["t"] == "said")["text"] == "안녕!"
    player.close()
    operator_pages.panels.error = None
    assert browser.ask("api/panel/turns", ALL | {"to": "2026-03-20"}).status_code == 200


def test_searches_that_hang_make_the_others_wait_and_then_refuse(
    browser: Operator, operator_pages: OperatorPages, served: Served, panels: object
) -> None:
    """Two run, three wait, the next is told to come back. Players' messages pass meanwhile, and nothing is lost."""
    operator_pages.panels.may_count.clear()
    before = operator_pages.panels.searches
    with ThreadPoolExecutor(5) as pool:
        asked = [ALL | {"to": f"2026-03-1{number}"} for number in range(6)]
        replies = [pool.submit(lambda one=one: operator(served).ask("api/panel/turns", one)) for one in asked[:5]]
        wait_until(lambda: operator_pages.threads._unfinished == 5)
        refused = browser.ask("api/panel/turns", asked[5])
        assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) == refused.json()["wait_s"] > 0
        player = WorldPlayer(browser.url, "구름")
        player.enter()
        player.send("ping", at=1)
        player.wait_for(lambda event: event["t"] == "pong")
        player.close()
        assert operator_pages.panels.searches == before + 2, "no more than two at the same time"
        operator_pages.panels.may_count.set()
        assert [reply.result(20).status_code for reply in replies] == [200] * 5
    wait_until(lambda: operator_pages.threads._unfinished == 0)
    assert browser.ask("api/panel/turns", asked[5]).status_code == 200


def test_the_figures_of_this_moment(browser: Operator, operator_pages: OperatorPages, served: Served) -> None:
    """Players and rooms are those of this gateway. A server that is away leaves out its figure, with the reason."""
    served.empty()
    player = WorldPlayer(browser.url, "별똥별")
    player.enter()
    found = browser.ask("api/now").json()
    assert {figure["id"]: figure["value"] for figure in found["numbers"]} == {
        "players": 1, "rooms": 1, "waiting": 4, "behind": 1.5,
    }  # fmt: skip
    assert all(figure["title"].keys() == {"ko", "en"} for figure in found["numbers"])
    player.close()
    served.empty()
    with serve_operator_pages(OperatorPages(waiting=Unavailable("Kafka is away"), behind_s=7.0)) as other:
        figures = {figure["id"]: figure for figure in operator(other).ask("api/now").json()["numbers"]}
    assert (figures["waiting"]["value"], figures["waiting"]["reason"]) == (None, "Kafka is away")
    assert figures["behind"]["value"] == 7.0
    assert "reason" not in figures["behind"]


def test_questions_wait_until_their_replies_are_published() -> None:
    """Also those that a worker decodes right now; and all of them, if there has been no worker yet."""
    broker = Broker()
    topics, consumer = InMemoryTopics(broker), InMemoryTransactionalConsumer(broker)
    topics.ensure()
    assert waiting_questions(topics) == 0
    topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"k", value=str(number).encode()) for number in range(3)])
    assert waiting_questions(topics) == 3
    consumer.recover()
    batch = consumer.poll(0, 2)
    assert waiting_questions(topics) == 3
    positions = {record.partition: record.offset + 1 for record in batch.records}
    consumer.publish(batch.assignment, positions, [])
    assert waiting_questions(topics) == 1


ECHO = """
import json, sys
print("kogpt2-chat: KOGPT2_X is now called KOGPT2_Y", file=sys.stderr)
print(json.dumps({"arguments": sys.argv[1:], "text": "<b>안녕</b>"}))
"""
REFUSE = """
import sys
print("[   0.1s] looking for it\\nkogpt2-chat: a warning\\nkogpt2-chat: " + {sentence!r}, file=sys.stderr)
sys.exit({code})
"""


def test_a_turn_is_followed_by_a_command(tmp_path: Path) -> None:
    """Its JSON is passed on."""
    with serve_operator_pages(OperatorPages(program=program(tmp_path, ECHO))) as served, operator(served) as browser:
        reply = browser.ask(f"api/turn/{TURN}")
        assert reply.json() == {"arguments": ["lineage", TURN, "--json"], "text": "<b>안녕</b>"}
        assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("application/json", "no-store")


def explanation(answer: str) -> dict:
    choice = {"token_id": 7, "piece": "철수", "probability": 0.9}
    return {
        "turn_id": TURN, "sender": "김철수", "question": "안녕?", "answer": answer, "exact_prompt": True,
        "prompt": [{"token_id": 7, "piece": "안녕"}], "notes": ["the nearest known question: '제 이름은 김철수입니다'"],
        "changes": [{"rule": "cut", "why": "long", "before": answer + "!", "after": answer}],
        "replay": {"answer": answer, "stop_reason": "end", "verdict": "agrees", "compared": 1, "difference": None,
                   "steps": [{"number": 1, "chosen": choice, "choices": [choice], "stored": choice}]},
    }  # fmt: skip


def test_a_replay_shows_no_name_and_no_tokens_that_spell_one(tmp_path: Path) -> None:
    """The command is made for people at the terminal, who can read Kafka anyway. The page shows masked texts only."""
    for answer, has_steps in (("내 이름은 김철수야", False), ("반가워요", True)):
        source = f"import json, sys; print(json.dumps({explanation(answer)!r})) if sys.argv[1] == 'explain' else 1 / 0"
        with (
            serve_operator_pages(OperatorPages(program=program(tmp_path, source))) as served,
            operator(served) as browser,
        ):
            found = browser.ask(f"api/turn/{TURN}/replay").json()
        assert "김철수" not in json.dumps(found, ensure_ascii=False)
        assert (found["replay"]["steps"] != []) is has_steps
        assert "sender" not in found


@pytest.mark.parametrize(
    "turn", ["--help", "bot_question-3", "bot_question-3-17x", "bot_question-3-17%0A", "%D9%A3", "bot_question--1-2",
             "bot_question-1-" + "9" * 19, "-rf", "a%20b", "bot_question-%EF%BC%91-1"],
)  # fmt: skip
def test_only_ids_of_turns_reach_a_command(tmp_path: Path, turn: str) -> None:
    """Anything else could be an option."""
    mark = tmp_path / "ran"
    touching = program(tmp_path, f"import pathlib; pathlib.Path({str(mark)!r}).touch(); print('{{}}')")
    with serve_operator_pages(OperatorPages(program=touching)) as served, operator(served) as browser:
        for path in (f"api/turn/{turn}", f"api/turn/{turn}/replay"):
            reply = browser.ask(path)
            assert (reply.status_code, reply.json()["reason"]) == (400, "parameter")
        assert not mark.exists()
        assert browser.ask(f"api/turn/{TURN}").json() == {}
        assert mark.exists()


@pytest.mark.parametrize(
    ("code", "sentence", "status", "reason"),
    [
        (1, f"turn {TURN} is neither here nor there", 404, "not_found"),
        (1, "Kafka did not answer", 503, "unavailable"),
        (1, "turn bot_question-9-9 is another one", 503, "unavailable"),
        (2, f"turn {TURN} may be about a crisis", 400, "parameter"),
        (130, "interrupted: the command left nothing running", 503, "unavailable"),
    ],
)
def test_a_command_that_fails_says_why(tmp_path: Path, code: int, sentence: str, status: int, reason: str) -> None:
    """With its last sentence, which is its error, and a status for what to do next."""
    failing = program(tmp_path, REFUSE.format(sentence=sentence, code=code))
    with serve_operator_pages(OperatorPages(program=failing)) as served, operator(served) as browser:
        reply = browser.ask(f"api/turn/{TURN}")
        assert (reply.status_code, reply.json()) == (status, {"reason": reason, "what": sentence})


@pytest.mark.parametrize("source", ["raise ValueError('s3cret')", "print('no JSON, but s3cret')"])
def test_a_command_with_a_fault_shows_no_traceback(tmp_path: Path, source: str) -> None:
    """It is logged that it failed; the operator is told to run it."""
    with serve_operator_pages(OperatorPages(program=program(tmp_path, source))) as served, operator(served) as browser:
        with capture_logs() as logged:
            reply = browser.ask(f"api/turn/{TURN}")
        assert (reply.status_code, reply.json()["reason"]) == (500, "failed")
        assert "s3cret" not in reply.text
        assert [entry["log_level"] for entry in logged] == ["error"]


WAIT = """
import pathlib, sys, time
folder = pathlib.Path({folder!r})
(folder / f"began-{{sys.argv[1]}}-{{len(list(folder.iterdir()))}}").touch()
while not (folder / "go").exists():
    time.sleep(0.02)
print("{{}}")
"""


def test_replays_run_one_at_a_time(tmp_path: Path) -> None:
    """Each loads a model. One more may wait; then others are told to come back. Lineages are not held up."""
    folder = tmp_path / "state"
    folder.mkdir()
    waiting = program(tmp_path, WAIT.format(folder=str(folder)))
    with serve_operator_pages(OperatorPages(program=waiting)) as served, ThreadPoolExecutor(3) as pool:
        replies = [pool.submit(lambda: operator(served).ask(f"api/turn/{TURN}/replay")) for _ in range(3)]
        wait_until(lambda: any(reply.done() for reply in replies) and len(list(folder.iterdir())) == 1)
        lineage = pool.submit(lambda: operator(served).ask(f"api/turn/{TURN}"))
        wait_until(lambda: any(path.name.startswith("began-lineage") for path in folder.iterdir()))
        assert len([path for path in folder.iterdir() if path.name.startswith("began-explain")]) == 1
        (folder / "go").touch()
        assert sorted(reply.result(20).status_code for reply in replies) == [200, 200, 503]
        assert lineage.result(20).status_code == 200


def test_a_browser_that_leaves_ends_its_command(tmp_path: Path) -> None:
    """The next one need not wait for an answer that nobody reads."""
    folder = tmp_path / "state"
    folder.mkdir()
    waiting = program(tmp_path, WAIT.format(folder=str(folder)))
    with serve_operator_pages(OperatorPages(program=waiting)) as served, ThreadPoolExecutor(1) as pool:
        cookie = operator(served).cookies[COOKIE]
        for number in range(3):  # more than may run and wait
            with closing(HTTPConnection(served.url.removeprefix("http://"), timeout=20)) as connection:
                connection.request("GET", f"/ops/api/turn/{TURN}/replay", headers={"Cookie": f"{COOKIE}={cookie}"})
                wait_until(lambda number=number: len(list(folder.iterdir())) == number + 1)
        last = pool.submit(lambda: operator(served).ask(f"api/turn/{TURN}/replay"))
        wait_until(lambda: len(list(folder.iterdir())) == 4)
        (folder / "go").touch()
        assert last.result(20).status_code == 200


def test_a_gateway_that_stops_leaves_no_command_behind(tmp_path: Path) -> None:
    """Nor does it wait for one."""
    pids = tmp_path / "pid"
    hanging = program(tmp_path, f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    with serve_operator_pages(OperatorPages(program=hanging)) as served:
        browser = operator(served)
        asking = threading.Thread(target=lambda: _suppressed(browser, f"api/turn/{TURN}"), daemon=True)
        asking.start()
        wait_until(lambda: pids.exists() and pids.read_text() != "")
        served.stop()
    wait_until(lambda: not Path(f"/proc/{pids.read_text()}").exists() if sys.platform == "linux" else True)
    asking.join(20)
    assert not asking.is_alive()


def _suppressed(browser: Operator, path: str) -> None:
    import requests

    try:
        browser.ask(path)
    except requests.RequestException:
        return
