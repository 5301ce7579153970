"""What a guest has consented to: the last word counts, whichever way it came, and a doubt is decided for privacy."""

import time
from dataclasses import replace

import pytest
import requests

from tests.world.served import KEYS, EchoBot, Served
from world.gateway.door import COOKIE
from world.gateway.rules.consents import LastConsents
from world.gateway.rules.tokens import Guest, GuestTokens, consenting, new_guest

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


def test_a_withdrawn_consent_stays_withdrawn(served: Served, join, bot: EchoBot) -> None:
    """Although the browser still has the cookie that says yes: after a lost connection, a new seat, and at the door."""
    player = join("거둘이", store=True, learn=True)

    def is_stored(text: str) -> tuple[bool, bool]:
        while (end := player.answer_to(player.ask("ChatbotA", text)))["t"] == "refusal":
            time.sleep(end["wait_s"])
        asked = next(question for question in bot.asked if question.text == text)
        return asked.consent_store, asked.consent_train

    assert is_stored("처음") == (True, True)
    player.send("consent", store=False, learn=False)
    player.wait_for(lambda event: event["t"] == "consented")
    player.drop()
    player.enter(last=player.last)
    assert is_stored("이어서") == (False, False)
    player.drop()
    player.enter()
    assert (player.welcome["store"], player.welcome["learn"]) == (False, False)
    player.leave()
    player.enter()
    assert (player.welcome["store"], player.welcome["learn"]) == (False, False)
    assert is_stored("새 자리") == (False, False)
    with requests.Session() as browser:
        browser.headers["Cookie"] = player.cookie
        assert browser.get(f"{served.url}/session").json()["guest"]["store"] is False
        agreed = browser.post(f"{served.url}/session", json={"name": "거둘이", "store": True, "learn": True})
        assert agreed.json()["guest"]["learn"] is True
    assert is_stored("다시 좋아") == (True, True)


def test_a_new_name_at_the_door_changes_the_consent_of_the_seat_at_once(served: Served, join, bot: EchoBot) -> None:
    """The name changes with the next entry."""
    player = join("옛이름", store=True)
    wanted = {"name": "새이름이", "store": False}
    assert requests.post(f"{served.url}/session", json=wanted, headers={"Cookie": player.cookie}).ok
    player.answer_to(player.ask("ChatbotA", "저장돼?"))
    asked = next(question for question in bot.asked if question.text == "저장돼?")
    assert (asked.consent_store, asked.sender) == (False, "옛이름")


def test_a_renewed_cookie_does_not_bring_a_consent_back(served: Served, join) -> None:
    """The cookie of a guest who has not signed in for two days is signed again, with what counts now."""
    signed_in = time.time() - 2 * 24 * 3600
    guest = new_guest("오래된이", signed_in, store=True, learn=True, minor=False)
    player = join("임시이름")
    player.leave()
    player.cookie = f"{COOKIE}={GuestTokens(KEYS.keys).sign(guest)}"
    player.enter()
    assert player.welcome["learn"] is True
    player.send("consent", store=True, learn=False)
    player.wait_for(lambda event: event["t"] == "consented")
    renewed = requests.get(f"{served.url}/session", headers={"Cookie": player.cookie})
    assert renewed.json()["guest"]["learn"] is False
    read = GuestTokens(KEYS.keys).read(renewed.cookies[COOKIE], time.time())
    assert read is not None
    assert (read.id, read.store, read.learn, read.first_seen) == (guest.id, True, False, int(signed_in))


def test_a_minor_can_consent_to_nothing_at_the_door(served: Served, join) -> None:
    """Whatever the page sends."""
    player = join("어린이", store=True, learn=True, minor=True)
    assert (player.welcome["store"], player.welcome["learn"], player.welcome["minor"]) == (False, False, True)
    wanted = {"name": "어린이", "store": True, "learn": True, "minor": True}
    guest = requests.post(f"{served.url}/session", json=wanted, headers={"Cookie": player.cookie}).json()["guest"]
    assert (guest["store"], guest["learn"], guest["minor"]) == (False, False, True)
