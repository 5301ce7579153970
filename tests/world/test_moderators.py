"""What moderators decide applies at once, ends in time, and concerns the right guest."""

from datetime import UTC, datetime, timedelta

import pytest

from kogpt2_chat.domain.chat.moderation import Moderation, moderation_key
from kogpt2_chat.domain.chat.topics import MODERATION_TOPIC
from kogpt2_chat.ports import Record
from tests.world.people import Person, Town
from world.gateway.moderators import Moderators
from world.gateway.refused import Refused
from world.gateway.rules.tokens import Guest

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


class Office:
    """A town with moderators, and a clock that a test moves."""

    def __init__(self) -> None:
        self.town, self.now = Town(), NOW
        self.moderators = Moderators(self.town.rooms, lambda: self.now)

    def decide(self, sanction: str, subject: str, *, action: str | None = None, until: datetime | None = None) -> None:
        decision = Moderation(
            action=action or sanction,
            subject=subject,
            by="김하늘",
            at=NOW.isoformat(),
            until=until.isoformat() if until else None,
        )
        key = moderation_key(sanction, subject)  # type: ignore[arg-type]
        self.moderators.accept(record(key, decision.to_json().encode()))


def record(key: str, value: bytes | None) -> Record:
    return Record(
        topic=MODERATION_TOPIC, partition=0, offset=0, key=key.encode(), value=value, headers={}, timestamp_ms=0
    )


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_banned_guest_leaves_at_once_and_stays_out(office: Office) -> None:
    """Others are told that the guest has left; lifting the ban lets it in again."""
    bad, other = office.town.enter("시끄럼"), office.town.enter("하늘")
    other.events()
    office.decide("ban", bad.guest.id)
    assert bad.hung_up[0] == 4403
    assert [event["name"] for event in other.events("left")] == ["시끄럼"]
    assert office.moderators.is_banned(bad.guest.id)
    assert not office.moderators.is_banned(other.guest.id)
    office.decide("ban", bad.guest.id, action="none")
    assert not office.moderators.is_banned(bad.guest.id)


def test_a_mute_ends_by_itself(office: Office) -> None:
    """At the time that the decision names."""
    guest = office.town.enter("시끄럼").guest
    office.decide("mute", guest.id, until=NOW + timedelta(hours=1))
    with pytest.raises(Refused, match="muted"):
        office.moderators.raise_if_muted(guest.id)
    office.now = NOW + timedelta(hours=1)
    office.moderators.raise_if_muted(guest.id)


def test_an_id_that_looks_like_a_phone_number_is_found(office: Office) -> None:
    """Ids are random, and the key of a decision has personal data masked."""
    guest = Guest(id="w-010-1234-5678-ab", name="우연히", first_seen=0, issued=0)
    person = Person(office.town, guest)
    office.decide("mute", guest.id)
    office.decide("ban", guest.id)
    with pytest.raises(Refused, match="muted"):
        office.moderators.raise_if_muted(guest.id)
    assert office.moderators.is_banned(guest.id)
    assert person.hung_up[0] == 4403


def test_a_hidden_line_disappears_for_everyone(office: Office) -> None:
    """Each client is told which, once."""
    player = office.town.enter("하늘")
    player.events()
    office.decide("hide", "a1b2")
    office.decide("hide", "a1b2")  # as when the topic is read again
    assert [event["line"] for event in player.events("hidden")] == ["a1b2"]


def test_a_record_that_cannot_be_read_lifts_its_decision(office: Office) -> None:
    """As a tombstone does; nothing is raised."""
    guest = office.town.enter("시끄럼").guest
    office.decide("mute", guest.id)
    for found in (record(moderation_key("mute", guest.id), None), record("x", b"{")):
        office.moderators.accept(found)
    office.moderators.raise_if_muted(guest.id)
