"""Lengths of time, moments and windows: what people write means one stretch on the clocks where they are."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.deploys.times import LONGEST, at_wall, local, parse_duration, parse_later, parse_time, parse_zone
from bot.deploys.windows import Window, parse_window

BERLIN, NEW_YORK, SYDNEY = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Sydney"))
ZONES = st.sampled_from([BERLIN, NEW_YORK, SYDNEY, *map(ZoneInfo, ("UTC", "Australia/Lord_Howe", "America/St_Johns"))])


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = utc("2026-05-01 12:00")  # a Friday, 14:00 in Berlin


LENGTHS: list[tuple[str, timedelta]] = [
    ("90s", timedelta(seconds=90)),
    ("30m", timedelta(minutes=30)),
    ("30min", timedelta(minutes=30)),
    ("1h30m", timedelta(minutes=90)),
    ("1W2D3H4MIN5S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
    ("30m1h", timedelta(minutes=90)),
    ("0h5m", timedelta(minutes=5)),
    ("366d", LONGEST),
]


@pytest.mark.parametrize(("text", "length"), LENGTHS)
def test_a_length(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


NONE = "is no length of time; write it like 30m, 4h or 1h30m"
OUTSIDE = "is not between a second and a year"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", NONE),
        ("4", NONE),
        ("h", NONE),
        ("4 h", NONE),
        ("-4h", NONE),
        ("1.5h", NONE),
        ("4y", NONE),
        ("123456s", NONE),
        ("4ſ", NONE),  # a letter that is an s in other case
        ("٤h", NONE),  # an Arabic four
        ("0s", OUTSIDE),
        ("366d1s", OUTSIDE),
        ("99999w" * 2000, OUTSIDE),  # more than a timedelta can hold
    ],
)
def test_what_is_no_length(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == f"“{text}” {problem}"


@given(st.text(max_size=40) | st.text("0123456789smhdwin", max_size=40))
def test_no_text_is_a_length_of_nothing(text: str) -> None:
    try:
        length = parse_duration(text)
    except ValueError:
        return
    assert timedelta() < length <= LONGEST


# What is written on Friday, the 1st of May, at 14:00 in Berlin (UTC+2 until the 25th of October, then UTC+1).
MOMENTS: list[tuple[str, str]] = [
    ("16:00", "2026-05-01 14:00"),
    ("14:01", "2026-05-01 12:01"),
    ("14:00", "2026-05-02 12:00"),
    ("09:00", "2026-05-02 07:00"),
    ("14:00:30", "2026-05-01 12:00:30"),
    ("4pm", "2026-05-01 14:00"),
    ("4 PM", "2026-05-01 14:00"),
    ("  4:30 \t PM\n", "2026-05-01 14:30"),
    ("9am", "2026-05-02 07:00"),
    ("12pm", "2026-05-02 10:00"),
    ("12am", "2026-05-01 22:00"),
    ("12:30 am", "2026-05-01 22:30"),
    ("noon", "2026-05-02 10:00"),
    ("Midnight", "2026-05-01 22:00"),
    ("tomorrow", "2026-05-02 07:00"),
    ("TOMORROW  4PM", "2026-05-02 14:00"),
    ("tomorrow noon", "2026-05-02 10:00"),
    ("fri", "2026-05-08 07:00"),
    ("Friday", "2026-05-08 07:00"),
    ("fri 16:00", "2026-05-01 14:00"),
    ("fri 14:00", "2026-05-08 12:00"),
    ("mon 9:00", "2026-05-04 07:00"),
    ("thu", "2026-05-07 07:00"),
    ("wednesday noon", "2026-05-06 10:00"),
    ("sun midnight", "2026-05-02 22:00"),
    ("2026-12-24", "2026-12-23 23:00"),
    ("2026-12-24 18:00", "2026-12-24 17:00"),
    ("2026-12-24T18:00", "2026-12-24 17:00"),
    ("2026-12-24 noon", "2026-12-24 11:00"),
    ("2026-12-24T18:00Z", "2026-12-24 18:00"),
    ("2026-12-24T18:00:30z", "2026-12-24 18:00:30"),
    ("2026-12-24T18:00+02:00", "2026-12-24 16:00"),
    ("2026-12-24 18:00 -0530", "2026-12-24 23:30"),
    ("2026-12-24 18:00 +14:00", "2026-12-24 04:00"),
    ("2026-12-24Z", "2026-12-24 00:00"),
    ("2026-12-24-05:00", "2026-12-24 05:00"),
    ("16:00 utc", "2026-05-01 16:00"),
    ("8am America/New_York", "2026-05-02 12:00"),
    ("8:01 america/new_york", "2026-05-01 12:01"),
    ("21:00 Australia/Sydney", "2026-05-02 11:00"),
    ("tomorrow Australia/Sydney", "2026-05-01 23:00"),
    ("tomorrow 16:00 Pacific/Kiritimati", "2026-05-03 02:00"),  # where it is Saturday already
    ("sat UTC", "2026-05-02 09:00"),
    ("2026-12-24 18:00 Etc/GMT+5", "2026-12-24 23:00"),
    ("2027-05-02 14:00", "2027-05-02 12:00"),
    ("2026-10-25 02:30", "2026-10-25 00:30"),  # shown twice: the first
    ("2027-03-28 02:30", "2027-03-28 01:30"),  # skipped: as far after the jump
]


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
def test_a_moment(text: str, moment: str) -> None:
    meant = parse_time(text, NOW, BERLIN)
    assert (meant, meant.tzinfo) == (utc(moment), UTC)


UNDERSTOOD = "a time of day, tomorrow, a weekday or a date is understood, such as 4pm, fri 16:00 or 2026-05-08 18:00"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", " is no time: nothing is written there"),
        (" \n", " is no time: nothing is written there"),
        ("9", " is no time: “9” is no time of day"),
        ("24:00", " is no time: “24:00” is no time of day"),
        ("16:60", " is no time: “16:60” is no time of day"),
        ("13pm", " is no time: “13pm” is no time of day"),
        ("0am", " is no time: “0am” is no time of day"),
        ("١٦:٠٠", " is no time: “١٦:٠٠” is no time of day"),
        ("16:00 tomorrow", " is no time: “16:00 tomorrow” is no time of day"),
        ("fri 12/24", " is no time: “12/24” is no time of day"),
        ("tomorrow fri", " is no time: “fri” is no time of day"),
        ("Fir 16:00", " is no time: “fir” is neither a weekday nor a time of day"),
        ("UTC", " is no time: “utc” is neither a weekday nor a time of day"),
        ("2026-02-30", " is no time: there is no day 2026-02-30"),
        ("2026-12-24 25:00", " is no time: “25:00” is no time of day"),
        ("2026-12-24T", " is no time: “” is no time of day"),
        ("2026-12-24 18:00 +15:00", " is no time: no zone is +15:00 from UTC"),
        ("2026-12-24 18:00 -05:60", " is no time: no zone is -05:60 from UTC"),
        ("2026-12-24 18:00Z UTC", " is no time: it names two zones"),
        ("fri 16:00 berlin", " is no time: “berlin” is no time zone; the nearest is Europe/Berlin"),
        ("16:00 ../../etc", " is no time: “16:00 ../../etc” is no time of day"),
        ("16:00 a/../b", " is no time: “a/../b” is no time zone; write it like Europe/Berlin or UTC"),
        ("9999-12-31 23:00 -05:00", " is no time: the calendar does not reach that far"),
        ("0001-01-01", " is no time: the calendar does not reach that far"),
        ("2026-05-01 14:00", " has passed"),
        ("2026-05-01", " has passed"),
        ("2026-05-01T12:00Z", " has passed"),
        ("2027-05-02 14:01", " is more than a year away"),
        ("9999-12-31", " is more than a year away"),
    ],
)
def test_what_is_no_moment(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_time(text, NOW, BERLIN)
    assert str(caught.value) == f"“{' '.join(text.split())}”{problem}; {UNDERSTOOD}"


def test_a_slip_in_a_zone_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="“Europe/Berln” is no time zone; the nearest is Europe/Berlin or "):
        parse_time("16:00 Europe/Berln", NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        ("in 1h30m", NOW + timedelta(minutes=90)),
        ("IN 2D", NOW + timedelta(days=2)),
        *((text, parse_time(text, NOW, BERLIN)) for text in ("4pm", "fri 16:00", "tomorrow", "noon")),
        ("at fri 16:00", parse_time("fri 16:00", NOW, BERLIN)),
    ],
)
def test_later_is_a_time_or_a_length_of_time(text: str, meant: datetime) -> None:
    assert parse_later(text, NOW, BERLIN) == meant


@pytest.mark.parametrize("text", ["", "in", "at", "teatime", "in a while", "0m", "-5m", "in 5x", "99y"])
def test_what_is_no_later(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|has passed"):
        parse_later(text, NOW, BERLIN)


@pytest.mark.parametrize("name", ["localtime", "Factory", "", "/etc/passwd", "../UTC", "Europe"])
def test_what_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone; "):
        parse_zone(name)


def test_every_zone_is_found_in_any_case() -> None:
    places = available_timezones() - {"localtime", "Factory"}
    assert {parse_zone(name.upper()).key for name in places} == places


# By whose clocks; what they show; which moment that is. The clocks change on these days.
WALLS: list[tuple[ZoneInfo, str, str]] = [
    (BERLIN, "2026-03-29 01:59", "2026-03-29 00:59"),
    (BERLIN, "2026-03-29 02:30", "2026-03-29 01:30"),
    (BERLIN, "2026-03-29 03:00", "2026-03-29 01:00"),
    (BERLIN, "2026-10-25 02:59", "2026-10-25 00:59"),
    (BERLIN, "2026-10-25 03:00", "2026-10-25 02:00"),
    (NEW_YORK, "2026-03-08 02:30", "2026-03-08 07:30"),
    (NEW_YORK, "2026-11-01 01:30", "2026-11-01 05:30"),
    (SYDNEY, "2026-10-04 02:30", "2026-10-03 16:30"),
    (SYDNEY, "2026-04-05 02:30", "2026-04-04 15:30"),
    (ZoneInfo("Australia/Lord_Howe"), "2026-10-04 02:15", "2026-10-03 15:45"),  # a gap of half an hour
    (ZoneInfo("Pacific/Apia"), "2011-12-30 10:00", "2011-12-30 20:00"),  # a whole day was skipped
]


@pytest.mark.parametrize(("zone", "shown", "moment"), WALLS)
def test_what_a_clock_on_the_wall_shows(zone: ZoneInfo, shown: str, moment: str) -> None:
    day, clock = date.fromisoformat(shown[:10]), time.fromisoformat(shown[11:])
    assert at_wall(day, clock, zone) == at_wall(day, clock.replace(fold=1), zone) == utc(moment)


NOWS = st.integers(0, 100 * 365 * 86_400).map(lambda seconds: utc("2000-01-01") + timedelta(seconds=seconds))
EDGES = st.sampled_from([utc(moment) for _, _, moment in WALLS])
NEAR_EDGES = st.builds(lambda edge, off: edge + timedelta(minutes=off), EDGES, st.integers(-3000, 3000))


@given(NOWS | NEAR_EDGES, ZONES)
def test_a_moment_that_a_wall_shows_once_is_found_again(moment: datetime, zone: ZoneInfo) -> None:
    shown = local(moment, zone)
    assert shown.tzinfo is zone
    if not shown.fold:
        assert at_wall(shown.date(), shown.time(), zone) == moment


WORDS = (
    "16:00 02:30 4 pm am 4pm 4:30 12am 99:99 24:00 noon midnight tomorrow fri monday sun 2026-12-24 2026-03-29"
    " 2027-02-29 9999-12-31 0001-01-01 2026-10-25T02:30 2026-10-25T02:30Z 18:00+02:00 +14:00 -99:99 Z UTC Europe/Berlin"
    " pacific/apia Etc/GMT+12 Nowhere/Else T : - / soon"
).split()
TEXTS = (
    st.text(max_size=40)
    | st.text("0123456789:-+tTzZapm /fri", max_size=25)
    | st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
)


@given(TEXTS, NOWS | NEAR_EDGES, ZONES)
@example("02:30", utc("2026-10-25 01:15"), BERLIN)  # the first has passed, the second has not
@example("02:30", utc("2026-03-29 01:15"), BERLIN)
def test_every_moment_is_ahead_and_within_a_year(text: str, now: datetime, zone: ZoneInfo) -> None:
    problem = ""
    try:
        moment = parse_time(text, now, zone)
    except ValueError as error:
        problem = str(error)
    if problem:
        assert "such as 4pm, fri 16:00 or " in problem
    else:
        assert now < moment <= now + LONGEST


def test_what_a_refusal_offers_is_understood() -> None:
    for offered in ("4pm", "fri 16:00", "2026-05-08 18:00"):
        assert offered in UNDERSTOOD
        assert parse_time(offered, NOW, BERLIN) > NOW


WEEKEND = ("Fri 16:00", "Mon 07:00")
NIGHT = ("18:00", "08:00")
# The edges; the zone; a moment within; start and end of what holds there.
SPANS: list[tuple[tuple[str, str], ZoneInfo, str, str, str]] = [
    (WEEKEND, BERLIN, "2026-05-02 12:00", "2026-05-01 14:00", "2026-05-04 05:00"),
    (("friday 4PM", "MONDAY  7am"), BERLIN, "2026-05-02 12:00", "2026-05-01 14:00", "2026-05-04 05:00"),
    # Weekends in which the clocks go forward, and back.
    (WEEKEND, BERLIN, "2026-03-28 12:00", "2026-03-27 15:00", "2026-03-30 05:00"),
    (WEEKEND, BERLIN, "2026-10-24 12:00", "2026-10-23 14:00", "2026-10-26 06:00"),
    (WEEKEND, NEW_YORK, "2026-03-07 12:00", "2026-03-06 21:00", "2026-03-09 11:00"),
    (WEEKEND, NEW_YORK, "2026-10-31 12:00", "2026-10-30 20:00", "2026-11-02 12:00"),
    (WEEKEND, SYDNEY, "2026-10-03 12:00", "2026-10-02 06:00", "2026-10-04 20:00"),
    (WEEKEND, SYDNEY, "2026-04-04 12:00", "2026-04-03 05:00", "2026-04-05 21:00"),
    # Within a week, a whole week but an hour, and days without a time.
    (("Tue 09:00", "Tue 17:00"), BERLIN, "2026-05-05 12:00", "2026-05-05 07:00", "2026-05-05 15:00"),
    (("Tue 09:00", "Tue 08:00"), BERLIN, "2026-05-12 05:59", "2026-05-05 07:00", "2026-05-12 06:00"),
    (("Sat", "Sun"), BERLIN, "2026-05-02 12:00", "2026-05-01 22:00", "2026-05-03 22:00"),
    (("Sun", "Mon noon"), BERLIN, "2026-05-03 12:00", "2026-05-02 22:00", "2026-05-04 10:00"),
    # Every day: over midnight, within a day, and the nights in which the clocks change.
    (NIGHT, BERLIN, "2026-05-01 20:00", "2026-05-01 16:00", "2026-05-02 06:00"),
    (("18:00", "midnight"), BERLIN, "2026-05-01 20:00", "2026-05-01 16:00", "2026-05-01 22:00"),
    (NIGHT, BERLIN, "2026-03-29 00:00", "2026-03-28 17:00", "2026-03-29 06:00"),
    (NIGHT, BERLIN, "2026-10-25 00:00", "2026-10-24 16:00", "2026-10-25 07:00"),
    (NIGHT, NEW_YORK, "2026-03-08 06:00", "2026-03-07 23:00", "2026-03-08 12:00"),
    (NIGHT, NEW_YORK, "2026-11-01 06:00", "2026-10-31 22:00", "2026-11-01 13:00"),
    (NIGHT, SYDNEY, "2026-10-03 14:00", "2026-10-03 08:00", "2026-10-03 21:00"),
    (NIGHT, SYDNEY, "2026-04-04 14:00", "2026-04-04 07:00", "2026-04-04 22:00"),
    # An edge in the gap is as far after the jump; one in the fold is the first of the two.
    (("02:30", "06:00"), BERLIN, "2026-03-29 02:00", "2026-03-29 01:30", "2026-03-29 04:00"),
    (("02:30", "06:00"), BERLIN, "2026-10-25 02:00", "2026-10-25 00:30", "2026-10-25 05:00"),
    (("22:00", "02:30"), BERLIN, "2026-03-29 01:00", "2026-03-28 21:00", "2026-03-29 01:30"),
    (("22:00", "02:30"), BERLIN, "2026-10-25 00:00", "2026-10-24 20:00", "2026-10-25 00:30"),
    (("02:30", "06:00"), NEW_YORK, "2026-03-08 08:00", "2026-03-08 07:30", "2026-03-08 10:00"),
    (("22:00", "01:30"), NEW_YORK, "2026-11-01 05:00", "2026-11-01 02:00", "2026-11-01 05:30"),
    (("01:30", "06:00"), NEW_YORK, "2026-11-01 06:45", "2026-11-01 05:30", "2026-11-01 11:00"),
    (("22:00", "02:30"), SYDNEY, "2026-10-03 16:00", "2026-10-03 12:00", "2026-10-03 16:30"),
    (("02:30", "06:00"), SYDNEY, "2026-04-04 15:45", "2026-04-04 15:30", "2026-04-04 20:00"),
    # An end that the gap moves on gives way to the next start.
    (("03:10", "02:50"), BERLIN, "2026-03-29 01:05", "2026-03-28 02:10", "2026-03-29 01:10"),
    (("03:10", "02:50"), BERLIN, "2026-03-29 01:20", "2026-03-29 01:10", "2026-03-30 00:50"),
    (("2026-12-20", "2027-01-03"), BERLIN, "2026-12-24 12:00", "2026-12-19 23:00", "2027-01-03 23:00"),
    (("2026-12-24", "2026-12-24"), BERLIN, "2026-12-24 12:00", "2026-12-23 23:00", "2026-12-24 23:00"),
    (("2026-12-24 18:00", "2026-12-26T08:00"), BERLIN, "2026-12-25 12:00", "2026-12-24 17:00", "2026-12-26 07:00"),
    (("2026-10-25 02:30", "2026-10-25 03:00"), BERLIN, "2026-10-25 01:00", "2026-10-25 00:30", "2026-10-25 02:00"),
]


@pytest.mark.parametrize(("edges", "zone", "within", "start", "end"), SPANS)
def test_what_holds(edges: tuple[str, str], zone: ZoneInfo, within: str, start: str, end: str) -> None:
    window = parse_window(*edges, zone.key)
    span = window.span(utc(within))
    assert span == (utc(start), utc(end))
    assert [moment.tzinfo for moment in span] == [UTC, UTC]
    tick = timedelta(microseconds=1)
    assert window.span(utc(start)) == window.span(utc(end) - tick) == span
    assert window.span(utc(start) - tick) != span
    assert window.span(utc(end)) != span
    assert window.next_start(utc(start) - tick) == utc(start)


# The edges; a moment outside; when it starts again, by the clocks in Berlin.
NEXT: list[tuple[tuple[str, str], str, str | None]] = [
    (WEEKEND, "2026-05-01 13:59", "2026-05-01 14:00"),
    (WEEKEND, "2026-05-04 05:00", "2026-05-08 14:00"),
    (WEEKEND, "2026-10-26 12:00", "2026-10-30 15:00"),
    (NIGHT, "2026-05-01 12:00", "2026-05-01 16:00"),
    (("02:30", "03:15"), "2026-03-28 12:00", "2026-03-30 00:30"),  # the clocks jump over nearly all of it
    (("Sun 02:30", "Sun 03:15"), "2026-03-23 12:00", "2026-04-05 00:30"),
    (("02:00", "03:00"), "2026-03-29 01:00", "2026-03-30 00:00"),  # and over all of it
    (("2026-12-20", "2027-01-03"), "2026-05-01 12:00", "2026-12-19 23:00"),
    (("2026-12-20", "2027-01-03"), "2027-01-03 23:00", None),
]


@pytest.mark.parametrize(("edges", "outside", "start"), NEXT)
def test_when_it_holds_next(edges: tuple[str, str], outside: str, start: str | None) -> None:
    window = parse_window(*edges, "Europe/Berlin")
    assert window.span(utc(outside)) is None
    assert window.next_start(utc(outside)) == (None if start is None else utc(start))


def test_a_dated_window_that_holds_does_not_start_again() -> None:
    window = parse_window("2026-12-20", "2027-01-03", "UTC")
    assert window.next_start(utc("2026-12-20 00:00")) is None


@pytest.mark.parametrize(
    ("edges", "kind"),
    [(("2026-12-24  18:00", "2026-12-26"), "dated"), (("Fri  16:00 ", "mon"), "weekly"), (("6 PM", "08:00"), "daily")],
)
def test_a_window_keeps_what_was_written(edges: tuple[str, str], kind: str) -> None:
    window = parse_window(*edges, "europe/berlin")
    written = tuple(" ".join(edge.split()) for edge in edges)
    assert (window.kind, window.from_, window.to, window.zone_name) == (kind, *written, "Europe/Berlin")
    assert window == parse_window(*edges, " Europe/Berlin ")


HOW = "; write both like Fri 16:00, like 2026-12-24 18:00 or like 18:00"
MEET = ", so that the window would hold always or never"
FAULTS: list[tuple[str, str, str, str]] = [
    ("Fir 16:00", "Mon", "UTC", "from “Fir 16:00”: “fir” is neither a weekday nor a time of day" + HOW),
    ("Fri 16:00", "Montag", "UTC", "to “Montag”: “montag” is neither a weekday nor a time of day" + HOW),
    ("", "Mon", "UTC", "from “”: nothing is written there" + HOW),
    ("tomorrow", "Mon", "UTC", "from “tomorrow”: “tomorrow” is neither a weekday nor a time of day" + HOW),
    ("2026-02-01", "2026-03-01T9:00Z", "UTC", "to “2026-03-01T9:00Z”: “9:00z” is no time of day" + HOW),
    ("Fri 16:00", "07:00", "UTC", "from “Fri 16:00” is a weekday, but to “07:00” is a time of every day" + HOW),
    ("18:00", "2026-12-24", "UTC", "from “18:00” is a time of every day, but to “2026-12-24” is a date" + HOW),
    ("Fri 16:00", "fri 4pm", "UTC", "from “Fri 16:00” and to “fri 4pm” meet" + MEET),
    ("Mon", "Sun", "UTC", "from “Mon” and to “Sun” meet" + MEET),
    ("18:00", "6pm", "UTC", "from “18:00” and to “6pm” meet" + MEET),
    *(
        ("2026-12-24", to, "UTC", f"to “{to}” is not after from “2026-12-24”; a dated window ends after it starts")
        for to in ("2026-12-23", "2026-12-24 00:00", "2026-12-22 18:00")
    ),
    ("9999-12-01", "9999-12-31", "UTC", "from “9999-12-01” to “9999-12-31” reaches past the end of the calendar"),
    (
        "0001-01-01",
        "2026-12-24",
        "Asia/Tokyo",
        "from “0001-01-01” to “2026-12-24” reaches past the end of the calendar",
    ),
    ("Fri", "Mon", "Berlin", "“Berlin” is no time zone; the nearest is Europe/Berlin"),
    ("Fri", "Mon", "Mars", "“Mars” is no time zone; write it like Europe/Berlin or UTC"),
]


@pytest.mark.parametrize(("from_", "to", "zone", "problem"), FAULTS)
def test_what_is_no_window(from_: str, to: str, zone: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_window(from_, to, zone)
    assert str(caught.value) == problem


@given(TEXTS, TEXTS, st.sampled_from(["UTC", "Europe/Berlin", "Nowhere"]) | st.text(max_size=10))
def test_no_text_breaks_a_window(from_: str, to: str, zone: str) -> None:
    try:
        window = parse_window(from_, to, zone)
    except ValueError:
        return
    span = window.span(NOW)
    assert span is None or span[0] <= NOW < span[1]


CLOCKS = st.times().map(lambda clock: f"{clock:%H:%M}") | st.sampled_from(["02:00", "02:30", "03:00", "03:10"])
WEEKLY = st.builds("{} {}".format, st.sampled_from(["Mon", "Fri", "Sat", "Sun"]), CLOCKS)
WINDOWS = st.one_of(
    *(
        st.tuples(edges, edges, ZONES)
        .filter(lambda made: made[0] != made[1])
        .map(lambda made: (*made[:2], made[2].key))
        for edges in (CLOCKS, WEEKLY)
    )
).map(lambda made: parse_window(*made))


@given(WINDOWS, NOWS | NEAR_EDGES, st.integers(0, 99))
def test_one_span_holds_at_a_time(window: Window, now: datetime, percent: int) -> None:
    span = window.span(now)
    following = window.next_start(now)
    assert following is not None
    assert following > now
    begun = window.span(following)
    assert begun is not None
    assert begun[0] == following
    if span is None:
        assert window.span(now + (following - now) * percent / 100) is None
    else:
        start, end = span
        assert start <= now < end <= following
        assert window.span(start + (end - start) * percent / 100) == span
        assert window.span(end) == (begun if end == following else None)
