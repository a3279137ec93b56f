"""Times that come again: a crontab's words, its days of the week, and nights in which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.deploys.cron import Cron, parse_cron

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
UTC_ZONE = ZoneInfo("UTC")
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def times(cron: Cron, after: datetime, number: int) -> list[str]:
    """The next ones, as a wall shows them, with the zone's offset where it is not that of `after`."""
    found = []
    for _ in range(number):
        after = cron.after(after)
        found.append(after.astimezone(cron.zone).strftime("%a %d %H:%M%z")[:-2])
    return found


# The line, and the days of the two weeks from Monday, 2 March, on which it comes.
WEEKS = [
    ("0 9 * * *", "2 3 4 5 6 7 8 9 10 11 12 13 14 15"),
    ("0 9 * * 0", "8 15"),  # Sunday, which APScheduler calls 6
    ("0 9 * * 7", "8 15"),
    ("0 9 * * 1", "2 9"),
    ("0 9 * * 1-5", "2 3 4 5 6 9 10 11 12 13"),
    ("0 9 * * MON-fri", "2 3 4 5 6 9 10 11 12 13"),
    ("0 9 * * sun-tue", "2 3 8 9 10 15"),
    ("0 9 * * 5-7", "6 7 8 13 14 15"),
    ("0 9 * * sat,0", "7 8 14 15"),
    ("0 9 * * */2", "3 5 7 8 10 12 14 15"),  # Sunday, Tuesday, Thursday and Saturday
    ("0 9 * * 1-5/2", "2 4 6 9 11 13"),
    ("0 9 5 * *", "5"),
    ("0 9 3,10-12 * *", "3 10 11 12"),
    ("0 9 5 * 1", "2 5 9"),  # either, as crontab has it
    ("0 9 */5 * 1", ""),  # both, as crontab has it of one that starts with a star: the 1st, 6th, 11th and a Monday
    ("0 9 5 mar *", "5"),
    ("0 9 5 4-12 *", ""),
]


@pytest.mark.parametrize(("line", "days"), WEEKS)
def test_days(line: str, days: str) -> None:
    cron = parse_cron(line, UTC_ZONE)
    found = []
    moment = MONDAY
    while (moment := cron.after(moment)) < MONDAY + timedelta(days=14):
        assert (moment.hour, moment.minute) == (9, 0)
        found.append(str(moment.day))
    assert found == days.split()


def test_hours_and_minutes() -> None:
    assert times(parse_cron("*/20 9-10,22 * * *", UTC_ZONE), MONDAY, 8) == [
        *("Mon 02 09:00+00", "Mon 02 09:20+00", "Mon 02 09:40+00", "Mon 02 10:00+00", "Mon 02 10:20+00"),
        *("Mon 02 10:40+00", "Mon 02 22:00+00", "Mon 02 22:20+00"),
    ]
    assert times(parse_cron("5-50/15 0 * * *", BERLIN), MONDAY, 2) == ["Tue 03 00:05+01", "Tue 03 00:20+01"]
    assert times(parse_cron("0 0 29 2 *", UTC_ZONE), MONDAY, 1) == ["Tue 29 00:00+00"]


NIGHTS = [  # where, a moment before, the line, and when it comes
    (BERLIN, (2026, 3, 28, 12), "30 2 * * *", "Sun 29 03:30+02, Mon 30 02:30+02"),
    (BERLIN, (2026, 3, 28, 12), "0 3 * * *", "Sun 29 03:00+02, Mon 30 03:00+02"),
    (BERLIN, (2026, 3, 29, 0), "*/30 * * * *", "Sun 29 01:30+01, Sun 29 03:00+02, Sun 29 03:30+02, Sun 29 04:00+02"),
    (BERLIN, (2026, 10, 24, 12), "30 2 * * *", "Sun 25 02:30+02, Mon 26 02:30+01"),
    (BERLIN, (2026, 10, 24, 12), "0 3 * * *", "Sun 25 03:00+01, Mon 26 03:00+01"),
    (BERLIN, (2026, 10, 25, 0), "*/30 * * * *", "Sun 25 02:30+02, Sun 25 03:00+01"),
    (BERLIN, (2026, 10, 25, 1), "30 2 * * *", "Mon 26 02:30+01, Tue 27 02:30+01"),  # between its two 02:30
    (NEW_YORK, (2026, 3, 7, 14), "30 2 * * *", "Sun 08 03:30-04, Mon 09 02:30-04"),
    (NEW_YORK, (2026, 10, 31, 14), "30 1 * * *", "Sun 01 01:30-04, Mon 02 01:30-05"),
    # Half an hour is skipped: 02:15 comes as 02:45, after 02:30.
    (LORD_HOWE, (2026, 10, 3, 12), "15,30 2 * * *", "Sun 04 02:30+11, Sun 04 02:45+11, Mon 05 02:15+11"),
]


