"""The report: medians of the rounds, a comparison with the targets, what carries 10,000 players, and a plot."""

import math
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.world.attack import NOBODY
from benchmarks.world.browser import CARD, SOFTWARE
from benchmarks.world.movement import COLYSEUS, GATEWAY

WORLD: Final = 10_000
AVATARS: Final = 20
"""In the browser's picture, without a stack beside it."""
HEADROOM: Final = 0.6
"""Share of a core that a gateway may use, so that a busy moment does not delay its ticks."""
FIGURES: Final = (
    "cpu_share", "load_cpu_share", "updates_per_s", "bytes_per_s", "p50_ms", "p95_ms", "p99_ms", "rss_mb", "empty_mb",
    "load_average",
)  # fmt: skip
Rows = list[dict[str, Any]]
Target = tuple[str, float, float]


def medians(rows: Rows) -> dict[tuple[str, int], dict[str, float]]:
    """Return the medians by subject and number of players, with the CPU time per player and update."""
    grouped: dict[tuple[str, int], Rows] = defaultdict(list)
    for row in rows:
        grouped[row["subject"], row["players"]].append(row)
    return {
        key: {
            **{name: median(row.get(name, math.nan) for row in found) for name in FIGURES},
            "us_per_update": median(
                row["cpu_share"] / row["updates_per_s"] / row["players"] * 1e6 if row["updates_per_s"] else math.nan
                for row in found
            ),
        }
        for key, found in grouped.items()
    }


def targets(facts: dict[str, Any]) -> list[Target]:
    """Return what was measured, with the most that it may be."""
    found = medians(facts.get("movement", []))
    lines: list[Target] = []
    if small := found.get((GATEWAY, 300)):
        lines += [("300 players: share of a core", small["cpu_share"], 0.25),
                  ("300 players: echo p95, ms", small["p95_ms"], 80)]  # fmt: skip
    if large := found.get((GATEWAY, 1000)):
        lines.append(("1,000 players: share of a core", large["cpu_share"], 0.6))
        if peer := found.get((COLYSEUS, 1000)):
            ratio = large["us_per_update"] / peer["us_per_update"]
            lines.append(("1,000 players: CPU time per update / Colyseus", ratio, 2))
    if talk := facts.get("talk"):
        drops = talk["drops"]
        lines += [("question to answer through Kafka: p95, ms", talk["p95_ms"], 100),
                  (f"{drops['drops']} drops: answers lost", drops["lost"], 0),
                  (f"{drops['drops']} drops: answers shown twice", drops["shown_twice"], 0)]  # fmt: skip
    if rows := facts.get("attack"):
        alone = median(row["p95_ms"] for row in rows if row["attack"] == NOBODY)
        for name in sorted({row["attack"] for row in rows} - {NOBODY}):
            ratio = median(row["p95_ms"] for row in rows if row["attack"] == name) / alone
            lines.append((f"hostile client, {name}: echo p95 of the others / without", ratio, 2))
    if long := facts.get("endurance"):
        lines.append(
            (f"{long['minutes']:g} minutes: growth of memory, share", long["last_mb"] / long["first_mb"] - 1, 0.05)
        )
    if page := facts.get("browser"):
        lines += _browser_targets(page)
    return lines


def _browser_targets(page: dict[str, Any]) -> list[Target]:
    lines: list[Target] = []
    for drawing in (SOFTWARE, CARD):
        is_own = page[drawing]["avatars"] >= AVATARS
        lines += [
            (f"browser, {drawing}: first picture, s", page[drawing]["picture_ms"] / 1000, 1.5 if is_own else 3),
            (f"browser, {drawing}: time per frame, ms", 1000 / page[drawing]["fps"], 1000 / (45 if is_own else 25)),
            (f"browser, {drawing}: draw calls", page[drawing]["draw_calls"], 150),
        ]
    return [*lines, ("browser: JavaScript, kB compressed", sum(page["javascript_kb"].values()), 190)]


