"""Stretches of time that come once, every week or every day, such as freezes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from bot.deploys.times import at_wall, local, parse_wall, parse_zone

Kind = Literal["dated", "weekly", "daily"]

_DAY = timedelta(days=1)
_EXAMPLES = "write both like Fri 16:00, like 2026-12-24 18:00 or like 18:00"
_KINDS: dict[Kind, str] = {"dated": "a date", "weekly": "a weekday", "daily": "a time of every day"}


@dataclass(frozen=True, slots=True)
class Edge:
    """A time on the clock of a date, of a weekday (0 is Monday), or of every day (None)."""

    day: date | int | None
    clock: time


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time between two edges on the wall of one zone. Made by `parse_window`.

    `from_` and `to` are the edges as they were written, `opens` and `closes` what they mean: the window holds
    from the first up to and without the second. The edges are kept by the clocks there, so that a night in
    which they are changed makes the window an hour longer or shorter.
    """

    kind: Kind
    from_: str
    to: str
    zone: ZoneInfo
    opens: Edge
    closes: Edge

    @property
    def zone_name(self) -> str:
        """The name of the zone, such as Europe/Berlin."""
        return self.zone.key

    def span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Start and end, in UTC, of the occurrence that holds at `now` (start <= now < end); None when none does."""
        # None is longer than a week, and one that starts in a gap starts later than written.
        first = local(now, self.zone).date() - 8 * _DAY
        return next((span for span in self._spans(first, days=9) if span[0] <= now < span[1]), None)

    def next_start(self, now: datetime) -> datetime | None:
        """The first start, in UTC, after `now`; None when there is none any more."""
        # A start may have moved on from yesterday, and next week's may be one that a gap swallows.
        first = local(now, self.zone).date() - _DAY
        return next((start for start, _ in self._spans(first, days=17) if start > now), None)

    def _spans(self, first: date, days: int) -> Iterator[tuple[datetime, datetime]]:
        """The occurrences that start on those days, in order; the one of a dated window whenever it starts."""
        opens, closes, zone = self.opens, self.closes, self.zone
        if isinstance(opens.day, date) and isinstance(closes.day, date):
            yield at_wall(opens.day, opens.clock, zone), at_wall(closes.day, closes.clock, zone)
            return
        period, length = 1, 0
        if isinstance(opens.day, int) and isinstance(closes.day, int):
            period, length = 7, (closes.day - opens.day) % 7
        if length == 0 and closes.clock <= opens.clock:
            length = period
        for day in (first + number * _DAY for number in range(days)):
            if opens.day not in (None, day.weekday()):
                continue
            start = at_wall(day, opens.clock, zone)
            # An end that lies in a gap moves on, yet not into the next occurrence; a start may even move past its end.
            following = at_wall(day + period * _DAY, opens.clock, zone)
            end = min(at_wall(day + length * _DAY, closes.clock, zone), following)
            if start < end:
                yield start, end


def parse_window(from_: str, to: str, zone_name: str) -> Window:
    """A window from its edges: two dates, two weekdays or two times of day, in any case.

    A day without a time opens the window with its first moment and closes it after its last. A window of
    weekdays goes on over the end of the week, one of times over midnight.

    Raises ValueError, which says what is wrong and how it is written: an edge or a zone that is none, edges of
    different kinds, a dated window that ends before it starts, and another with nothing between its edges.
    """
    zone = parse_zone(zone_name.strip())
    from_, to = " ".join(from_.split()), " ".join(to.split())
    try:
        opens, closes = _edge("from", from_), _edge("to", to)
        kind, other = _kind(opens), _kind(closes)
        if kind != other:
            raise ValueError(f"from “{from_}” is {_KINDS[kind]}, but to “{to}” is {_KINDS[other]}; {_EXAMPLES}")
        window = Window(kind, from_, to, zone, opens, closes)
        if kind == "dated":
            ((start, end),) = window._spans(date.min, days=0)
            if end <= start:
                raise ValueError(f"to “{to}” is not after from “{from_}”; a dated window ends after it starts")
    except OverflowError:
        raise ValueError(f"from “{from_}” to “{to}” reaches past the end of the calendar") from None
    if opens == closes:
        raise ValueError(f"from “{from_}” and to “{to}” meet, so that the window would hold always or never")
    return window


def _edge(key: str, text: str) -> Edge:
    """What is written under `from` or `to`; raises ValueError, or OverflowError for the calendar's last day."""
    try:
        wall = parse_wall(text)
    except ValueError as error:
        raise ValueError(f"{key} “{text}”: {error}; {_EXAMPLES}") from None
    day = wall.day
    if wall.clock is None and key == "to" and day is not None:  # a day closes with the next one's first moment
        day = (day + 1) % 7 if isinstance(day, int) else day + _DAY
    return Edge(day, wall.clock or time(0))


def _kind(edge: Edge) -> Kind:
    if edge.day is None:
        return "daily"
    return "weekly" if isinstance(edge.day, int) else "dated"
