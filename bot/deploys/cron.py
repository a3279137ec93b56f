"""Times that come again, written as a crontab has them: minute, hour, day of the month, month, day of the week.

The words are crontab's (https://man7.org/linux/man-pages/man5/crontab.5.html), where Sunday is 0 and 7, and where a
day of the month and a day of the week that are both given mean either. APScheduler, which finds the times, counts
from Monday and wants both; so it is never handed a crontab's words, only lists of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from bot.deploys.times import at_wall, local

_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_WEEK = {name: number for number, name in enumerate("sun mon tue wed thu fri sat".split())}
_FIELDS: Sequence[tuple[str, int, int, dict[str, int]]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _WEEK),
)
_PART = re.compile(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)
_EXAMPLE = "write it like 0 9 * * mon-fri: minute, hour, day of the month, month, day of the week"
_CHANGE = timedelta(hours=2)  # clocks are changed by no more
_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of the months, at most


@dataclass(frozen=True, slots=True)
class Cron:
    """The times that a crontab's line means on the wall of one zone. Made by `parse_cron`.

    Each comes once: one that clocks skip in spring comes as much later as they jump, and of one that they show twice
    in autumn the first counts.
    """

    text: str
    zone: ZoneInfo
    triggers: tuple[CronTrigger, ...]  # of wall-clock times, which they are told are UTC; any of them

    def after(self, moment: datetime) -> datetime:
        """The first of its times, in UTC, after an aware moment."""
        wall = local(moment, self.zone).replace(tzinfo=None)
        if self._changes(wall):  # a time of before may have been moved past it
            wall -= _CHANGE
        while (at := self._at(wall := self._next_wall(wall))) <= moment:
            wall += _SECOND
        if self._changes(wall):  # and what is later on the wall may come earlier
            latest = wall + _CHANGE
            while (wall := self._next_wall(wall + _SECOND)) <= latest:
                if self._at(wall) > moment:
                    at = min(at, self._at(wall))
        return at

    def latest(self, since: datetime, now: datetime) -> datetime | None:
        """The last of its times from `since` up to `now`; None when there is none."""
        for start in (max(since, now - _HOUR), max(since, now - _DAY), since):  # what comes often came lately
            found = None
            moment = start - timedelta(microseconds=1)
            while (moment := self.after(moment)) <= now:
                found = moment
            if found is not None:
                return found
        return None

    def _at(self, wall: datetime) -> datetime:
        return at_wall(wall.date(), wall.time(), self.zone)

    def _changes(self, wall: datetime) -> bool:
        """Whether the clocks are changed around that time on the wall."""
        around = (wall + length for length in (-_CHANGE, _CHANGE))
        return len({moment.replace(tzinfo=self.zone).utcoffset() for moment in around}) > 1

    def _next_wall(self, wall: datetime) -> datetime:
        """The first of its times on the wall, from that one on."""
        found = [trigger.get_next_fire_time(None, wall.replace(tzinfo=UTC)) for trigger in self.triggers]
        moments: list[datetime] = [moment.replace(tzinfo=None) for moment in found if moment is not None]
        return min(moments)


def parse_cron(text: str, zone: ZoneInfo) -> Cron:
    """The times of a crontab's five fields. Raises ValueError, which names the field, for what is none, for what only
    other crons understand (`L`, `#`, `@daily`), and for a day that no calendar has."""
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"“{text}” has {len(words)} of five fields; {_EXAMPLE}")
    minute, hour, day, month, weekday = (_field(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    # As crontab has it: one that starts with a star leaves the choice to the other.
    either = not words[2].startswith("*") and not words[4].startswith("*")
    days = [(day, None), (None, weekday)] if either else [(day, weekday)]
    if not either and min(day) > max(_LENGTHS[number - 1] for number in month):
        raise ValueError(f"“{text}” never comes: no month it names has that day")
    return Cron(
        " ".join(words),
        zone,
        tuple(
            CronTrigger(
                minute=_list(minute),
                hour=_list(hour),
                day=_list(of_month),
                month=_list(month),
                day_of_week=_list(None if of_week is None else sorted({(number - 1) % 7 for number in of_week})),
                timezone=UTC,
            )
            for of_month, of_week in days
        ),
    )


def _field(word: str, name: str, first: int, last: int, names: dict[str, int]) -> list[int]:
    """The numbers that one field means, in order; raises ValueError."""
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"“{part}” is no {name}; {_EXAMPLE}")
        start, end = first, last
        if match[2] is not None:
            start = end = _number(match[2], name, first, last, names)
        if match[3] is not None:
            end = _number(match[3], name, first, last, names)
        step = int(match[4] or 1)
        if match[4] and match[2] is not None and match[3] is None:
            raise ValueError(f"“{part}”: a step belongs behind * or a range, as in {start}-{last}/{step}")
        if start > end:
            raise ValueError(f"“{part}” goes backwards; write it as two with a comma between")
        if step == 0:
            raise ValueError(f"“{part}”: a step of 0 goes nowhere")
        if part.startswith("*") and last == 7:  # of the week's two Sundays one
            end = 6
        found.update(range(start, end + 1, step))
    return sorted(found)


def _number(word: str, name: str, first: int, last: int, names: dict[str, int]) -> int:
    number = names.get(word, int(word) if word.isdecimal() else -1)
    if not first <= number <= last:
        such = f", or like {next(iter(names))}" if names else ""
        raise ValueError(f"“{word}” is no {name}; it is from {first} to {last}{such}")
    return number


def _list(numbers: Sequence[int] | None) -> str:
    return "*" if numbers is None else ",".join(str(number) for number in numbers)
