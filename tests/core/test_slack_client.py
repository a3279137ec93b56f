"""What the Slack client looks up and opens, against the simulated Slack over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.deploys.errors import LookupFailed, RateLimited, Unavailable
from bot.deploys.ports import Directory
from bot.playground.serving import Served
from bot.playground.slack import SimulatedSlack
from bot.slack.client import SlackClient, SlackRefused
from bot.slack.views.text import Message
from tests.world import FixedClock

FORM = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Deploy"},
    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*web*"}}],
}
HOME = {"type": "home", "blocks": FORM["blocks"]}


class Place:
    """A client and the workspace it talks to, with a clock that both go by."""

    def __init__(self, scopes: list[str] | None = None) -> None:
        self.clock = FixedClock()
        self.slack = SimulatedSlack(now=self.clock.now, scopes=scopes)
        self.served = Served(self.slack.asgi)
        self.slack.url = self.served.url
        self.slack.add_person("U0ANA", "ana", tz="America/New_York")
        self.slack.add_person("U0BEN", "ben")
        self.slack.add_room("C0OPS", "ops")
        self.slack.add_usergroup("S0RELEASE", "release", ["U0ANA", "U0BEN"])
        self.client = SlackClient(f"{self.served.url}/api/", self.slack.bot_token, self.clock)

    def calls(self, method: str) -> int:
        return sum(call.method == method for call in self.slack.calls)

    def trigger(self) -> str:
        with self.slack._workspace.lock:
            return self.slack._workspace.new_trigger("U0ANA")


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.served.close()
    assert made.slack.violations == []


def test_it_is_the_directory_that_the_service_asks(place: Place) -> None:
    directory: Directory = place.client
    assert directory.usergroup("S0RELEASE") == {"U0ANA", "U0BEN"}
    assert directory.time_zone("U0ANA") == "America/New_York"


def test_members_are_asked_for_once_a_minute(place: Place) -> None:
    place.slack.add_usergroup("S0OPS", "ops", [])
    for _ in range(3):
        assert place.client.usergroup("S0RELEASE") == {"U0ANA", "U0BEN"}
        assert place.client.usergroup("S0OPS") == frozenset()
    assert place.calls("usergroups.users.list") == 2

    place.slack.add_usergroup("S0RELEASE", "release", ["U0BEN"])
    place.clock.moment += timedelta(seconds=59)
    assert place.client.usergroup("S0RELEASE") == {"U0ANA", "U0BEN"}
    place.clock.moment += timedelta(seconds=1)
    assert place.client.usergroup("S0RELEASE") == {"U0BEN"}


def test_many_at_once_get_the_same_answer(place: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: place.client.usergroup("S0RELEASE"), range(40)))
    assert set(answers) == {frozenset({"U0ANA", "U0BEN"})}
    assert place.calls("usergroups.users.list") <= 8


def test_a_usergroup_that_slack_does_not_tell_of(place: Place) -> None:
    with pytest.raises(LookupFailed) as failed:
        place.client.usergroup("S0GONE")
    assert (failed.value.what, failed.value.reason) == ("S0GONE", "no_such_subteam")
    place.slack.add_usergroup("S0GONE", "gone", ["U0ANA"])
    assert place.client.usergroup("S0GONE") == {"U0ANA"}, "what failed is not kept"


def test_without_the_scopes() -> None:
    place = Place(scopes=["chat:write"])
    for look_up, what in ((place.client.usergroup, "S0RELEASE"), (place.client.time_zone, "U0ANA")):
        with pytest.raises(LookupFailed) as failed:
            look_up(what)
        assert (failed.value.what, failed.value.reason) == (what, "missing_scope")
    place.served.close()


def test_what_passes_is_no_refusal(place: Place) -> None:
    place.slack.fail("usergroups.users.list", error="internal_error")
    with pytest.raises(Unavailable):
        place.client.usergroup("S0RELEASE")
    place.slack.fail("usergroups.users.list", error="ratelimited", retry_after=7)
    with pytest.raises(RateLimited) as limited:
        place.client.usergroup("S0RELEASE")
    assert limited.value.at == place.clock.now() + timedelta(seconds=7)
    place.clock.moment += timedelta(seconds=7)
    assert place.client.usergroup("S0RELEASE") == {"U0ANA", "U0BEN"}


def test_a_time_zone_is_asked_for_every_ten_minutes(place: Place) -> None:
    assert place.client.time_zone("U0ANA") == "America/New_York"
    place.slack.people[0].tz = "Asia/Tokyo"
    place.clock.moment += timedelta(minutes=9, seconds=59)
    assert place.client.time_zone("U0ANA") == "America/New_York"
    place.clock.moment += timedelta(seconds=1)
    assert place.client.time_zone("U0ANA") == "Asia/Tokyo"
    with pytest.raises(LookupFailed) as failed:
        place.client.time_zone("U0NOBODY")
    assert (failed.value.what, failed.value.reason) == ("U0NOBODY", "user_not_found")


def test_who_has_no_time_zone_that_we_know_lives_in_utc(place: Place) -> None:
    place.slack.add_person("U0CAL", "cal", tz="")
    place.slack.add_person("U0DEE", "dee", tz="Mars/Olympus_Mons")
    place.slack.add_person("U0EVE", "eve", tz="../etc/passwd")
    assert {place.client.time_zone(user) for user in ("U0CAL", "U0DEE", "U0EVE")} == {"UTC"}


def test_a_modal_is_opened_and_kept_current(place: Place) -> None:
    view_id = place.client.open_view(place.trigger(), FORM)
    place.client.update_view(view_id, FORM | {"private_metadata": "42"})
    (view,) = place.slack.views("U0ANA")
    assert (view["id"], view["private_metadata"]) == (view_id, "42")
    place.slack.close_view("U0ANA")
    with pytest.raises(SlackRefused) as refused:
        place.client.update_view(view_id, FORM)
    assert refused.value.code == "not_found"


def test_a_trigger_that_is_used_or_old_is_refused(place: Place) -> None:
    used, old = place.trigger(), place.trigger()
    place.client.open_view(used, FORM)
    place.clock.moment += timedelta(seconds=4)
    for trigger, code in ((used, "exchanged_trigger_id"), (old, "expired_trigger_id")):
        with pytest.raises(SlackRefused) as refused:
            place.client.open_view(trigger, FORM)
        assert refused.value.code == code


def test_nothing_is_sent_twice_by_itself(place: Place) -> None:
    view_id = place.client.open_view(place.trigger(), FORM)
    for method, act in (
        ("views.open", lambda: place.client.open_view(place.trigger(), FORM)),
        ("views.update", lambda: place.client.update_view(view_id, FORM)),
        ("views.publish", lambda: place.client.publish_home("U0ANA", HOME)),
    ):
        before = place.calls(method)
        place.slack.fail(method, drop="after")
        with pytest.raises(Unavailable):
            act()
        assert place.calls(method) == before + 1


def test_a_home_tab_is_published_and_replaced(place: Place) -> None:
    place.client.publish_home("U0ANA", HOME)
    place.client.publish_home("U0ANA", HOME | {"private_metadata": "new"})
    home = place.slack.home("U0ANA")
    assert home is not None
    assert (home["private_metadata"], place.slack.text_of(home)) == ("new", "*web*")
    assert place.slack.home("U0BEN") is None


def test_where_a_message_is_found(place: Place) -> None:
    channel, ts = place.client.post("C0OPS", Message("hello"))
    assert place.client.permalink(channel, ts) == f"{place.slack.url}/archives/C0OPS/p{ts.replace('.', '')}"
    with pytest.raises(SlackRefused) as refused:
        place.client.permalink(channel, "1.000000")
    assert refused.value.code == "message_not_found"
