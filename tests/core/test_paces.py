"""How fast others are written to: never faster than the limit, nobody forgotten, by however many replicas."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.store import paces
from bot.store.engine import Store
from bot.store.paces import AHEAD, KEPT, LONG_AGO, Limit, Pace, held, opens, taken, told
from tests.world import START

IDLE = Pace(LONG_AGO, LONG_AGO, LONG_AGO)
MINUTE = Limit("chat.update", 50)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def at_once(limit: Limit, pace: Pace, now: datetime, *, first: bool) -> tuple[int, Pace]:
    """How many calls go at that moment, and how it stands then."""
    number = 0
    while opens(limit, pace, now, first=first) <= now:
        pace, number = taken(limit, pace, now), number + 1
    return number, pace


@pytest.mark.parametrize(
    ("per_minute", "first", "rest"),
    [(1, 1, 1), (2, 1, 1), (4, 2, 1), (50, 25, 12), (60, 30, 15), (300, 150, 75), (6000, 3000, 1500)],
)
def test_what_goes_at_once_when_nothing_went_before(per_minute: int, first: int, rest: int) -> None:
    limit = Limit("x", per_minute)
    assert at_once(limit, IDLE, START, first=True)[0] == first
    assert at_once(limit, IDLE, START, first=False)[0] == rest


def test_the_rest_leaves_room_to_what_goes_first() -> None:
    number, pace = at_once(MINUTE, IDLE, START, first=False)
    assert number == 12
    assert at_once(MINUTE, pace, START, first=True)[0] == 13
    _, spent = at_once(MINUTE, pace, START, first=True)
    assert opens(MINUTE, spent, START, first=False) - opens(MINUTE, spent, START, first=True) == KEPT


def test_those_who_wait_are_told_to_come_one_by_one() -> None:
    _, pace = at_once(MINUTE, IDLE, START, first=False)
    moments = []
    for _ in range(500):
        pace, moment = told(MINUTE, pace, START, first=False)
        moments.append(moment)
    apart = {later - sooner for sooner, later in itertools.pairwise(moments)}
    assert apart == {MINUTE.step}
    assert START < moments[0] <= START + MINUTE.step
    _, moment = told(MINUTE, pace, START, first=True)
    assert moment <= START, "what goes first has its own line"
    for moment in moments:  # and each that comes when it was told to finds room
        assert opens(MINUTE, pace, moment, first=False) <= moment
        pace = taken(MINUTE, pace, moment)


@pytest.mark.parametrize("per_minute", [1, 2, 3, 50, 6000])
def test_nothing_goes_before_the_other_side_says_so_and_then_one_by_one(per_minute: int) -> None:
    limit, until = Limit("x", per_minute), START + seconds(40)
    pace = held(limit, IDLE, until)
    assert opens(limit, pace, START, first=True) == until
    assert opens(limit, pace, START, first=False) == until + limit.ahead(first=True) - limit.ahead(first=False)
    assert at_once(limit, pace, until, first=True)[0] == 1
    assert held(limit, pace, START) == pace, "an earlier word does not shorten it"


calls = st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=200)


@settings(max_examples=200, deadline=None)
@given(per_minute=st.integers(1, 600), waits=calls, holding=st.floats(0, 60))
def test_there_are_never_more_in_any_length_of_time_than_the_rate_and_a_burst(
    per_minute: int, waits: list[tuple[float, bool]], holding: float
) -> None:
    limit = Limit("x", per_minute)
    now, pace, went = START, held(limit, IDLE, START - seconds(holding)), []
    for wait, first in waits:
        now += seconds(wait / 10)
        if opens(limit, pace, now, first=first) <= now:
            pace = taken(limit, pace, now)
            went.append(now)
        else:
            pace, again = told(limit, pace, now, first=first)
            assert again > now
    burst = max(1.0, AHEAD / limit.step)
    for begin in range(len(went)):
        for end in range(begin, len(went)):
            length = went[end] - went[begin]
            assert end - begin + 1 <= length / limit.step + burst + 1e-3


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def claim(store: Store, *limits: Limit, now: datetime = START, first: bool = True) -> datetime | None:
    with store.write() as connection:
        return paces.claim(connection, limits, now, first=first)


def test_of_several_limits_all_are_taken_or_none(store: Store) -> None:
    narrow, wide = Limit("room", 2), Limit("all", 4)
    assert claim(store, narrow, wide) is None
    assert claim(store, narrow, wide) == START + seconds(30)
    assert claim(store, wide) is None, "what found no room in the one took nothing of the other"
    assert claim(store, wide) == START + seconds(15)
    assert claim(store, Limit("another room", 2), wide) == START + seconds(30), "the second who waits"
    assert claim(store, Limit("another room", 2)) is None


def test_what_one_was_told_holds_for_all(store: Store, database_url: str) -> None:
    other = Store(database_url)
    with store.write() as connection:
        paces.hold(connection, MINUTE, START + seconds(40))
    assert claim(other, MINUTE) == START + seconds(40)
    assert claim(other, Limit("chat.postMessage C0OPS", 60)) is None
    other.close()


def test_two_replicas_share_one_limit(store: Store, database_url: str) -> None:
    """At one moment, from eight threads of two, a row that was not there: exactly a burst goes."""
    other = Store(database_url)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: claim((store, other)[number % 2], MINUTE), range(60)))
    other.close()
    waiting = sorted(answer for answer in answers if answer is not None)
    assert answers.count(None) == 25
    assert waiting == [START + MINUTE.step * place for place in range(1, 36)]


def test_rows_that_say_nothing_any_more_go(store: Store) -> None:
    claim(store, Limit("old", 60))
    claim(store, Limit("new", 60), now=START + timedelta(hours=20))
    with store.write() as connection:
        paces.forget(connection, START + timedelta(hours=25))
        left = connection.exec_driver_sql("SELECT key FROM paces").scalars().all()
    assert left == ["new"]
