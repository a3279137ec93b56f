"""What is remembered of GitHub's limits and answers: the rules alone, and the client that keeps to them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from bot.app import is_githubs_own
from bot.deploys.errors import NotFoundAtGitHub, RateLimited, Unavailable
from bot.github.client import GitHubClient
from bot.github.limits import MOST, Limits, giving_way
from bot.github.remembered import BESIDE, Answer, Remembered
from bot.playground.github import SimulatedGitHub
from bot.playground.github_world import INSTALLATION_ID
from tests.world import START, FixedClock

WEB = "/repos/acme/web"


def left(remaining: int, *, limit: int = 5000, minutes: float = 30, resource: str = "core") -> dict[str, str]:
    """The headers of an answer that leaves so many requests until then."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int((START + timedelta(minutes=minutes)).timestamp())),
        "x-ratelimit-resource": resource,
    }


def held_until(limits: Limits, now: datetime = START, account: str = "token") -> datetime | None:
    """Until when nobody may ask; None while anybody may."""
    try:
        limits.hold(account, now)
    except RateLimited as limited:
        return limited.at or now
    return None


# Status, headers, words of GitHub's; for how many minutes nobody asks.
TOLD = [
    (200, left(1), "", None),
    (200, left(0), "", 30),
    (304, left(0), "", 30),
    (403, left(0), "API rate limit exceeded for user ID 7.", 30),
    (403, left(0, minutes=-1), "API rate limit exceeded for user ID 7.", 5 / 60),
    (403, {**left(0), "x-ratelimit-limit": ""}, "API rate limit exceeded for user ID 7.", 30),
    (403, left(0, resource="search"), "API rate limit exceeded for user ID 7.", None),
    (200, left(0, resource="search"), "", None),
    (200, left(0, minutes=600), "", 60),
    (200, {**left(0), "x-ratelimit-reset": "soon"}, "", None),
    (200, {**left(0), "x-ratelimit-limit": ""}, "", None),
    (403, {**left(9), "retry-after": "120"}, "You have exceeded a secondary rate limit", 2),
    (429, {"retry-after": "120"}, "", 2),
    (403, {**left(0), "retry-after": "0"}, "", 30),
    (429, {"retry-after": "999999"}, "", 60),
    (429, {"retry-after": "9" * 30}, "", 1),
    (429, {"retry-after": "²"}, "", 1),
    (403, {**left(0), "x-ratelimit-reset": "9" * 30}, "API rate limit exceeded for user ID 7.", 1),
    (403, left(9), "You have exceeded a secondary rate limit", 1),
    (429, {}, "", 1),
    (403, left(9), "Resource not accessible by integration", None),
    (404, {"retry-after": "120"}, "Not Found", None),
]


@pytest.mark.parametrize(("status", "headers", "words", "minutes"), TOLD)
def test_what_an_answer_says_holds_for_all(
    status: int, headers: dict[str, str], words: str, minutes: float | None
) -> None:
    told: list[str] = []
    limits = Limits(told.append)
    limited = limits.heard("token", status, words, headers, START)
    expected = None if minutes is None else START + timedelta(minutes=minutes)
    assert held_until(limits) == expected
    assert held_until(limits, account="installation 7") is None, "another account has limits of its own"
    assert told == ([] if expected is None else ["limit"])
    if expected is not None:
        assert held_until(limits, expected - timedelta(seconds=1)) == expected
        assert held_until(limits, expected) is None
    assert (limited is not None) == (status in (403, 429) and "Resource" not in words)


def test_a_secondary_limit_that_names_no_time_is_left_alone_for_longer_each_time() -> None:
    limits, now, waits = Limits(), START, []
    for _ in range(8):
        for _ in range(4):  # four were under way: that is one refusal
            assert limits.heard("token", 429, "", {}, now) is not None
        until = held_until(limits, now)
        assert until is not None
        waits.append((until - now) / timedelta(minutes=1))
        now = until
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    limits.heard("token", 200, "", {}, now)
    limits.heard("token", 429, "", {}, now)
    assert held_until(limits, now) == now + timedelta(minutes=1)


def test_answers_that_come_out_of_order() -> None:
    limits = Limits()
    for remaining in (7, 9, 8):
        limits.heard("token", 200, "", left(remaining), START)
    limits.heard("token", 200, "", left(4000, minutes=-30), START)  # of the hour before
    assert limits.known()["token", "core"].remaining == 7
    limits.heard("token", 200, "", left(4999, minutes=90), START + timedelta(minutes=31))
    assert limits.known()["token", "core"].remaining == 4999


def test_what_nobody_waits_for_leaves_a_reserve() -> None:
    told: list[str] = []
    limits = Limits(told.append)
    limits.heard("token", 200, "", left(501), START)
    with giving_way():
        assert held_until(limits) is None
    limits.heard("token", 200, "", left(500), START)
    assert held_until(limits) is None
    with giving_way():
        assert held_until(limits) == START + timedelta(minutes=30)
        assert held_until(limits, START + timedelta(minutes=30)) is None
    assert held_until(limits) is None
    assert told == ["reserve"]


