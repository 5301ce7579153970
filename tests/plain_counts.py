"""What the panels of the dashboard show, counted over the same events in plain Python, without any of their code."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.testing.history import DeadLetterEvent, Event, FeedbackEvent, SafetyEvent, TurnEvent

UNANSWERED = ("timeout", "empty", "degraded", "muted")
SEOUL = ZoneInfo("Asia/Seoul")
Row = dict[str, Any]
Rows = list[Row]
Numbers = dict[tuple[Any, ...], Any]
"""The numbers of a panel: by the values of its splits, the beginning of the interval or None, and the number's id."""

THUMBS = ("up", "down")


class Counts:
    """Counts over the events of a period, of one bot or all."""

    def __init__(self, events: Iterable[Event], start: datetime, end: datetime, bot: str | None, hours: int) -> None:
        events = list(events)
        self.hours = hours
        inside = lambda at: start <= at < end  # noqa: E731
        of_bot = lambda row: bot in (None, row.get("bot"))  # noqa: E731
        turns = [turn_of(event) for event in events if isinstance(event, TurnEvent)]
        self.turns = [row for row in turns if inside(row["at"]) and of_bot(row)]
        last = {
            (event.row["turn_id"], event.row["player_id"], sort_of(event.row)): feedback_of(event)
            for event in events
            if isinstance(event, FeedbackEvent)
        }
        self.feedback = [row for row in last.values() if inside(row["at"]) and of_bot(row)]
        letters = [letter_of(event) for event in events if isinstance(event, DeadLetterEvent)]
        self.letters = [row for row in letters if inside(row["at"]) and of_bot(row)]
        safety = {}
        for event in events:
            if isinstance(event, SafetyEvent):
                at = datetime.fromisoformat(str(event.document["hour"]))
                safety[event.document["log_partition"], at, event.document["bot"]] = {**event.document, "at": at}
        self.safety = [row for row in safety.values() if inside(row["at"]) and of_bot(row)]

    def numbers(self, panel: str) -> Numbers:
        return getattr(self, f"_{panel}")()

    def _begin(self, at: datetime, hours: int) -> datetime:
        local = at.astimezone(SEOUL)
        return local.replace(hour=local.hour // hours * hours if hours < 24 else 0, minute=0, second=0, microsecond=0)

    def _over_time(
        self, rows: Rows, split: Callable[[Row], Iterable[tuple]], hours: int = 0, **numbers: Any
    ) -> Numbers:
        groups: dict[tuple, Rows] = defaultdict(list)
        for row in rows:
            for key in split(row):
                groups[(*key, self._begin(row["at"], hours or self.hours))].append(row)
        return _numbers(groups, numbers)

    def _table(self, rows: Rows, split: Callable[[Row], Iterable[tuple]], **numbers: Any) -> Numbers:
        groups: dict[tuple, Rows] = defaultdict(list)
        for row in rows:
            for key in split(row):
                groups[*key, None].append(row)
        return _numbers(groups, numbers)

    def _overview(self) -> Numbers:
        return _numbers(
            {(None,): self.turns},
            {
                "turns": len, "conversations": distinct("conversation"), "players": distinct("player_id"),
                "unanswered": share(UNANSWERED), "nearest": share(["nearest"]),
                "latency-p50": percentile("latency_ms", 50), "latency-p95": percentile("latency_ms", 95),
                "last": lambda rows: max(row["at"] for row in rows),
            },
        )  # fmt: skip

    def _turns(self) -> Numbers:
        return self._over_time(self.turns, by_version, turns=len)

    def _conversations(self) -> Numbers:
        return self._over_time(self.turns, by_bot, conversations=distinct("conversation"))

    def _players(self) -> Numbers:
        return self._over_time(self.turns, by_bot, players=distinct("player_id"))

    def _latency(self) -> Numbers:
        numbers = {f"latency-p{percent}": percentile("latency_ms", percent) for percent in (50, 95, 99)}
        return self._over_time(self.turns, lambda _: [()], **numbers)

    def _waiting(self) -> Numbers:
        parts = ("kafka", "queue", "decode", "return")
        return self._over_time(
            self.turns, lambda _: [()], **{f"{part}-p95": percentile(f"{part}_ms", 95) for part in parts}
        )

    def _waits(self) -> Numbers:
        numbers = {
            f"{part}-p{percent}": percentile(f"{part}_ms", percent)
            for part in ("kafka", "queue", "decode", "return", "latency")
            for percent in (50, 95, 99)
        }
        return self._table(self.turns, by_bot, **numbers)

    def _unanswered_share(self) -> Numbers:
        return self._over_time(self.turns, by_bot, share=share(UNANSWERED))

    def _fallbacks(self) -> Numbers:
        others = [row for row in self.turns if row["fallback"] is not None]
        return self._over_time(others, lambda row: [(row["fallback"],)], turns=len)

    def _crisis(self) -> Numbers:
        return self._over_time(self.safety, by_bot, turns=lambda rows: sum(row["count"] for row in rows))

    def _unanswered(self) -> Numbers:
        rows = sorted((row for row in self.turns if row["fallback"] in UNANSWERED), key=lambda row: row["at"])
        return {(place, "turn_id"): row["turn_id"] for place, row in enumerate(rows[::-1][:20])}

    def _faults(self) -> Numbers:
        return self._over_time(self.turns, lambda row: [(row["fault"],)] if row["fault"] else [], turns=len)

    def _thumbs(self) -> Numbers:
        known = [row for row in self.feedback if row["kind"] in ("up", "down") and "bot" in row]
        ups = lambda rows: sum(row["kind"] == "up" for row in rows)  # noqa: E731
        return self._table(
            known,
            lambda row: [(row["bot"], row["model_version"])],
            **{
                "up": lambda rows: ups(rows) / len(rows), "up-count": len,
                "up-low": lambda rows: wilson_bounds(ups(rows), len(rows))[0],
                "up-high": lambda rows: wilson_bounds(ups(rows), len(rows))[1],
            },
        )  # fmt: skip

    def _feedback(self) -> Numbers:
        return self._over_time(self.feedback, lambda row: [(row["kind"],)], feedback=len)

    def _versions(self) -> Numbers:
        return self._table(
            self.turns,
            lambda row: [(row["bot"], row["model_version"])],
            **{
                "turns": len, "conversations": distinct("conversation"),
                "own": share([None]), "nearest": share(["nearest"]), "unanswered": share(UNANSWERED),
                "faulty": lambda rows: sum(row["fault"] is not None for row in rows) / len(rows),
                "length": lambda rows: fmean(len(row["answer"]) for row in rows),
                "latency-p50": percentile("latency_ms", 50), "latency-p95": percentile("latency_ms", 95),
            },
        )  # fmt: skip

    def _top_questions(self, rows: Rows | None = None) -> Numbers:
        newest = lambda rows: max(rows, key=lambda row: row["at"])  # noqa: E731
        groups: dict[str, Rows] = defaultdict(list)
        for row in self.turns if rows is None else rows:
            groups[phrase_key(row["text"])].append(row)
        top = sorted(groups, key=lambda key: (-len(groups[key]), key))[:20]
        numbers = {
            "example": lambda rows: newest(rows)["text"], "turns": len, "last": lambda rows: newest(rows)["at"],
        }  # fmt: skip
        return _numbers({(key, None): groups[key] for key in top}, numbers)

    def _top_unanswered(self) -> Numbers:
        return self._top_questions([row for row in self.turns if row["fallback"] in (*UNANSWERED, "unsure")])

    def _nearest(self) -> Numbers:
        return self._over_time(self.turns, by_bot, share=share(["nearest"]))

    def _likeness(self) -> Numbers:
        rows = [row for row in self.turns if row["fallback"] == "nearest"]
        return self._over_time(rows, by_bot, likeness=lambda rows: fmean(row["likeness"] for row in rows))

    def _question_length(self) -> Numbers:
        mean = lambda rows: fmean(len(row["text"]) for row in rows)  # noqa: E731
        return self._over_time(self.turns, by_bot, 24, characters=mean)

    def _unknown_tokens(self) -> Numbers:
        rows = [row for row in self.turns if row["unknown_tokens"] is not None]
        ratio = lambda rows: total("unknown_tokens")(rows) / total("prompt_tokens")(rows)  # noqa: E731
        return self._over_time(rows, by_bot, 24, share=ratio)

    def _tokens(self) -> Numbers:
        written = lambda rows: sum(len(row["answer_token_ids"]) for row in rows) / self.hours  # noqa: E731
        return self._over_time(self.turns, by_bot, tokens=written)

    def _speed(self) -> Numbers:
        rows = [row for row in self.turns if row["decode_ms"] is not None]
        tokens = lambda rows: sum(len(row["answer_token_ids"]) for row in rows)  # noqa: E731
        return self._over_time(rows, by_bot, speed=lambda rows: 1000 * tokens(rows) / total("decode_ms")(rows))

    def _masked(self) -> Numbers:
        return self._over_time(self.turns, by_bot, hits=total("pii_hits"))

    def _dead_letters(self) -> Numbers:
        return self._over_time(self.letters, lambda row: [(row["reason"],)], letters=len)

    def _dead_letter_sizes(self) -> Numbers:
        return self._table(
            self.letters,
            lambda row: [(row["reason"],)],
            letters=len,
            mean=lambda rows: fmean(row["size"] for row in rows),
            largest=lambda rows: max(row["size"] for row in rows),
            last=lambda rows: max(row["at"] for row in rows),
        )


def turn_of(event: TurnEvent) -> Row:
    import json

    row = dict(event.row)
    nearest = json.loads(row["decoding"]).get("nearest", {})
    logged = row["logged_at"]
    return row | {
        "at": row["received_at"],
        "fault": event.fault,
        "conversation": row["session_id"] or row["player_id"],
        "likeness": nearest.get("likeness"),
        "return_ms": None if logged is None else (logged - row["answered_at"]) / timedelta(milliseconds=1),
    }


def sort_of(feedback: Row) -> object:
    """Of each sort, the last feedback of a player on a turn counts."""
    return "thumb" if feedback["kind"] in THUMBS else feedback["kind"]


def feedback_of(event: FeedbackEvent) -> Row:
    of_turn = {name: event.turn[name] for name in ("bot", "model_version")} if event.turn else {}
    return {**event.row, **of_turn, "at": event.row["received_at"]}


def letter_of(event: DeadLetterEvent) -> Row:
    import json

    at = datetime.fromtimestamp(event.timestamp_ms / 1000, SEOUL)
    named = {"bot": json.loads(event.value)["bot"]} if event.value.startswith(b"{") else {}
    return {"at": at, "reason": event.headers["reason"], "size": len(event.value), **named}


def by_bot(row: Row) -> list[tuple]:
    return [(row["bot"],)] if "bot" in row else []


def by_version(row: Row) -> list[tuple]:
    return [(row["bot"], row["model_version"])]


def distinct(name: str) -> Callable[[Rows], int]:
    return lambda rows: len({row[name] for row in rows})


def total(name: str) -> Callable[[Rows], float]:
    return lambda rows: sum(row[name] for row in rows)


def share(fallbacks: Iterable[str | None]) -> Callable[[Rows], float]:
    wanted = set(fallbacks)
    return lambda rows: sum(row["fallback"] in wanted for row in rows) / len(rows)


class Near(float):
    """A percentile: equal to what is within 1 %, the precision of the search server's histograms, and 1 ms."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and abs(other - float(self)) <= 0.01 * float(self) + 1

    __hash__ = float.__hash__


def percentile(name: str, percent: int) -> Callable[[Rows], Near | None]:
    def found(rows: Rows) -> Near | None:
        values = sorted(row[name] for row in rows if row[name] is not None)
        rank = max(1, int(percent / 100 * len(values) + 0.5))  # the nearest rank
        return Near(values[rank - 1]) if values else None

    return found


def wilson_bounds(positive: int, count: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(positive, count).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def _numbers(groups: dict[tuple, Rows], numbers: dict[str, Callable[[Rows], Any]]) -> Numbers:
    return {(*key, name): count(rows) for key, rows in groups.items() for name, count in numbers.items() if rows}
