"""What the gateway answers to the operators' page, invented for tests of the page alone."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

BOTS = ["ChatbotA", "ChatbotB", "ChatbotC"]
TURN = "bot_question-1-42"
BUCKETS = 24


def both(ko: str, en: str) -> dict[str, str]:
    """Return a text in both languages."""
    return {"ko": ko, "en": en}


def panel(name: str, chart: str, ko: str, en: str, **changed: Any) -> dict[str, Any]:
    """Return the definition of a panel."""
    note = both(f"{ko}을(를) 보여 줍니다.", f"Shows: {en}.")
    base = {"id": name, "title": both(ko, en), "note": note, "chart": chart, "unit": "count", "wide": False}
    return {**base, "drill": True, **changed}


PANELS = [
    panel("turns", "bars", "대화", "Turns", wide=True),
    panel("latency", "lines", "기다린 시간", "Waiting time", unit="ms"),
    panel("fallbacks", "bars", "대신한 답", "Fallbacks"),
    panel("share", "lines", "가장 가까운 답의 비율", "Share of nearest answers", unit="share", drill=False),
    panel("thumbs", "table", "버전별 평가", "Thumbs by version"),
    panel("questions", "table", "많이 묻는 말", "Top questions"),
    panel("dead", "table", "데드 레터", "Dead letters", drill=False),
    panel("drift", "numbers", "길이와 모르는 토큰", "Length and unknown tokens", drill=False),
    panel("nothing", "lines", "없는 것", "Nothing"),
]
DASHBOARD = {
    "panels": PANELS,
    "bots": [
        {"id": "ChatbotA", "name": both("마루", "Maru")},
        {"id": "ChatbotB", "name": both("온유", "Onyu")},
        {"id": "ChatbotC", "name": "설이"},
    ],
    "links": {"mlflow": "http://127.0.0.1:5000/", "airflow": "http://127.0.0.1:8080/"},
    "refresh_s": 30,
}
NOW = {
    "numbers": [
        {"id": "players", "title": both("플레이어", "Players"), "kind": "number", "value": 12},
        {
            "id": "turns_hour",
            "title": both("지난 1시간 대화", "Turns in the last hour"),
            "kind": "number",
            "value": 1234,
        },
        {"id": "wait", "title": both("기다린 시간", "Waiting time"), "kind": "ms", "value": 1510},
        {"id": "share", "title": both("모델의 답", "Model's answers"), "kind": "share", "value": 0.934},
        {"id": "lag", "title": both("색인 지연", "Index behind"), "kind": "ms", "value": 420},
    ],
}


def panel_data(name: str, start: datetime, end: datetime) -> dict[str, Any]:
    """Return the numbers of a panel."""
    return {"id": name, "took_ms": 3, **_data(name, start, end)}


def _data(name: str, start: datetime, end: datetime) -> dict[str, Any]:
    step = (end - start) / BUCKETS
    times = [(start + number * step).isoformat().replace("+00:00", "Z") for number in range(BUCKETS)]
    if name == "turns":
        return _chart(times, [_series(bot, {"bot": bot}, 20 + 9 * at) for at, bot in enumerate(BOTS)], markers=True)
    if name == "latency":
        parts = [(f"p{share}", {}, 300.0 * number) for number, share in enumerate((50, 95, 99), 1)]
        return _chart(times, [_series(*part) for part in parts], markers=True)
    if name == "fallbacks":
        codes = ("nearest", "unsure", "timeout", "safety")
        return _chart(times, [_series(code, {"outcome": code}, 9 - 2 * at) for at, code in enumerate(codes)])
    if name == "share":
        return _chart(times, [_series(bot, {"bot": bot}, 0.1 * at + 0.1) for at, bot in enumerate(BOTS)])
    return TABLES.get(name) or {"times": times, "series": [], "markers": []}


def _chart(times: list[str], series: list[dict[str, Any]], *, markers: bool = False) -> dict[str, Any]:
    marks = [(6, "ChatbotA", 3), (15, "ChatbotB", 2)] if markers else []
    found = [{"time": times[at], "bot": bot, "version": version} for at, bot, version in marks]
    return {"times": times, "series": series, "markers": found}


def _series(name: str, key: dict[str, Any], height: float) -> dict[str, Any]:
    digits = 3 if height < 1 else None
    values: list[float | None] = [round(height * (1.2 + math.sin(at / 3.7 + height)), digits) for at in range(BUCKETS)]
    values[11] = None
    return {"name": name, "key": key, "values": values}


def column(name: str, ko: str, en: str, kind: str) -> dict[str, Any]:
    """Return the definition of a column."""
    return {"id": name, "title": both(ko, en), "kind": kind}


TABLES: dict[str, dict[str, Any]] = {
    "thumbs": {
        "columns": [
            column("bot", "봇", "Bot", "text"),
            column("model_version", "버전", "Version", "number"),
            column("up", "좋아요", "Thumbs up", "share"),
            column("up-low", "아래 한계", "Lower bound", "share"),
            column("up-high", "위 한계", "Upper bound", "share"),
            column("up-count", "받은 수", "Number", "number"),
        ],
        "rows": [
            ["ChatbotA", 3, 0.9, 0.821, 0.946, 90],
            ["ChatbotA", 2, 0.645, 0.521, 0.753, 62],
            ["ChatbotB", 1, 0.75, 0.301, 0.954, 4],
        ],
        "keys": [
            {"bot": "ChatbotA", "version": 3},
            {"bot": "ChatbotA", "version": 2},
            {"bot": "ChatbotB", "version": 1},
        ],
    },
    "questions": {
        "columns": [
            column("question", "질문", "Question", "text"),
            column("turns", "횟수", "Turns", "number"),
            column("unanswered", "답 못한 비율", "Share unanswered", "share"),
            column("wait", "기다린 시간", "Waiting time", "ms"),
            column("last", "마지막", "Last", "time"),
        ],
        "rows": [
            ["거울동굴이 어디야?", 1321, 0.02, 310, "2026-11-27T10:20:30Z"],
            ["오늘 너무 힘들었는데 그냥 얘기 좀 들어줄 수 있어?", 812, 0.31, 1510, "2026-11-26T21:02:00Z"],
            ["축제는 언제 해?", 77, None, None, None],
        ],
        "keys": [{"question_key": "거울동굴이 어디야"}, {"question_key": "오늘 너무"}, {"question_key": "축제는 언제 해"}],
    },
    "dead": {
        "columns": [
            column("reason", "이유", "Reason", "text"),
            column("count", "개수", "Count", "number"),
            column("turn", "마지막 질문", "Last question", "turn"),
        ],
        "rows": [["bad_json", 4, TURN], ["too_large", 1, None]],
    },
    "drift": {"numbers": [
        {"id": "chars", "title": both("질문 글자 수", "Question's characters"), "kind": "number", "value": 14.25},
        {"id": "unknown", "title": both("모르는 토큰", "Unknown tokens"), "kind": "share", "value": 0.0031},
    ]},
}  # fmt: skip


def turns() -> dict[str, Any]:
    """Return a list of single turns."""
    row = [
        "2026-11-27T10:20:30Z",
        "ChatbotA",
        3,
        "model",
        "거울동굴이 어디야?",
        "오솔길 끝이에요. 같이 가 볼까요?",
        640,
        TURN,
    ]
    other = [
        "2026-11-27T10:19:02Z",
        "ChatbotB",
        1,
        "nearest",
        "제 번호는 <전화번호>예요",
        "잘 간직할게요.",
        90,
        "bot_question-0-7",
    ]
    return {
        "columns": [
            column("received_at", "시간", "Time", "time"), column("bot", "봇", "Bot", "text"),
            column("version", "버전", "Version", "number"), column("outcome", "출처", "Answered by", "text"),
            column("text", "질문", "Question", "text"), column("answer", "답", "Answer", "text"),
            column("latency_ms", "시간", "Took", "ms"), column("turn_id", "기록", "Record", "turn"),
        ],
        "rows": [row, other],
        "keys": [{"conversation": "s-19"}, {"conversation": "guest:하늘 #2"}],
    }  # fmt: skip


def conversation(start: datetime, count: int = 5) -> dict[str, Any]:
    """Return the first turns of a conversation from a time on; one turn a minute since 2026-11-27T10:16:30Z."""
    begin = datetime(2026, 11, 27, 10, 16, 30, tzinfo=UTC)
    said = [
        [(begin + timedelta(minutes=at)).isoformat(), BOTS[at % 2], at % 3, "nearest" if at == 1 else "model",
         f"{at}번째 질문, 제 번호는 <전화번호>예요", f"{at}번째 답이에요.", 90 + at, f"bot_question-1-{38 + at}"]
        for at in range(count)
    ]  # fmt: skip
    columns = [{**one, "id": "model_version" if one["id"] == "version" else one["id"]} for one in turns()["columns"]]
    rows = [row for row in said if datetime.fromisoformat(str(row[0])) >= start][:100]
    return {"columns": columns, "rows": rows, "keys": [{"conversation": "s-19"}] * len(rows)}


def lineage(turn: str) -> dict[str, Any]:
    """Return the record of a turn, as ``kogpt2-chat lineage TURN_ID --json`` prints it."""
    consent = {"train": True, "minor": False, "authenticated": True}
    rules = [("fit", "gold_not_worse", 2.31, 2.4, True, 2.4), ("conduct", "no_control_tokens", 0.0, 0.0, True, None),
             ("answers", "better_than_nearest", 0.41, 0.5, False, 0.39)]  # fmt: skip
    reasons = [
        {"block": block, "rule": rule, "value": value, "threshold": threshold, "passed": passed, "blocking": passed,
         "sentence": f"{rule} is {value}, bound {threshold}", "baseline": baseline}
        for block, rule, value, threshold, passed, baseline in rules
    ]  # fmt: skip
    rows = [
        {"question": "거울동굴 어디 있어?", "answer": "오솔길 끝이에요.", "kind": "correction", "topic": "place",
         "split": "train", "row_hash": "9f2c", "sources": ["bot_question-0-7"], "player_id": "guest-한글",
         "likeness": 0.912, "consent": {"asker": consent, "teacher": {**consent, "train": None}}},
        {"question": "동굴은 어디야", "answer": "호수 건너편이에요.", "kind": "seed", "topic": "place", "split": "train",
         "row_hash": "11aa", "sources": [], "player_id": None, "likeness": 0.7, "consent": {"asker": None, "teacher": None}},
    ]  # fmt: skip
    return {
        "turn": {
            "turn_id": turn, "question_id": "q-1", "bot": "ChatbotA", "player_id": "guest-7f31", "sender": "guest-7f31",
            "session_id": "s-19", "conversation": "s-19", "source": "world", "worker": "worker-1", "epoch": 3,
            "sent_at": "2026-11-27T10:20:29.900Z", "received_at": "2026-11-27T10:20:30.100Z",
            "answered_at": "2026-11-27T10:20:30.740Z", "latency_ms": 640, "question": "거울동굴이 어디야?",
            "answer": "오솔길 끝이에요. 같이 가 볼까요?", "outcome": "model", "model_version": 3, "nearest": None,
            "found_in": "conversation_log-0 at 41", "kafka_ms": 12, "queue_ms": 130, "decode_ms": 510, "return_ms": 35,
        },
        "positions": {"question": {"topic": "bot_question", "partition": 1, "offset": 42},
                      "log": {"topic": "conversation_log", "partition": 0, "offset": 41}},
        "consent": {"store": True, "train": True, "minor": False, "authenticated": True},
        "version": {"bot": "ChatbotA", "version": 3, "aliases": ["champion"], "registered_at": "2026-11-27T09:00:00Z",
                    "tags": {"licence": "Apache-2.0"}, "url": "http://127.0.0.1:5000/#/models/ChatbotA/versions/3"},
        "run": {"run_id": "0f1e2d3c4b5a", "url": "http://127.0.0.1:5000/#/experiments/1/runs/0f1e2d3c4b5a",
                "started_at": "2026-11-27T08:40:00Z", "ended_at": "2026-11-27T08:58:00Z"},
        "dataset": {"dataset": "ChatbotA-20261127-1", "created_at": "2026-11-27T08:30:00Z", "previous": "ChatbotA-20261120-1",
                    "counts": {"train": 812, "val": 40, "test": 40}, "sources": {"seed": 700, "correction": 90, "praised": 22},
                    "rejects": {"no_consent": 12, "too_short": 3}, "rules": {"v": 4}, "new_pairs": 31,
                    "withdrawn_pairs": 2, "seeds_superseded": 5, "distrusted": {"players": 1, "turns": 0}},
        "gate": {"result": "pass", "summary": "all rules hold", "baseline": "ChatbotA v2", "profile": "default",
                 "url": "http://127.0.0.1:5000/decision.html",
                 "blocks": [{"block": "fit", "passed": True}], "reasons": reasons},
        "nearest_rows": rows,
        "learned_by": [{"bot": "ChatbotA", "version": 4, "aliases": ["candidate"], "dataset": "ChatbotA-20261128-1",
                        "how": "dataset", "gate": ""}],
        "notes": ["the run's log was deleted"],
    }  # fmt: skip


def explanation() -> dict[str, Any]:
    """Return a replay, as ``kogpt2-chat explain TURN_ID --json`` prints it."""

    def choice(token: int, piece: str, probability: float) -> dict[str, Any]:
        return {"token_id": token, "piece": piece, "probability": probability}

    steps = [
        {"number": 1, "chosen": choice(1, " 오", 0.8), "choices": [choice(1, " 오", 0.8), choice(2, " 호", 0.1)],
         "stored": choice(1, " 오", 0.8)},
        {"number": 2, "chosen": choice(3, "솔길", 0.5), "choices": [choice(3, "솔길", 0.5), choice(4, "늘", 0.4)],
         "stored": choice(4, "늘", 0.4)},
    ]  # fmt: skip
    difference = {"step": 2, "stored": choice(4, "늘", 0.4), "replayed": choice(3, "솔길", 0.5), "margin": 0.1}
    replay = {"max_new_tokens": 40, "stop_reason": "end", "answer": "오솔길", "steps": steps, "verdict": "differs",
              "compared": 2, "difference": difference}  # fmt: skip
    return {"exact_prompt": True, "prompt": [], "replay": replay, "changes": [], "notes": ["rounding may explain it"]}
