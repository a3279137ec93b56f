"""Lengths of time and moments as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from bot.deploys.nearest import nearest

LONGEST = timedelta(days=366)
MORNING = time(9)  # when a day is named and no time
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d{1,5})(min|[smhdw])", re.IGNORECASE | re.ASCII)
_WEEK = "monday tuesday wednesday thursday friday saturday sunday".split()
_DAYS = {name: number for number, full in enumerate(_WEEK) for name in (full, full[:3])}
_NAMED_CLOCKS = {"noon": time(12), "midnight": time(0)}
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d)(?::(\d\d))?)?(?: ?(am|pm))?", re.ASCII)
_DATED = re.compile(r"(\d{4}-\d\d-\d\d)(?:[t ](.*))?", re.ASCII)
_OFFSET = re.compile(r"(\d{4}-\d\d-\d\d.*?) ?(?:z|([+-])(\d\d):?(\d\d))", re.ASCII)
_WIDEST_OFFSET = 14 * 60  # Pacific/Kiritimati, in minutes; more is a slip
_NO_PLACES = {"Factory", "localtime"}  # what the machine is set to, which is nothing a person can mean


@dataclass(frozen=True, slots=True)
class Wall:
    """What a clock and a calendar on some wall show.

    `day`: a date, a weekday (0 is Monday), or None for any day. `clock`: None where only a day was written.
    """

    day: date | int | None
    clock: time | None


def parse_duration(text: str, *, years: int = 1) -> timedelta:
    """`90s`, `30m` (or `30min`), `4h`, `2d`, `1w`, and several in one word: `1h30m`.

    Raises ValueError for what is none, for nothing at all, and for more than a year, or than so many.
    """
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ValueError(f"“{text}” is no length of time; write it like 30m, 4h or 1h30m")
    seconds = sum(int(part[1]) * _SECONDS[part[2].lower()] for part in parts)
    if not 0 < seconds <= years * LONGEST.total_seconds():
        raise ValueError(f"“{text}” is not between a second and {'a year' if years == 1 else f'{years} years'}")
    return timedelta(seconds=seconds)


def parse_time(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """The next moment, in UTC, that the text means to somebody in `zone` at `now` (aware).

    A time of day (`16:00`, `4pm`, `4:30 pm`, `noon`, `midnight`): today, or tomorrow when that has passed.
    `tomorrow` and a weekday (`fri`, `Friday`), with a time or at 09:00. A date (`2026-12-24`) with a time after
    a blank or a `T`, or at 00:00, and with an offset or `Z` if need be. `midnight` is the first moment of a day.
    A last word such as `UTC` or `Europe/Berlin` is the zone that counts in place of `zone`.

    Raises ValueError, which says what is understood, for anything else, for a moment that has passed, and for
    one more than a year away.
    """
    shown = " ".join(text.split())
    understood = (
        "a time of day, tomorrow, a weekday or a date is understood,"
        f" such as 4pm, fri 16:00 or {now + timedelta(days=7):%Y-%m-%d} 18:00"
    )
    try:
        moment = _moment(shown, now, zone)
    except (ValueError, OverflowError) as error:
        why = "the calendar does not reach that far" if isinstance(error, OverflowError) else str(error)
        raise ValueError(f"“{shown}” is no time: {why}; {understood}") from None
    if moment <= now:
        raise ValueError(f"“{shown}” has passed; {understood}")
    if moment - now > LONGEST:
        raise ValueError(f"“{shown}” is more than a year away; {understood}")
    return moment


def parse_later(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """A moment as `parse_time` takes it, or a length of time from now (`30m`); `at` and `in` may stand before either.

    Raises ValueError as `parse_time` does.
    """
    words = text.split()
    if len(words) > 1 and words[0].lower() in ("at", "in"):
        words = words[1:]
    if len(words) == 1 and _PART.match(words[0]):
        try:
            return now + parse_duration(words[0])
        except ValueError:
            pass  # `4pm` and `2026-12-24` begin like one
    return parse_time(" ".join(words), now, zone)


def parse_wall(text: str) -> Wall:
    """A time of day, a weekday or a date, or a day and a time of day, in any case and without a zone.

    Raises ValueError, which names the part that is none of these.
    """
    text = " ".join(text.split()).lower()
    if not text:
        raise ValueError("nothing is written there")
    if dated := _DATED.fullmatch(text):
        try:
            day = date.fromisoformat(dated[1])
        except ValueError:
            raise ValueError(f"there is no day {dated[1]}") from None
        return Wall(day, None if dated[2] is None else _clock(dated[2]))
    first, _, rest = text.partition(" ")
    if first in _DAYS:
        return Wall(_DAYS[first], _clock(rest) if rest else None)
    if first.isalpha() and first not in _NAMED_CLOCKS:
        raise ValueError(f"“{first}” is neither a weekday nor a time of day")
    return Wall(None, _clock(text))


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of that name, in any case; raises ValueError with the names that are alike."""
    known = _zones().get(name.lower())
    if known is None:
        alike = nearest(name, _zones().values())
        way_out = f"the nearest is {' or '.join(alike)}" if alike else "write it like Europe/Berlin or UTC"
        raise ValueError(f"“{name}” is no time zone; {way_out}")
    return ZoneInfo(known)


