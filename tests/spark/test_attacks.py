"""Attacks by a few players who try to manipulate a bot with feedback, on the real Spark transforms."""

import json
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from kogpt2_chat.domain.chat.players import player_key
from tests.dataset_rules import rules_with
from tests.spark.lake_rows import FREE, NOW, OLD, entry, examined, kept, mark, reasons, turn

pytestmark = pytest.mark.slow

STRICT = rules_with(assumed_consent=True)
LATER, LATEST = OLD + timedelta(hours=1), OLD + timedelta(hours=2)
SYLLABLES = [first + second for first, second in product("가나다라마바사아자차카타파하", "강논달람밤")]


def words(count: int) -> list[str]:
    """Return distinct made-up Korean words."""
    return [f"{first}{second}" for first, second in product(SYLLABLES, SYLLABLES)][:count]


def test_two_players_cannot_replace_a_hundred_seed_answers(spark: Any) -> None:
    """Corrections that a cap rejects do not replace seeds: every seed question keeps an answer."""
    seeds = [(f"{word} 이야기 해 줘", f"{word} 이야기를 들려줄게요.") for word in words(100)]
    turns = [turn(f"t{n:03}", question, answer) for n, (question, answer) in enumerate(seeds)]
    poison = [
        mark(f"t{n:03}", "correction", troll, "저리 가서 놀아요.")
        for n in range(100)
        for troll in ("트롤하나", "트롤둘")
    ]
    frame = examined(spark, seeds=seeds, turns=turns, feedback=poison, rules=STRICT).cache()

    answers = kept(frame)
    assert set(answers) == {question for question, _ in seeds}
    assert all(len(found) == 1 for found in answers.values())
    superseded = frame.where("source = 'seed' and reason = 'superseded'").count()
    assert superseded == frame.where("source = 'correction' and reason is null").count()
    assert superseded <= rules_with().rows_per_phrase


def test_a_correction_that_a_cap_rejects_does_not_replace_its_seed(spark: Any) -> None:
    """A correction rejected by the minimum share of seeds does not supersede the seed of its question."""
    seeds = [(f"{word} 이야기 해 줘", f"{word} 이야기를 들려줄게요.") for word in words(8)]
    turns = [turn(f"t{n}", question, answer) for n, (question, answer) in enumerate(seeds[:4])]
    taught = [mark(f"t{n}", "correction", f"p{n}", f"{word} 노래가 더 좋아요.") for n, word in enumerate(words(4))]
    rules = rules_with(auto_review=True, assumed_consent=True, seed_share=0.5, new_pair_weight=4)

    frame = examined(spark, seeds=seeds, turns=turns, feedback=taught, rules=rules).cache()

    assert frame.where("source = 'correction' and reason is null").count() == 1
    assert set(kept(frame)) == {question for question, _ in seeds}


def test_a_correction_whose_answer_is_in_the_gold_set_does_not_replace_its_seed(spark: Any) -> None:
    """The gold set's rule rejects the correction before it can supersede the seed."""
    frame = examined(
        spark,
        seeds=[("이름이 뭐야?", "저는 돌이예요.")],
        gold=["금색대답"],
        turns=[turn("t1", "이름이 뭐야", "몰라요.")],
        feedback=[mark("t1", "correction", text="금색 대답")],
    )
    assert reasons(frame)["seed", "저는 돌이예요."] is None


def test_a_newer_correction_with_the_seeds_answer_restores_the_seed(spark: Any) -> None:
    """Two trolls replace the seed's answer; then two players correct it back, and the seed's answer is the newest."""
    turns = [turn(f"t{n}", "이름이 뭐야", "저는 돌이예요.") for n in range(2)]
    troll = [mark("t0", "correction", name, "이름 같은 건 없어요.") for name in ("트롤하나", "트롤둘")]
    honest = [mark("t1", "correction", name, "저는 돌이예요.", received_at=LATER) for name in ("하늘", "민트초코")]
    seeds = [("이름이 뭐야?", "저는 돌이예요.")]

    rules = rules_with(assumed_consent=True, seed_share=0)

    assert kept(examined(spark, seeds=seeds, turns=turns, feedback=troll, rules=rules)) == {
        "이름이 뭐야": {"이름 같은 건 없어요."}
    }
    after = examined(spark, seeds=seeds, turns=turns, feedback=troll + honest, rules=rules)
    assert kept(after) == {"이름이 뭐야?": {"저는 돌이예요."}}


