"""Rules for which pairs may be learned, and to which split they belong."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.learning.dataset import (
    Manifest,
    PairKeys,
    Proposal,
    assign_splits,
    ineligible_reason,
    needs_review,
    row_hash,
    taught_per_seed,
)
from tests.dataset_rules import rules_with

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OLD = NOW - timedelta(days=2)


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        (Proposal(source="seed", marked_at=NOW), None),
        (Proposal(source="praised", marked_at=OLD, consent_train=True, likes=1), None),
        (Proposal(source="praised", marked_at=OLD, consent_train=True), "unmarked"),
        (Proposal(source="praised", marked_at=OLD, consent_train=True, likes=9, dislikes=1), "disliked"),
        (Proposal(source="praised", marked_at=OLD, consent_train=True, likes=1, fallback="timeout"), "fallback"),
        (Proposal(source="praised", marked_at=OLD, likes=1), "no_consent"),
        (Proposal(source="praised", marked_at=NOW, consent_train=True, likes=1), "quarantine"),
        (Proposal(source="correction", marked_at=OLD, consent_train=True), None),
        (Proposal(source="correction", marked_at=OLD, consent_train=True, fallback="timeout"), None),
        (Proposal(source="correction", marked_at=NOW, consent_train=True), "quarantine"),
        (Proposal(source="correction", marked_at=OLD, consent_train=True, distrusted=True), "distrusted"),
        (Proposal(source="praised", marked_at=OLD, consent_train=True, likes=1, distrusted=True), "distrusted"),
    ],
)
def test_a_pair_needs_consent_feedback_and_minimum_age(proposal: Proposal, reason: str | None) -> None:
    """Seeds always pass; praise passes without dislikes; nothing passes from distrusted players."""
    assert ineligible_reason(proposal, rules_with(), NOW) == reason


def test_a_correction_needs_two_players_or_auto_review() -> None:
    """With ``auto_review`` a correction needs no second player."""
    assert needs_review(1, rules_with())
    assert not needs_review(2, rules_with())
    assert not needs_review(1, rules_with(auto_review=True))


def pairs_of(count: int, *, taught: bool = False) -> list[PairKeys]:
    return [
        PairKeys(question_key=f"질문{taught}{n}", answer_key=f"대답{taught}{n}", taught=taught) for n in range(count)
    ]


keys = st.sampled_from([f"말{n}" for n in range(12)])


@given(st.lists(st.builds(PairKeys, question_key=keys, answer_key=keys, taught=st.booleans())))
def test_nothing_leaks_between_splits(pairs: list[PairKeys]) -> None:
    """Pairs that share a question or an answer are in the same split."""
    places = assign_splits(pairs)
    for side in ("question_key", "answer_key"):
        splits: dict[str, set[str]] = {}
        for pair, placed in zip(pairs, places, strict=True):
            splits.setdefault(getattr(pair, side), set()).add(placed.split)
        assert all(len(found) == 1 for found in splits.values())


def test_splits_do_not_depend_on_the_order_of_rows() -> None:
    """The same pairs in another order get the same clusters and splits."""
    pairs = pairs_of(300) + pairs_of(50, taught=True)
    forward = dict(zip(pairs, assign_splits(pairs), strict=True))
    backward = dict(zip(pairs[::-1], assign_splits(pairs[::-1]), strict=True))
    assert forward == backward


def test_a_tenth_of_the_seeds_is_permanently_held_out() -> None:
    """Seeds split about 90/5/5 by hash; adding pairs moves no existing pair."""
    pairs = pairs_of(1000)
    places = assign_splits(pairs)
    counts = Counter(placed.split for placed in places)
    assert 30 <= counts["val"] <= 75
    assert 30 <= counts["test"] <= 75
    assert assign_splits([*pairs, *pairs_of(20, taught=True)])[:1000] == places


def test_taught_pairs_are_trained_on() -> None:
    """Up to 29 taught clusters all go to train; from 30 on, about one in ten is held out."""
    few = assign_splits([*pairs_of(100), *pairs_of(29, taught=True)])[100:]
    assert {placed.split for placed in few} == {"train"}
    many = assign_splits([*pairs_of(100), *pairs_of(400, taught=True)])[100:]
    held_out = sum(placed.split != "train" for placed in many)
    assert 20 <= held_out <= 65


def test_a_large_cluster_is_never_held_out() -> None:
    """A hundred questions with the same answer go to train."""
    pairs = [PairKeys(question_key=f"질문{n}", answer_key="네") for n in range(100)]
    assert {placed.split for placed in assign_splits(pairs)} == {"train"}


def test_a_small_corpus_still_has_all_three_splits() -> None:
    """If the hash leaves val or test empty, a seed cluster moves there."""
    assert {placed.split for placed in assign_splits(pairs_of(3))} == {"train", "val", "test"}


def test_seeds_keep_their_share_of_what_training_sees() -> None:
    """Shares count the weight: 30 % seeds and weight 4 leave 7 taught pairs for 12 seed pairs."""
    assert taught_per_seed(rules_with(seed_share=0.3, new_pair_weight=4)) == pytest.approx(7 / 12)
    assert taught_per_seed(rules_with(seed_share=1)) == 0


def test_a_rows_hash_depends_on_every_value_and_its_place() -> None:
    """Equal rows have equal hashes."""
    assert row_hash(["잘 가", "또 봐요", 1]) == row_hash(["잘 가", "또 봐요", 1])
    assert row_hash(["잘 가", "또 봐요", 1]) != row_hash(["잘 가", "또 봐요", 4])
    assert row_hash(["a", "bc"]) != row_hash(["ab", "c"])


def test_a_manifest_survives_json_and_ignores_unknown_fields() -> None:
    """Writing and reading JSON returns an equal manifest."""
    manifest = Manifest(
        bot="ChatbotA",
        dataset_id="0123456789ab",
        content_hash="0123456789abcdef",
        created_at="2026-11-24T00:00:00+00:00",
        counts={"train": 1},
        sources={"seed": 1},
        rejects={},
        new_pairs=1,
        previous=None,
        table_versions={"turns": None},
    )
    text = manifest.to_json().replace("{", '{"later": 1,', 1)
    assert Manifest.from_json(text) == manifest


STORED_MANIFEST = """{
 "bot": "ChatbotA",
 "content_hash": "0123456789abcdef",
 "counts": {
  "train": 1
 },
 "created_at": "2026-11-24T00:00:00+00:00",
 "distrusted": {
  "player": 1
 },
 "new_pairs": 1,
 "previous": "ba9876543210",
 "rejects": {},
 "rules": {
  "quarantine_hours": 24
 },
 "seeds_superseded": 0,
 "sources": {
  "seed": 1
 },
 "table_versions": {
  "turns": null
 },
 "tokenizer": "00112233aabb",
 "v": 1,
 "version": "0123456789ab",
 "withdrawn_pairs": 2
}"""


def test_manifests_of_earlier_releases_are_read_and_new_ones_have_their_keys() -> None:
    """The dataset id is stored as ``version``. Writing a manifest that was read returns the same text."""
    manifest = Manifest.from_json(STORED_MANIFEST)
    assert (manifest.dataset_id, manifest.previous) == ("0123456789ab", "ba9876543210")
    assert manifest.to_json() == STORED_MANIFEST


def test_a_manifest_without_a_dataset_id_is_refused() -> None:
    """A key ``dataset_id``, which no release writes, does not replace ``version``."""
    with pytest.raises(TypeError, match="dataset_id"):
        Manifest.from_json(STORED_MANIFEST.replace('"version"', '"dataset_id"'))