def writes_until_held(limits: Limits, now: datetime) -> tuple[int, datetime]:
    """How many writes go through at that moment, and when the next one may."""
    for number in range(1000):
        try:
            limits.hold("token", now, writing=True)
        except RateLimited as limited:
            return number, limited.at or now
    raise AssertionError("there is no end to it")


def test_the_pace_of_what_is_written() -> None:
    told: list[str] = []
    limits, now, made = Limits(told.append, paced=True), START, 0
    limits.hold("installation 7", now, writing=True)  # which has a pace of its own
    with giving_way():
        assert writes_until_held(limits, now) == (60, now + timedelta(minutes=1))
    limits.hold("token", now)  # reads are not counted
    assert writes_until_held(limits, now) == (20, now + timedelta(minutes=1))
    made = 80
    while made < 500:
        now += timedelta(minutes=1)
        number, until = writes_until_held(limits, now)
        made += number
        assert number == min(80, 500 - (made - number))
    assert until == START + timedelta(hours=1)
    assert writes_until_held(limits, until - timedelta(seconds=1))[0] == 0
    assert writes_until_held(limits, until) == (80, START + timedelta(hours=1, minutes=1))
    assert set(told) == {"pace"}


def test_an_enterprise_server_has_no_pace() -> None:
    limits = Limits()
    for _ in range(1000):
        limits.hold("token", START, writing=True)
    own = ("https://api.github.com", "https://api.octo.ghe.com")
    assert all(is_githubs_own(url) for url in own)
    assert not any(is_githubs_own(f"https://{host}/api/v3") for host in ("git.example", "api.github.com.example"))


def test_of_more_accounts_and_resources_than_there_can_be_the_newest_are_kept() -> None:
    limits = Limits()
    for number in range(2 * MOST):
        limits.heard(f"installation {number}", 200, "", left(9), START)
        limits.heard("token", 200, "", left(9, resource=f"made up {number}"), START)
    assert len(limits.known()) <= 2 * MOST
    assert ("token", "made up 0") in limits.known()


def test_answers_that_are_kept_have_room_for_so_much() -> None:
    remembered = Remembered(room=4 * (BESIDE + 100), largest=200)
    keys = [(b"me", f"/{number}") for number in range(5)]
    for key in keys[:4]:
        remembered.put(key, Answer("1", "", b"x" * 100))
    assert remembered.get(keys[0]) is not None
    remembered.put(keys[4], Answer("1", "", b"x" * 100))
    assert [remembered.get(key) is not None for key in keys] == [True, False, True, True, True]
    remembered.put(keys[0], Answer("2", "", b"x" * 201))
    assert remembered.get(keys[0]) is None, "what is too large for keeping leaves nothing old behind"
    remembered.put(keys[2], Answer("2", "", b"y"))
    assert remembered.size == 2 * (BESIDE + 100) + BESIDE + 1


# The client


def statuses(github: SimulatedGitHub) -> list[int | None]:
    """How what was asked so far was answered; each is seen once."""
    told = [asked.status for asked in github.requests]
    github.requests.clear()
    return told


@pytest.mark.parametrize("app", [False, True])
def test_what_is_asked_again_costs_nothing_while_it_holds(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub, app: bool
) -> None:
    client, sha = make_client(app=app), github.head("acme/web", "main")
    reads: dict[str, Callable[[], object]] = {
        "the default branch": lambda: client.default_branch("acme/web"),
        "a ref": lambda: client.commit("acme/web", "main"),
        "a head": lambda: client.branch_head("acme/web", "main"),
        "a role": lambda: client.permission("acme/web", "ana-gh"),
        "the hooks": lambda: client.hooks("acme/web"),
        "what a provider asks": lambda: client.ask("acme/web", "GET", "actions/runs?event=deployment"),
    }
    client.default_branch("acme/web")
    statuses(github)
    for name, read in reads.items():
        first, used = read(), github.rate()["used"]
        assert first == read() == read(), name
        assert github.rate()["used"] == used, name
        assert statuses(github)[-2:] == [304, 304], name
    client.checks("acme/web", sha)
    statuses(github)
    client.checks("acme/web", sha)
    assert statuses(github) == [304, 304]
    github.set_check_run("acme/web", "main", "lint", conclusion="success")
    assert [check.state for check in client.checks("acme/web", sha)] == ["success"]
    assert statuses(github) == [304, 200]
    github.push("acme/web", "main", "Newer")
    newer = client.branch_head("acme/web", "main")
    assert newer is not None
    assert newer.sha == github.head("acme/web", "main") != sha


def test_what_is_changed_in_place_does_not_change_what_is_remembered(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub
) -> None:
    client = make_client()
    client.ask("acme/web", "GET", "actions/runs")["workflow_runs"].append("mine")
    assert client.ask("acme/web", "GET", "actions/runs")["workflow_runs"] == []
    assert statuses(github) == [200, 304]


