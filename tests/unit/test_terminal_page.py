"""Texts from outside on a terminal: a report shows them, and does nothing that they say."""

from kogpt2_chat.cli import status
from kogpt2_chat.demo.report import DemoReport, JudgedVersion
from kogpt2_chat.stack.status import Service
from kogpt2_chat.terminal_page import TerminalPage
from tests.status_report import status_report

STRANGE = "[bold]별사탕[/]은 [/b] :heart: [주소] | 끝"


def test_a_table_shows_what_a_markup_would_swallow():
    """Brackets, an end of nothing, a picture's name and bars stay; what could command a terminal does not."""
    page = TerminalPage(width=140)
    page.table(STRANGE, ("kind", "text"), [("answer", STRANGE), ("escape", "빨강\x1b[31m\x07"), ("none", None)])
    page.line(STRANGE * 9)
    text = page.text()
    assert text.count(STRANGE) == 11
    assert "빨강[31m " in text
    assert "\x1b" not in text
    assert "None" not in text


def test_the_demos_report_survives_the_texts_it_shows():
    """It comes after the whole run: a gate's reason or a file's name must not be the end of it."""
    report = DemoReport(
        trials=[
            JudgedVersion(bot="ChatbotA", version=2, gate="fail", champion=False, reasons="golden: [/b] 답이 다름")
        ],
        notes=["corpora imported from /srv/[v1]/[/x].csv"],
        urls={"MLflow": "http://127.0.0.1:5000"},
        seconds_by_step={"base model": 1.25},
    )
    text = report.text()
    assert "golden: [/b] 답이 다름" in text
    assert "corpora imported from /srv/[v1]/[/x].csv" in text


def test_status_shows_passwords_and_details_as_they_are():
    """A password with brackets is one, and an error's words may hold any."""
    kafka = Service(name="kafka", pid=7, port=9092, healthy=False, detail="[/var/log] is full")
    login = status.AirflowLogin(user="admin", password="[red]secret[/red]")
    text = status.table(status_report(services=[kafka], airflow=login))
    assert "[/var/log] is full" in text
    assert "Airflow login: admin / [red]secret[/red]" in text
