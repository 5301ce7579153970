"""External texts in terminal output are printed literally, without markup and control characters."""

from kogpt2_chat.cli import status
from kogpt2_chat.demo.report import DemoReport, JudgedVersion
from kogpt2_chat.stack.status import Service
from kogpt2_chat.terminal_page import TerminalPage
from tests.status_report import status_report

MARKUP = "[bold]별사탕[/]은 [/b] :heart: [주소] | 끝"


def test_markup_is_printed_literally():
    """Brackets, closing tags, emoji names and bars are printed. Escape characters are removed."""
    page = TerminalPage(width=140)
    page.table(MARKUP, ("kind", "text"), [("answer", MARKUP), ("escape", "빨강\x1b[31m\x07"), ("none", None)])
    page.line(MARKUP * 9)
    text = page.text()
    assert text.count(MARKUP) == 11
    assert "빨강[31m " in text
    assert "\x1b" not in text
    assert "None" not in text


def test_the_report_of_the_demo_can_contain_markup():
    """It is printed at the end of a long run, and must not fail because of a gate reason or a file name."""
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


def test_status_prints_passwords_and_details_literally():
    """Passwords and error messages may contain brackets."""
    kafka = Service(name="kafka", pid=7, port=9092, healthy=False, detail="[/var/log] is full")
    login = status.PageLogin(user="admin", password="[red]secret[/red]")
    operators = status.PageLogin(user="김[b]하늘", password="[/]")
    text = status.table(status_report(services=[kafka], airflow=login, operators=operators))
    assert "[/var/log] is full" in text
    assert "Airflow login: admin / [red]secret[/red]" in text
    assert "Operators' login: 김[b]하늘 / [/]" in text