def test_a_404_and_a_502_between(make_client: Callable[..., GitHubClient], github: SimulatedGitHub) -> None:
    client = make_client()
    assert client.permission("acme/web", "ana-gh") == "write"
    github.fail("GET", f"{WEB}/collaborators/.*", status=404, body={"message": "Not Found"})
    assert client.permission("acme/web", "ana-gh") == "none"
    github.fail("GET", f"{WEB}/branches/.*", status=404, body={"message": "Not Found"})
    with pytest.raises(NotFoundAtGitHub):
        client.branch_head("acme/web", "main")
    github.fail("GET", f"{WEB}/collaborators/.*", status=502, times=2)
    with pytest.raises(Unavailable):
        client.permission("acme/web", "ana-gh")
    assert client.permission("acme/web", "ana-gh") == "write"
    assert statuses(github)[-1] == 304
    github.set_permission("acme/web", "ana-gh", "read")
    assert client.permission("acme/web", "ana-gh") == "read"


def test_an_answer_that_is_none_is_not_remembered(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub
) -> None:
    client = make_client()
    for body in ("<html>down for maintenance</html>", ""):
        github.fail("GET", f"{WEB}/actions/runs", status=200, body=body)
    with pytest.raises(Unavailable) as unread:
        client.ask("acme/web", "GET", "actions/runs")
    assert unread.value.detail == "an answer I can't read"
    assert client.ask("acme/web", "GET", "actions/runs") is None
    assert client.ask("acme/web", "GET", "actions/runs")["total_count"] == 0
    github.requests.clear()  # they were no answers of GitHub's


def test_another_token_is_not_told_what_the_first_saw(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub, clock: FixedClock
) -> None:
    client = make_client(app=True)
    client.branch_head("acme/web", "main")
    client.branch_head("acme/web", "main")
    assert statuses(github)[-2:] == [200, 304]
    clock.moment += timedelta(minutes=56)  # the installation gets a new one
    client.branch_head("acme/web", "main")
    assert statuses(github) == [201, 200]
    assert all("if-none-match" not in asked.headers for asked in github.requests)
    assert client.limits.known().keys() == {("app", "core"), (f"installation {INSTALLATION_ID}", "core")}


def test_many_at_once(make_client: Callable[..., GitHubClient], github: SimulatedGitHub) -> None:
    """Eight threads, while heads move: nobody ever sees an older head after a newer one."""
    client = make_client()
    order = [github.head("acme/web", "main")]

    def look(_: int) -> list[int]:
        seen = []
        for _ in range(12):
            found = client.branch_head("acme/web", "main")
            assert found is not None
            seen.append(order.index(found.sha))
        return seen

    with ThreadPoolExecutor(8) as threads:
        looks = [threads.submit(look, number) for number in range(8)]
        for number in range(5):
            with github.lock:
                github.push("acme/web", "main", f"Newer {number}")
                order.append(github.head("acme/web", "main"))
        for each in looks:
            assert each.result() == sorted(each.result())
    last = client.branch_head("acme/web", "main")
    assert last is not None
    assert order.index(last.sha) == 5


def test_a_limit_that_one_thread_hears_of_holds_for_all(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub, clock: FixedClock
) -> None:
    client = make_client()
    github.fail("GET", f"{WEB}/branches/main", status=403, body={"message": "Slow"}, headers={"Retry-After": "90"})
    with pytest.raises(RateLimited):
        client.branch_head("acme/web", "main")
    statuses(github)

    def write(_: int) -> datetime | None:
        with pytest.raises(RateLimited) as limited:
            client.write_status("acme/web", 1, "success", "")
        return limited.value.at

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(write, range(4))) == {START + timedelta(seconds=90)}
    with giving_way(), pytest.raises(RateLimited):
        list(client.past_deployments("acme/web", 1))
    assert statuses(github) == []
    clock.moment += timedelta(seconds=90)
    assert client.branch_head("acme/web", "main") is not None


def test_the_app_has_limits_of_its_own(make_client: Callable[..., GitHubClient], github: SimulatedGitHub) -> None:
    client = make_client(app=True)
    client.permission("acme/web", "ana-gh")
    github.fail("GET", "/app/hook/config", status=429, body={"message": "Slow"})
    for _ in range(2):
        with pytest.raises(RateLimited):
            client.hooks_here("", "")
    assert client.default_branch("acme/web") == "main", "whose token is there"
    assert statuses(github).count(429) == 1


def test_no_token_is_in_what_is_known_or_shown(
    make_client: Callable[..., GitHubClient], github: SimulatedGitHub
) -> None:
    for app in (False, True):
        client = make_client(app=app)
        client.branch_head("acme/web", "main")
        [*secrets] = [github.token, *github.installation_tokens]
        shown = f"{client.limits.known()!r} {client._tokens.token('acme/web')!r} {client._remembered.__dict__!r}"
        assert not [secret for secret in secrets if secret in shown]