@pytest.mark.parametrize(("zone", "before", "line", "found"), NIGHTS)
def test_nights_in_which_clocks_are_changed(zone: ZoneInfo, before: tuple[int, ...], line: str, found: str) -> None:
    moment = datetime(*before, tzinfo=UTC)  # type: ignore[misc,arg-type]
    assert ", ".join(times(parse_cron(line, zone), moment, found.count(",") + 1)) == found


def test_the_last_that_was_missed() -> None:
    cron = parse_cron("0 9 * * *", UTC_ZONE)
    nine = MONDAY + timedelta(hours=9)
    assert cron.latest(nine, nine) == nine
    assert cron.latest(nine, nine + timedelta(hours=23)) == nine
    assert cron.latest(nine, nine + timedelta(days=400, hours=1)) == nine + timedelta(days=400)
    assert cron.latest(nine + timedelta(seconds=1), nine + timedelta(hours=1)) is None
    assert cron.latest(nine, nine - timedelta(seconds=1)) is None
    rare = parse_cron("0 9 2 * *", UTC_ZONE)
    assert rare.latest(nine, nine + timedelta(days=70)) == datetime(2026, 5, 2, 9, tzinfo=UTC)
    often = parse_cron("* * * * *", UTC_ZONE)
    assert often.latest(nine, nine + timedelta(days=30, seconds=59)) == nine + timedelta(days=30)


WRONG = [
    ("", "has 0 of five fields; write it like 0 9 * * mon-fri"),
    ("@daily", "has 1 of five fields"),
    ("0 9 * *", "has 4 of five fields"),
    ("0 0 9 * * *", "has 6 of five fields"),
    ("60 9 * * *", "“60” is no minute; it is from 0 to 59"),
    ("0 24 * * *", "“24” is no hour"),
    ("0 9 0 * *", "“0” is no day of the month"),
    ("0 9 32 * *", "“32” is no day of the month"),
    ("0 9 * 13 *", "“13” is no month; it is from 1 to 12, or like jan"),
    ("0 9 * * 8", "“8” is no day of the week; it is from 0 to 7, or like sun"),
    ("0 9 * * monday", "“monday” is no day of the week"),
    ("0 9 * * jan", "“jan” is no day of the week"),
    ("0 9 * * L", "“l” is no day of the week"),
    ("0 9 L * *", "“l” is no day of the month"),
    ("0 9 1W * *", "“1w” is no day of the month"),
    ("0 9 last * *", "“last” is no day of the month"),
    ("0 9 * * 5#2", "“5#2” is no day of the week"),
    ("0 9 ? * 1", "“?” is no day of the month"),
    ("0 9 * * fri-mon", "“fri-mon” goes backwards"),
    ("0 17-9 * * *", "“17-9” goes backwards"),
    ("*/0 9 * * *", "“*/0”: a step of 0 goes nowhere"),
    ("5/10 9 * * *", "“5/10”: a step belongs behind * or a range, as in 5-59/10"),
    ("-5 9 * * *", "“-5” is no minute"),
    ("5, 9 * * *", "“” is no minute"),
    ("1.5 9 * * *", "“1.5” is no minute"),
    ("\u0665 9 * * *", "“\u0665” is no minute"),
    ("0 0 31 2 *", "never comes"),
    ("0 0 30,31 feb *", "never comes"),
    ("0 0 31 4,6,9,11 *", "never comes"),
]


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_what_is_none_is_refused_and_named(line: str, why: str) -> None:
    with pytest.raises(ValueError, match="“") as caught:
        parse_cron(line, BERLIN)
    assert why in str(caught.value)


PART = st.sampled_from(["*", "*/7", "3", "1-5", "2-6/2", "4,5"])


@settings(max_examples=50, deadline=None)
@given(st.tuples(PART, PART, PART, PART, PART), st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001
def test_each_is_the_next(parts: tuple[str, ...], start: datetime) -> None:
    """Later than what it is asked after, on the wall what the line says, and nothing between."""
    cron = parse_cron(" ".join(parts), UTC_ZONE)
    moment = start.replace(tzinfo=UTC)
    found = cron.after(moment)
    assert found > moment
    assert cron.latest(moment + timedelta(microseconds=1), found) == found
    assert cron.latest(moment + timedelta(microseconds=1), found - timedelta(microseconds=1)) is None
    assert (found.second, found.microsecond) == (0, 0)
    for part, shown in zip(parts, (found.minute, found.hour, found.day, found.month), strict=False):
        if part is not parts[2] or parts[4].startswith("*"):  # else either the day or the weekday
            assert shown in MEANT.get(part, {shown})


MEANT = {"3": {3}, "1-5": {1, 2, 3, 4, 5}, "2-6/2": {2, 4, 6}, "4,5": {4, 5}}
