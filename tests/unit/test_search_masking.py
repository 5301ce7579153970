"""Masking of turns for the search index."""

import json

import pytest

from kogpt2_chat.domain.lake.search_masking import mask_for_search, mask_names
from kogpt2_chat.jobs.index import index
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from tests.growth import growth


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("내 이름은 김민수야", "내 이름은 [이름]야"),
        ("제 이름은 하늘이에요", "제 이름은 [이름]이에요"),
        ("저는 박서준입니다", "저는 [이름]입니다"),
        ("나 인스타 maru_lee야 팔로우해", "나 인스타 [아이디]야 팔로우해"),
        ("카톡 아이디는 maru99", "카톡 아이디는 [아이디]"),
        ("@maru_lee 찾아봐", "[아이디] 찾아봐"),
        ("내카톡 marulee야", "내카톡 [아이디]야"),
        ("카톡: marulee", "카톡: [아이디]"),
        ("내 이름은 하늘, 너는?", "내 이름은 [이름], 너는?"),
        ("내 이름은 김민지", "내 이름은 [이름]"),
        ("내 번호 010-1234-5678", "내 번호 [전화번호]"),
    ],
)
def test_names_and_handles_of_players_are_masked(text, masked):
    """They are masked if the text says that they belong to the player."""
    assert mask_names(text) == masked
    assert mask_names(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "네 이름은 뭐야?", "내 이름은 뭐야?", "저는 학생입니다", "나는 정말 좋아", "난 이제 갈래", "인스타 재밌어", "라인 좀 맞춰", "카톡 했어?",
        "이름이 예쁘다", "온라인 game 하자", "가이드라인 template 있어?", "라인 dance 배우고 싶어", "인스타 photo 올려줘", "카톡 emoticon 사줘",
        "텔레 bank", "내 인스타 photo 봤어?", "우리 이름이 같네", "내 이름은 예쁘지", "내 이름은 나왔어?", "내 이름은 기억해?", "우리 이름이 너무 웃겨",
        "내 이름은 정말 예뻐", "우리 이름이 유명해", "내 이름은 비밀이야", "내 이름은 말했잖아",
    ],
)  # fmt: skip
def test_other_texts_about_names_are_unchanged(text):
    """Questions for a name, statements about a name, words after "I am", and service names inside words."""
    assert mask_names(text) == text


@pytest.mark.parametrize(
    "piece", ["@a", "내 이름은", "내 이름은 김", "나는 김", "카톡 ", "인스타 a", "내 카톡", "라인 a.", "가"]
)
def test_masking_takes_time_linear_in_the_text(piece):
    """Twenty times the text takes about twenty times the work."""
    assert growth(mask_names, piece) < 100


def test_rows_of_earlier_releases_are_masked_when_they_are_indexed():
    """They are unmasked in the lake, but their documents contain no personal data."""
    row = {"turn_id": "t", "text": "안녕", "answer": "maru@example.com 맞죠?", "sender": "010-1234-5678", "session_id": None,
           "player_id": "legacy:010-1234-5678", "extra": json.dumps({"tel": "010-1234-5678"}), "epoch": 3}  # fmt: skip
    found = mask_for_search(row)
    assert "1234" not in json.dumps(found)
    assert "example" not in json.dumps(found)
    assert (found["session_id"], found["epoch"], found["turn_id"]) == (None, 3, "t")
    assert mask_for_search({**row, "extra": "not JSON"})["extra"] == "not JSON"
    tables, documents = InMemoryTables(), InMemoryIndex()
    tables.append("turns", [row], {"turns/conversation_log/0": 1}, {})
    index(tables=tables, index=documents)
    assert "1234" not in str(documents.document_by_id["t"])
