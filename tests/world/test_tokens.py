"""Guests' tokens: signed, renewed, and valid under two keys."""

from dataclasses import replace

import pytest

from world.gateway.rules.tokens import LIFETIME_S, GuestTokens, consenting, new_guest

NOW = 1_800_000_000
DAY_S = 86_400


def test_a_token_says_who_a_guest_is() -> None:
    """The first-seen time stays through renewals."""
    tokens = GuestTokens(["new"])
    guest = new_guest("하늘", NOW, store=True, learn=True, minor=False)
    assert tokens.read(tokens.sign(guest), NOW + 5) == guest
    assert tokens.renewed(tokens.sign(guest), NOW + 5) is None
    renewed = tokens.renewed(tokens.sign(guest), NOW + 2 * DAY_S)
    assert renewed is not None
    assert (renewed.first_seen, renewed.issued, renewed.id) == (NOW, NOW + 2 * DAY_S, guest.id)


def test_old_keys_stay_valid_while_they_are_in_the_settings() -> None:
    """New tokens are signed with the first key only."""
    guest = new_guest("하늘", NOW, store=False, learn=False, minor=False)
    old = GuestTokens(["old"]).sign(guest)
    both = GuestTokens(["new", "old"])
    assert both.read(old, NOW) == guest
    assert GuestTokens(["new"]).read(old, NOW) is None
    assert GuestTokens(["new"]).read(both.sign(guest), NOW) == guest
    assert GuestTokens(["old"]).read(both.sign(guest), NOW) is None


def test_a_token_of_an_old_key_is_renewed_before_that_key_goes() -> None:
    """At the next visit, however fresh it is."""
    guest = new_guest("하늘", NOW, store=True, learn=False, minor=False)
    both = GuestTokens(["new", "old"])
    renewed = both.renewed(GuestTokens(["old"]).sign(guest), NOW + 5)
    assert renewed is not None
    assert GuestTokens(["new"]).read(both.sign(renewed), NOW + 5) == renewed
    assert both.renewed(both.sign(guest), NOW + 5) is None
    assert both.renewed(GuestTokens(["other"]).sign(guest), NOW + 5 * DAY_S) is None


@pytest.mark.parametrize("token", ["", "x", "a.b", "a" * 5000, "한글", "eyJpZCI6IngifQ.x"])
def test_a_forged_token_is_nobody(token: str) -> None:
    """No error is raised."""
    assert GuestTokens(["key"]).read(token, NOW) is None
    assert GuestTokens(["key"]).renewed(token, NOW) is None


def test_a_changed_token_is_nobody() -> None:
    """Each character counts."""
    tokens = GuestTokens(["key"])
    token = tokens.sign(new_guest("하늘", NOW, store=False, learn=False, minor=False))
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert tokens.read(changed, NOW) is None


def test_a_token_expires_after_180_days() -> None:
    """And one from the future is not accepted."""
    tokens = GuestTokens(["key"])
    token = tokens.sign(new_guest("하늘", NOW, store=False, learn=False, minor=False))
    assert tokens.read(token, NOW + LIFETIME_S) is not None
    assert tokens.read(token, NOW + LIFETIME_S + 1) is None
    assert tokens.read(token, NOW - 1) is None


@pytest.mark.parametrize(
    ("store", "learn", "minor", "may_learn"),
    [(True, True, False, True), (False, True, False, False), (True, True, True, False), (True, False, False, False)],
)
def test_learning_needs_consent_and_an_adult(store: bool, learn: bool, minor: bool, may_learn: bool) -> None:
    """Nothing is learned that may not be stored."""
    guest = new_guest("하늘", NOW, store=store, learn=learn, minor=minor)
    assert guest.may_learn is may_learn
    assert guest.learn is may_learn


def test_a_minor_consents_to_nothing() -> None:
    """Neither to storing, at the door or later, nor by a token that was signed when that was possible."""
    minor = new_guest("하늘", NOW, store=True, learn=True, minor=True)
    assert (minor.store, minor.learn) == (False, False)
    grown = consenting(minor, NOW, store=True, learn=True, minor=False)
    assert (grown.store, grown.learn, grown.minor) == (True, True, False)
    again = consenting(grown, NOW, store=True, learn=True, minor=True)
    assert (again.store, again.learn) == (False, False)
    tokens = GuestTokens(["key"])
    read = tokens.read(tokens.sign(replace(grown, minor=True)), NOW)
    assert read is not None
    assert (read.store, read.learn, read.minor) == (False, False, True)


def test_a_token_of_before_there_was_a_time_of_consent_is_valid() -> None:
    """Its consent is older than any other."""
    guest = new_guest("하늘", NOW, store=True, learn=True, minor=False)
    fields = {name: getattr(guest, name) for name in ("id", "name", "first_seen", "issued", "store", "learn", "minor")}
    token = GuestTokens(["key"])._serializer.dumps(fields)
    assert GuestTokens(["key"]).read(token, NOW) == replace(guest, consented=0)


def test_a_renewed_token_keeps_the_time_of_the_consent() -> None:
    """It is signed again without asking the player."""
    guest = new_guest("하늘", NOW, store=True, learn=True, minor=False)
    tokens = GuestTokens(["key"])
    renewed = tokens.renewed(tokens.sign(guest), NOW + 2 * DAY_S)
    assert renewed is not None
    assert (renewed.consented, consenting(renewed, NOW + 9, store=True, learn=False, minor=False).consented) == (
        NOW,
        NOW + 9,
    )
