"""What a guest has consented to: the last word counts, whichever way it came, and a doubt is decided for privacy."""

from dataclasses import replace

import pytest

from world.gateway.rules.consents import LastConsents
from world.gateway.rules.tokens import Guest, consenting, new_guest

SIGNED_IN, WITHDRAWN = 1_000, 1_060


def guest() -> Guest:
    return new_guest("하늘", SIGNED_IN, store=True, learn=True, minor=False)


@pytest.fixture
def consents() -> LastConsents:
    return LastConsents(most=3, clock=lambda: WITHDRAWN + 0.5)


def test_an_old_token_does_not_bring_back_what_was_withdrawn(consents: LastConsents) -> None:
    """Nor what a later one does not have: the stricter one counts."""
    old = guest()
    assert consents.applied(old) == old
    consents.say(replace(old, learn=False))
    assert (consents.applied(old).store, consents.applied(old).learn) == (True, False)
    consents.say(replace(old, store=False, learn=False))
    assert (consents.applied(old).store, consents.applied(old).learn) == (False, False)
    refused = replace(old, store=False, learn=False)
    consents.say(old)
    assert consents.applied(refused) == refused
    assert consents.applied(old) == old


def test_a_later_sign_in_counts(consents: LastConsents) -> None:
    """Also one at another gateway, of which this one knows by the token only. In the same second, the stricter counts."""
    old = guest()
    consents.say(replace(old, store=False, learn=False))
    same = consenting(old, WITHDRAWN, store=True, learn=True, minor=False)
    assert consents.applied(same).store is False
    later = consenting(old, WITHDRAWN + 1, store=True, learn=True, minor=False)
    assert consents.applied(later) == later
    consents.forget(same.id)
    assert consents.applied(same) == same


def test_others_are_not_concerned_and_memory_is_bounded(consents: LastConsents) -> None:
    """The guests who have said nothing for the longest time are forgotten first."""
    guests = [guest() for _ in range(5)]
    for one in guests:
        consents.say(replace(one, store=False, learn=False))
        consents.say(replace(guests[0], store=False, learn=False))
    assert [consents.applied(one).store for one in guests] == [False, True, True, False, False]
    assert consents.applied(guest()).store is True