def at_wall(day: date, clock: time, zone: tzinfo) -> datetime:
    """The moment, in UTC, at which a clock in `zone` shows that time of that day.

    A time that clocks skip in spring is read as if they had not been changed yet, so it moves forward by the
    gap: 02:30 is then 03:30. Of a time that they show twice in autumn it is the first. That is what PEP 495
    (https://peps.python.org/pep-0495/) lays down for `fold=0`. So in the hour after a gap a later time on the
    wall may be the earlier moment.

    Raises OverflowError at either end of the calendar.
    """
    return datetime.combine(day, clock.replace(fold=0), tzinfo=zone).astimezone(UTC)


def local(moment: datetime, zone: tzinfo) -> datetime:
    """An aware moment as the clocks in `zone` show it."""
    return moment.astimezone(zone)


def _moment(text: str, now: datetime, zone: tzinfo) -> datetime:
    """What a text with single blanks means, be it past or far; raises ValueError or OverflowError."""
    *before, last = text.split(" ")
    named = bool(before) and _is_zone(last.lower())
    if named:
        zone, text = parse_zone(last), " ".join(before)
    text = text.lower()
    if offset := _OFFSET.fullmatch(text):
        if named:
            raise ValueError("it names two zones")
        zone, text = _fixed(offset), offset[1]
    today = local(now, zone).date()
    first, _, rest = text.partition(" ")
    if first == "tomorrow":
        return at_wall(today + timedelta(days=1), _clock(rest) if rest else MORNING, zone)
    wall = parse_wall(text)
    if isinstance(wall.day, date):
        return at_wall(wall.day, wall.clock or time(0), zone)
    days = (today + timedelta(days=ahead) for ahead in range(9))
    moments = (at_wall(day, wall.clock or MORNING, zone) for day in days if wall.day in (None, day.weekday()))
    return next(moment for moment in moments if moment > now)


def _clock(text: str) -> time:
    """A time of day in lower case; raises ValueError."""
    if text in _NAMED_CLOCKS:
        return _NAMED_CLOCKS[text]
    wrong = ValueError(f"“{text}” is no time of day")
    match = _CLOCK.fullmatch(text)
    if match is None or (match[2] is None and match[4] is None):  # a number alone says too little
        raise wrong
    hour = int(match[1])
    if match[4]:
        if not 1 <= hour <= 12:
            raise wrong
        hour = hour % 12 + (12 if match[4] == "pm" else 0)
    try:
        return time(hour, int(match[2] or 0), int(match[3] or 0))
    except ValueError:
        raise wrong from None


def _fixed(offset: re.Match[str]) -> timezone:
    """The zone of a `Z` or an offset such as `+02:00`; raises ValueError for one that no place has."""
    if offset[2] is None:
        return UTC
    hours, minutes = int(offset[3]), int(offset[4])
    if minutes > 59 or hours * 60 + minutes > _WIDEST_OFFSET:
        raise ValueError(f"no zone is {offset[2]}{offset[3]}:{offset[4]} from UTC")
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[2] == "-" else ahead)


@cache
def _zones() -> dict[str, str]:
    """The names of all time zones by their lower case."""
    return {name.lower(): name for name in sorted(available_timezones() - _NO_PLACES)}


def _is_zone(word: str) -> bool:
    """Whether a word in lower case is meant as a zone, also one that there is not; so is a city alone."""
    path = "/" in word and word[0].isalpha()  # 12/24 is no path but a date as some write it
    return path or word in _zones() or any(name.endswith(f"/{word}") for name in _zones())