def test_the_newest_time_of_an_answer_counts(spark: Any) -> None:
    """After one answer, another one, and the first again, the first answer wins."""
    turns = [turn(f"t{n}", "축제가 언제야?", "몰라요.") for n in range(3)]
    corrections = [
        ("t0", "토요일 저녁이에요.", OLD),
        ("t1", "일요일 아침이에요.", LATER),
        ("t2", "토요일 저녁이에요.", LATEST),
    ]
    feedback = [mark(turn_id, "correction", text=text, received_at=at) for turn_id, text, at in corrections]

    assert kept(examined(spark, turns=turns, feedback=feedback)) == {"축제가 언제야?": {"토요일 저녁이에요."}}


def test_two_spellings_of_a_name_are_one_player(spark: Any) -> None:
    """`legacy:민수`, `민수` and the name with an invisible character do not count as several agreeing players."""
    turns = [turn(f"t{n}", "축제가 언제야?", "몰라요.") for n in range(3)]
    names = ("민수", "legacy:민수", "민\u200b수")
    feedback = [mark(f"t{n}", "correction", name, "없어진 지 오래예요.") for n, name in enumerate(names)]

    frame = examined(spark, turns=turns, feedback=feedback, rules=STRICT)
    assert {row["reason"] for row in frame.where("source = 'correction'").collect()} == {"needs_review"}
    one_more = [*feedback, mark("t0", "correction", "하늘", "없어진 지 오래예요.")]
    assert kept(examined(spark, turns=turns, feedback=one_more, rules=rules_with(assumed_consent=True, seed_share=0)))


def test_only_eligible_corrections_count_as_agreement(spark: Any) -> None:
    """A correction below the minimum age, or on a turn without consent, does not count as a second player."""
    turns = [
        turn("t0", "축제가 언제야?", "몰라요."),
        turn("t1", "축제가 언제야?", "몰라요."),
        turn("t2", "축제가 언제야?", "몰라요.", player_id="player-2", consent_train=False),
    ]
    feedback = [
        mark("t0", "correction", "하늘", "없어진 지 오래예요."),
        mark("t1", "correction", "트롤둘", "없어진 지 오래예요.", received_at=NOW - timedelta(minutes=1)),
        mark("t2", "correction", "트롤셋", "없어진 지 오래예요."),
    ]
    found = {
        row["player_id"]: row["reason"]
        for row in examined(spark, turns=turns, feedback=feedback, rules=STRICT)
        .where("source = 'correction'")
        .collect()
    }
    assert found == {"하늘": "needs_review", "트롤둘": "quarantine", "트롤셋": "no_consent"}


@pytest.mark.parametrize("assumed", [True, False])
def test_a_correction_needs_its_authors_consent(spark: Any, assumed: bool) -> None:
    """The correction's own consent counts, else the author's newest turn, else what the deployment assumes."""
    authors = {  # the correction's consent, the consent of the author's turn with another bot, the expected reason
        "가람": (False, True, "no_consent"),
        "나래": (True, False, None),
        "다솜": (None, False, "no_consent"),
        "라온": (None, True, None),
        "마루": (None, None, None if assumed else "no_consent"),
    }
    turns, feedback = [], []
    for n, (author, (consent, own_turns, _)) in enumerate(authors.items()):
        turns.append(turn(f"t{n}", f"{author} 축제가 언제야?", "몰라요.", player_id="하늘"))
        feedback.append(
            mark(f"t{n}", "correction", author, f"{author} 축제예요.", extra=json.dumps({"consent_train": consent}))
        )
        if own_turns is not None:
            own = {"player_id": f"legacy:{author}", "bot": "ChatbotB", "consent_train": own_turns}
            turns.append(turn(f"o{n}", "안녕", "네.", **own))
    rules = rules_with(auto_review=True, seed_share=0, assumed_consent=assumed)

    rows = examined(spark, turns=turns, feedback=feedback, rules=rules).where("source = 'correction'").collect()
    assert {row["player_id"]: row["reason"] for row in rows} == {name: reason for name, (*_, reason) in authors.items()}