def _browser(page: dict[str, Any] | None) -> list[str]:
    if not page:
        return []
    scripts = ", ".join(f"{name} {size:.0f}" for name, size in page["javascript_kb"].items())
    return [
        (
            f"The browser at {page['at']}, 640 x 360, low preset; medians of {len(page[SOFTWARE]['rounds'])}. "
            f"JavaScript, compressed, kB: {scripts}."
        ),
        "",
        (
            "| drawing | door s | first picture s | frames/s | p95 frame ms | avatars | draw calls | triangles | "
            "heap MB | CPU ms per frame: drawing, page | load average |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_browser_row(drawing, page[drawing]) for drawing in (SOFTWARE, CARD)),
    ]


def _browser_row(drawing: str, row: dict[str, Any]) -> str:
    return (
        f"| {drawing} | {row['door_ms'] / 1000:.2f} | {row['picture_ms'] / 1000:.2f} | {row['fps']:.1f} | "
        f"{row['p95_frame_ms']:.0f} | {row['avatars']:.0f} | {row['draw_calls']:.0f} | {row['triangles']:.0f} | "
        f"{row['heap_mb']:.1f} | {row['gpu_ms_per_frame']:.1f}, {row['page_ms_per_frame']:.1f} | "
        f"{row['load_average']:.1f} |"
    )


def gateways_for(facts: dict[str, Any]) -> list[str]:
    """Return sentences that say how many gateways carry the whole world."""
    found = medians(facts.get("movement", []))
    counts = [players for subject, players in found if subject == GATEWAY]
    if not counts:
        return []
    most = max(counts)
    row = found[GATEWAY, most]
    per_thousand = row["us_per_update"] * 15 * 1000 / 1e6
    each = int(HEADROOM / per_thousand * 1000)
    memory_kb = (row["rss_mb"] - row["empty_mb"]) * 1024 / most
    return [
        (
            f"With {most} players, 1,000 players cost {per_thousand:.0%} of a core at full rate; {memory_kb:.0f} kB of "
            f"memory and {row['bytes_per_s'] / 1000:.2f} kB/s per player."
        ),
        (
            f"At {HEADROOM:.0%} of a core, a gateway carries {each} players, all of whom walk: "
            f"{math.ceil(WORLD / each)} gateways carry {WORLD:,}."
        ),
    ]


def write(facts: dict[str, Any], folder: Path) -> None:
    """Write ``report.md`` and ``report.png``."""
    machine = facts["machine"]
    lines = [
        (
            f"{machine['processor']}, {machine['cores']} cores, commit {machine['commit']}; load average before the "
            f"run {machine['load_before']:.1f}; medians. The echo is p50/p95/p99; the load's CPU time is that of the "
            "players."
        ),
        "",
        *_movement(medians(facts.get("movement", []))),
        "",
        "| figure | measured | at most | met |",
        "|---|---|---|---|",
        *(f"| {what} | {value:.2f} | {most:g} | {'yes' if value <= most else '**no**'} |"
          for what, value, most in targets(facts)),
        "",
        *gateways_for(facts),
        "",
        *_endurance(facts.get("endurance")),
        "",
        *_directory(facts.get("directory", [])),
        "",
        *_browser(facts.get("browser")),
    ]  # fmt: skip
    (folder / "report.md").write_text("\n".join(lines) + "\n", "utf-8")
    _plot(facts, folder / "report.png")


def _movement(found: dict[tuple[str, int], dict[str, float]]) -> list[str]:
    lines = [
        "| server | players | % of a core | us per update | updates/s | echo ms | RSS MB | load, % | load average |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (subject, players), row in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        echoes = "/".join(f"{row[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
        lines.append(
            f"| {subject} | {players} | {row['cpu_share']:.0%} | {row['us_per_update']:.1f} | "
            f"{row['updates_per_s']:.1f} | {echoes} | {row['rss_mb']:.0f} | {row['load_cpu_share']:.0%} | "
            f"{row['load_average']:.1f} |"
        )
    return lines


def _endurance(long: dict[str, Any] | None) -> list[str]:
    if long is None:
        return []
    done = ", ".join(f"{count} {what}" for what, count in long["done"].items())
    return [
        (
            f"{long['players']} players who live in the world for {long['minutes']:g} minutes: "
            f"{long['first_mb']:.1f} MB -> {long['last_mb']:.1f} MB, {long['kb_per_hour']:+.0f} kB per hour in the "
            f"last two thirds; {done}; {long['lost']} connections lost."
        )
    ]


def _directory(rows: Rows) -> list[str]:
    if not rows:
        return []
    return [
        "| gateways | players | state, bytes | kB/s | read, ms | claim, ms | % of a core | list of rooms, bytes |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {row['gateways']} | {row['players']} | {row['state_bytes']} | {row['bytes_per_s'] / 1000:.0f} | "
          f"{row['read_state_ms']:.2f} | {row['claim_ms']:.4f} | {row['cpu_share']:.1%} | {row['room_list_bytes']} |"
          for row in rows),
    ]  # fmt: skip


def _plot(facts: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    found = medians(facts.get("movement", []))
    figure = Figure(figsize=(12, 4))
    cpu, echo, memory = figure.subplots(1, 3)
    for subject in sorted({subject for subject, _ in found}):
        players = sorted(players for name, players in found if name == subject)
        cpu.plot(players, [found[subject, count]["cpu_share"] * 100 for count in players], marker="o", label=subject)
        echo.plot(players, [found[subject, count]["p95_ms"] for count in players], marker="o", label=subject)
    cpu.set(xlabel="players", ylabel="% of a core", ylim=(0, None), title="CPU")
    echo.set(xlabel="players", ylabel="p95, ms", ylim=(0, None), title="own echo")
    samples = facts.get("endurance", {}).get("samples", [])
    memory.plot([at_s / 60 for at_s, _ in samples], [used for _, used in samples])
    memory.set(xlabel="minutes", ylabel="RSS, MB", ylim=(0, None), title="memory")
    if found:
        cpu.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")
