"""`python -m benchmarks.world`: what a gateway of the virtual world carries. All parts in one run, subjects in turn."""

import argparse
import json
import signal
import sys
import time
from typing import Any, Final

from benchmarks.__main__ import machine
from benchmarks.world import report
from benchmarks.world.attack import attack
from benchmarks.world.browser import BrowserMissing, browser
from benchmarks.world.colyseus import install
from benchmarks.world.directory import directory
from benchmarks.world.endurance import endurance
from benchmarks.world.movement import movement
from benchmarks.world.talk import talk
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import CHECKOUT, Settings

HOME: Final = CHECKOUT / "var" / "bench-world"
PARTS: Final = ("movement", "talk", "attack", "endurance", "directory", "browser")
GATEWAYS: Final = (5, 10, 15, 20, 40)
STARTED: Final = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", flush=True)


def measure(part: str, arguments: argparse.Namespace) -> Any:
    """Measure one part."""
    rounds, seconds = arguments.rounds, arguments.seconds
    if part == "movement":
        with_colyseus = not arguments.without_colyseus and install(say)
        return movement(HOME, arguments.players, seconds, rounds, say, with_colyseus=with_colyseus)
    settings = Settings(home=HOME / "stack", ports={"offset": arguments.offset}, stack={"min_memory_mb": 1000})
    if part == "talk":
        return talk(settings, HOME, players=20, seconds=arguments.talk_seconds, count=arguments.drops, say=say)
    if part == "attack":
        return attack(HOME, arguments.others, arguments.attack_seconds, rounds, say)
    if part == "endurance":
        return endurance(settings, HOME, arguments.others, arguments.minutes, say)
    if part == "browser":
        return _browser(arguments)
    return directory(report.WORLD, GATEWAYS)


def _browser(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return None where there is no browser, so that the other parts are still measured."""
    try:
        return browser(HOME, arguments.seconds, arguments.rounds, say, stack_at_rest=arguments.stack_at_rest)
    except BrowserMissing as error:
        say(f"the browser is not measured: {error}")
        return None


def main() -> None:
    """Measure, and write ``var/bench-world/report.json``, ``report.md`` and ``report.png`` after each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", "--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--players", nargs="+", type=int, default=[100, 300, 1000], help="numbers of walking players")
    parser.add_argument("--seconds", type=float, default=10, help="duration of each measurement of walking players")
    parser.add_argument("--rounds", type=int, default=3, help="number of repetitions; the report shows medians")
    parser.add_argument("--without-colyseus", action="store_true", help="measure the gateway only")
    parser.add_argument("--talk-seconds", type=float, default=60, help="duration of the measurement of answers")
    parser.add_argument("--drops", type=int, default=200, help="number of lost connections")
    parser.add_argument("--others", type=int, default=100, help="players beside a hostile client, and in the long run")
    parser.add_argument("--attack-seconds", type=float, default=60, help="duration of each attack")
    parser.add_argument("--minutes", type=float, default=30, help="duration of the long run")
    parser.add_argument("--stack-at-rest", metavar="URL", help="gateway of a running stack, for the browser's part")
    parser.add_argument("--offset", type=int, default=23_000, help="offset of the broker's ports")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers end too
    HOME.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"machine": machine(), "arguments": vars(arguments)}
    with hold_lock(HOME.with_suffix(".lock"), say):
        for part in arguments.parts:
            facts[part] = measure(part, arguments)
            (HOME / "report.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
            report.write(facts, HOME)
    say(f"written: {HOME}/report.json, report.md, report.png")
    print((HOME / "report.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