def test_one_praising_player_cannot_teach_two_hundred_answers(spark: Any) -> None:
    """The cap per player also limits praise of other players' turns; an answer praised by another player stays."""
    turns = [
        turn(f"t{n:03}", f"{word} 이야기 해 줘", f"{word} 이야기를 들려줄게요.", player_id=f"asker-{n}")
        for n, word in enumerate(words(200))
    ]
    praise = [mark(f"t{n:03}", "up", "legacy:엄지" if n % 2 else "엄지") for n in range(200)]
    honest = [mark("t000", "up", "하늘")]
    older = [dict(row, received_at=OLD + timedelta(seconds=n)) for n, row in enumerate(praise)]

    frame = examined(spark, turns=turns, feedback=older + honest).cache()
    assert frame.where("reason is null").count() == FREE.rows_per_player + 1
    assert frame.where("reason = 'praiser_cap'").count() == 200 - FREE.rows_per_player - 1
    assert "가강가강 이야기 해 줘" in kept(frame)


def test_praise_never_replaces_a_seed_or_a_correction(spark: Any) -> None:
    """A question has one answer: seeds and corrections outrank praise; of praised answers the most praised one wins."""
    turns = [
        turn("t0", "이름이 뭐야?", "이름은 비밀이에요."),
        turn("t1", "축제가 언제야?", "축제는 끝났어요.", player_id="p1"),
        turn("t2", "축제가 언제야?", "축제가 뭐예요.", player_id="p2"),
        turn("t3", "뭐 해?", "노래를 듣고 있어요."),
        turn("t4", "뭐 해?", "잠을 자고 있어요."),
    ]
    feedback = [
        *(mark(f"t{n}", "up", "하늘") for n in (0, 1, 3, 4)),
        mark("t2", "correction", "하늘", "토요일 저녁이에요."),
        mark("t3", "up", "민트초코"),
        mark("t4", "up", "하늘", received_at=LATER),
    ]
    frame = examined(spark, seeds=[("이름이 뭐야", "저는 돌이예요.")], turns=turns, feedback=feedback)
    assert reasons(frame) == {
        ("seed", "저는 돌이예요."): None,
        ("praised", "이름은 비밀이에요."): "superseded",
        ("praised", "축제는 끝났어요."): "superseded",
        ("praised", "축제가 뭐예요."): "disliked",
        ("correction", "토요일 저녁이에요."): None,
        ("praised", "노래를 듣고 있어요."): None,
        ("praised", "잠을 자고 있어요."): "superseded",
    }


def test_superseded_rows_do_not_use_up_a_cap(spark: Any) -> None:
    """If a player changes a correction, the earlier versions count last, so that the player's other lessons stay."""
    questions = ["축제가 언제야?", "뭐 해?"]
    turns = [turn(f"t{n}{q}", question, "몰라요.") for n in range(3) for q, question in enumerate(questions)]
    feedback = [mark("t01", "correction", text="노래를 듣고 있어요.")] + [
        mark(f"t{n}0", "correction", text=f"{word} 저녁이에요.", received_at=LATER + timedelta(minutes=n))
        for n, word in enumerate(("목요일", "금요일", "토요일"))
    ]
    rules = rules_with(auto_review=True, seed_share=0, rows_per_player=2, assumed_consent=True)

    assert kept(examined(spark, turns=turns, feedback=feedback, rules=rules)) == {
        "축제가 언제야?": {"토요일 저녁이에요."},
        "뭐 해?": {"노래를 듣고 있어요."},
    }


