"""What all parts of the check share: the lines they write."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime

from bot.deploys.errors import RateLimited, TryLater, Unavailable
from bot.logs import Hiding


class Report:
    """Writes the lines to stdout as they become known. No secret is ever in one."""

    def __init__(self, secrets: list[str]) -> None:
        self._hiding = Hiding(secrets)
        self.failed = False

    def ok(self, text: str) -> None:
        self._write("ok  ", text)

    def warn(self, text: str) -> None:
        self._write("warn", text)

    def fail(self, text: str) -> None:
        self.failed = True
        self._write("FAIL", text)

    @contextlib.contextmanager
    def part(self, what: str) -> Iterator[None]:
        """What breaks inside in a way that nobody foresaw ends this part only."""
        try:
            yield
        except Exception as error:
            self.fail(f"{what} could not be looked at ({type(error).__name__}: {error}): this is unexpected")

    def hide(self, secrets: list[str]) -> None:
        """From now on these are in no line either."""
        self._hiding.add(secrets)

    def _write(self, mark: str, text: str) -> None:
        sys.stdout.write(f"{mark}  {' '.join(self._hiding(text).split())}\n")
        sys.stdout.flush()


def later(error: TryLater) -> str:
    """Why the other side can't be asked now."""
    if isinstance(error, RateLimited):
        return f"{error.service} lets me ask no more{f' until {error.at:%H:%M} UTC' if error.at else ''}"
    return f"{error.service} does not answer ({error.detail})" if isinstance(error, Unavailable) else repr(error)


def at(moment: datetime) -> str:
    """A moment as it is written here."""
    return f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC"
