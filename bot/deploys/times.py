"""Lengths of time and moments as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=366)
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d{1,5})(min|[smhdw])", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m` (or `30min`), `4h`, `2d`, `1w`, and several in one word: `1h30m`.

    Raises ValueError for what is none, for nothing at all, and for more than a year.
    """
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ValueError(f"“{text}” is no length of time; write it like 30m, 4h or 1h30m")
    length = sum((timedelta(**{_UNITS[part[2].lower()]: int(part[1])}) for part in parts), timedelta())
    if not timedelta() < length <= LONGEST:
        raise ValueError(f"“{text}” is not between a second and a year")
    return length