def test_a_distrusted_player_or_turn_teaches_nothing(spark: Any) -> None:
    """A distrusted player's corrections are rejected and marks do not count; a later `trust` entry undoes this."""
    turns = [
        turn("t0", "축제가 언제야?", "몰라요.", player_id="하늘"),
        turn("t1", "뭐 해?", "노래를 듣고 있어요.", player_id="하늘"),
        turn("t2", "배고파", "떡볶이 어때요?", player_id="하늘"),
        turn("t3", "심심해", "산책을 가 볼까요?", player_id="legacy:트롤"),
    ]
    feedback = [
        mark("t0", "correction", "트롤", "없어진 지 오래예요."),
        mark("t1", "up", "하늘"),
        mark("t1", "down", "legacy:트롤"),
        mark("t2", "up", "하늘"),
        mark("t3", "up", "하늘"),
    ]
    entries = [entry("player", "legacy:트롤"), entry("turn", "t2")]

    found = reasons(examined(spark, turns=turns, feedback=feedback, distrust=entries))
    assert found["correction", "없어진 지 오래예요."] == "distrusted"
    assert found["praised", "노래를 듣고 있어요."] is None
    assert found["praised", "떡볶이 어때요?"] == "distrusted"
    assert found["praised", "산책을 가 볼까요?"] == "distrusted"

    undone = [*entries, entry("player", "트롤", "trust", LATER), entry("turn", "t2", "trust", LATER)]
    found = reasons(examined(spark, turns=turns, feedback=feedback, distrust=undone))
    assert found["correction", "없어진 지 오래예요."] is None
    assert found["praised", "노래를 듣고 있어요."] == "disliked"
    assert found["praised", "떡볶이 어때요?"] is None


def test_invisible_names_are_players_and_an_empty_name_is_not(spark: Any) -> None:
    """Each invisible name has its own consent and can be distrusted; feedback with an empty name teaches nothing."""
    turns = [turn(f"t{n}", "이름이 뭐야", "몰라요.") for n in range(5)]
    turns += [
        turn("t5", "뭐 해", "놀아요.", player_id="legacy:\u3164", answered_at=LATER),
        turn("t6", "뭐 해", "놀아요.", player_id="legacy:\u2800", answered_at=LATER, consent_train=False),
        turn("t7", "뭐 해", "놀아요.", player_id=None),
    ]
    frame = examined(
        spark,
        turns=turns,
        feedback=[
            mark("t0", "correction", "\u3164", "하나예요."),
            mark("t1", "correction", "\u2800", "둘이에요."),
            mark("t2", "correction", "", "셋이에요."),
            mark("t3", "correction", "\u3164\u3164", "넷이에요."),
            mark("t4", "up", ""),
        ],
        distrust=[entry("player", player_key("\u3164\u3164"))],
    )
    found = reasons(frame.where("source = 'correction'"))
    assert found == {
        ("correction", "하나예요."): None,
        ("correction", "둘이에요."): "no_consent",
        ("correction", "넷이에요."): "distrusted",
    }
    assert frame.where("source = 'praised' and reason is null").count() == 0


def test_withdrawn_pairs_are_counted(spark: Any) -> None:
    """A pair that is disliked or has no source any more is withdrawn; a pair rejected by a cap is not."""
    from spark_jobs.transforms import count_withdrawn_pairs

    turns = [turn(f"t{n}", f"{word} 이야기 해 줘", f"{word} 이야기를 들려줄게요.") for n, word in enumerate(words(3))]
    feedback = [*(mark(f"t{n}", "up") for n in range(3)), mark("t0", "down", "하늘")]
    frame = examined(spark, seeds=[("안녕", "어서 와요!")], turns=turns, feedback=feedback,
                     rules=rules_with(auto_review=True, seed_share=0, rows_per_player=1, assumed_consent=True))  # fmt: skip
    held = [(row["question"], row["answer"]) for row in frame.where("source = 'praised'").collect()]
    previous = spark.createDataFrame(
        [("ChatbotA", *pair) for pair in [*held, ("안녕", "어서 와요!"), ("옛날 질문", "옛날 대답이에요.")]],
        "bot string, question string, answer string",
    )
    assert [row["count"] for row in count_withdrawn_pairs(frame, previous).collect()] == [2]
