"""What a provider reports through: its log, its statuses, what it remembers, and whether it must stop."""

from __future__ import annotations

import codecs
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
import structlog

from bot.deploys import states
from bot.deploys.clock import Clock
from bot.providers.base import CANCELLED, DESCRIPTION, TIMED_OUT, Callback, Stopped, Told
from bot.providers.masking import Masker
from bot.store import logs, runs
from bot.store.engine import Store
from bot.store.runs import Run

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Kept = TypeVar("Kept")

STOPPING, TAKEN = "stopping", "taken"

LOOK = 0.5  # seconds between looks at the database whether it must stop
FLUSH = 0.5  # seconds that output waits for more
PIECE = 65536  # characters, after which it does not wait
KEPT = 8_000_000  # characters of a log from its start
TAIL = 64_000  # and from its end, since that is where one looks for what went wrong
GRACE = 10.0  # seconds that work has to end in
HASTE = 3.0  # the same while this process stops, which has ten seconds for all it does
WIND_UP = 30.0  # seconds to end what an earlier attempt has begun elsewhere
OFTEN = timedelta(seconds=10)  # between two statuses that say only what is done now
LONGEST_MEMORY = 16_000  # bytes of what a provider remembers
LONGEST_URL = 2000


def _is_address(url: str) -> bool:
    """Whether GitHub, a browser and every database take it for one."""
    if len(url) > LONGEST_URL or any(letter <= " " or "\x7f" <= letter <= "\xa0" for letter in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname)


class RunReporter:
    """The port `bot.providers.base.Reporter`, for one attempt at one run. `callback`: the run's, where there is one."""

    def __init__(self, store: Store, clock: Clock, run: Run, callback: Callback | None = None) -> None:
        self._store = store
        self._clock = clock
        self._run = run
        self._callback = callback
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._told = 0
        self._noticed = 0  # of these
        self._stopping = False
        self._wound_up: float | None = None  # when what winds up must be done
        self._looked = -LOOK
        self._masker = Masker()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting: list[str] = []
        self._size = 0
        self._since = time.monotonic()
        self._stored = 0
        self._left_out = 0
        self._tail = ""
        self._said: str | None = None
        self._next: datetime | None = None  # when the newest status is written
        self._at_line_start = True
        self.begun = run.begun
        self.reason = ""  # why it must stop, once it must

    # for the provider

    @property
    def deadline(self) -> datetime:
        return self._run.deadline_at

    def seconds_left(self) -> float:
        return max(0.0, (self._run.deadline_at - self._clock.now()).total_seconds())

    def in_progress(self, description: str = "") -> None:
        description = self._short(description)
        with self._lock:
            if self._said == description:
                return
            now = self._clock.now()
            if self._next is None or now > self._next:  # else one is about to be written, and this goes with it
                self._next = now if self._next is None else max(now, self._next + OFTEN)
            at = self._next
            self._said = description

            def report(connection: sa.Connection) -> None:
                if runs.look(connection, self._run) == (True, False):
                    runs.report(connection, self._run, states.IN_PROGRESS, description, now, at=at)

            self._write(report)

    def environment_url(self, url: str) -> None:
        self._url("environment_url", url)

    def log_url(self, url: str) -> None:
        self._url("log_url", url)

    def write(self, output: bytes | str) -> None:
        with self._lock:
            text = self._decoder.decode(output) if isinstance(output, bytes) else output
            self._take(self._masker.feed(text))
            if self._size >= PIECE or time.monotonic() - self._since >= FLUSH:
                self._flush()

    def hide(self, secret: str) -> None:
        with self._lock:
            self._masker.hide(secret)

    def remember(self, state: Mapping[str, Any]) -> None:
        if len(msgspec.json.encode(state)) > LONGEST_MEMORY:
            raise ValueError(f"a provider may remember {LONGEST_MEMORY} bytes at most")
        self._keep(remembered=dict(state))

    def check(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._size and now - self._since >= FLUSH:
                self._flush()
            if self.reason:
                self._stop(self.reason)
            late = self._clock.now() >= self._run.deadline_at if self._wound_up is None else now >= self._wound_up
            if late:
                self._stop(TIMED_OUT)
            look = now - self._looked >= LOOK
            if look:
                self._looked = now
        if look:
            try:
                with self._store.read() as connection:
                    held, cancelled = runs.look(connection, self._run)
            except sa.exc.SQLAlchemyError:
                held, cancelled = True, False  # not known now; the lease says in the end whose it is
            if not held:
                self._stop(TAKEN)
            if cancelled and self._wound_up is None:
                self._stop(CANCELLED)
        if self._stopping:
            self._stop(STOPPING)

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        told = self._noticed  # what came since the last wait is news, too
        self.check()
        while (left := until - time.monotonic()) > 0 and self._told == told:
            with self._changed:
                self._changed.wait_for(lambda: self._told != told or self._stopping, min(left, LOOK))
            self.check()
        self._noticed = self._told

    def callback(self) -> Callback | None:
        if self._callback is not None:
            self.hide(self._callback.token)
            self._keep(callback=runs.hash_of(self._callback.token))
        return self._callback

    def told(self) -> Told | None:
        run = self._patiently(self._store.read, lambda connection: runs.find(connection, self._run.id))
        return None if run is None or run.told is None else Told(**run.told)

    # for the runner

    def begin(self) -> None:
        """From here on something may have happened. Raises Stopped when there is no beginning any more."""
        self.check()
        self._keep(begun=True)
        self.begun = True

    def wind_up(self) -> None:
        """From here on it is about ending what was begun: neither a cancel nor the deadline stops that, but it has
        WIND_UP."""
        self._wound_up = time.monotonic() + WIND_UP

    def poke(self) -> None:
        """GitHub told of something about the commit, or somebody by the callback."""
        with self._changed:
            self._told += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """This process stops."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self, last_words: str = "") -> None:
        """Stores what is left of the output. `last_words` are put below it."""
        with self._lock:
            self._take(self._masker.feed(self._decoder.decode(b"", True)) + self._masker.finish())
            if self._left_out:
                left_out = max(0, self._left_out - len(self._tail))
                self._waiting.append(f"\n[… {left_out} characters are left out here …]\n{self._tail}")
                self._tail, self._left_out = "", 0
            self._flush()
            if last_words:
                self._waiting.append(f"{'' if self._at_line_start else chr(10)}[{last_words}]\n")
            self._flush()

    def flush(self) -> None:
        """Stores what could not be stored before."""
        with self._lock:
            self._flush()

    def mask(self, text: str) -> str:
        """The text without secrets, cut to the length of a status's description."""
        return self._short(text)

    def _short(self, text: str) -> str:
        with self._lock:
            flat = " ".join(self._masker.mask(text).replace("\x00", "\ufffd").split())
        return flat if len(flat) <= DESCRIPTION else flat[: DESCRIPTION - 1] + "…"

    def _url(self, name: str, url: str) -> None:
        if not _is_address(url):
            log.warning("no_address", what=name)
            return
        with self._lock:
            url = self._masker.mask(url)
        self._write(lambda connection: runs.update(connection, self._run, **{name: url}))

    def _keep(self, **values: Any) -> None:
        if not self._write(lambda connection: runs.update(connection, self._run, **values)):
            self._stop(TAKEN)

    def _write(self, change: Callable[[sa.Connection], Kept]) -> Kept:
        return self._patiently(self._store.write, change)

    def _patiently(
        self,
        transaction: Callable[[], contextlib.AbstractContextManager[sa.Connection]],
        do: Callable[[sa.Connection], Kept],
    ) -> Kept:
        """A database that is away comes back: what is under way waits for that, as long as it need not stop. Done
        twice, when only the answer was lost, `do` comes to the same."""
        while True:
            try:
                with transaction() as connection:
                    return do(connection)
            except sa.exc.OperationalError as error:
                log.warning("database_unavailable", error=type(error).__name__)
            self.check()
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, LOOK)

    def _stop(self, reason: str) -> None:
        self.reason = reason
        raise Stopped(reason, HASTE if reason == STOPPING else GRACE)

    def _take(self, text: str) -> None:
        """Keeps the beginning of the output and its end."""
        if not text:
            return
        text = text.replace("\x00", "\ufffd")
        self._at_line_start = text.endswith("\n")
        room = max(0, KEPT - self._stored - self._size)
        head, rest = text[:room], text[room:]
        if head:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(head)
            self._size += len(head)
        if rest:
            self._left_out += len(rest)
            self._tail = (self._tail + rest)[-TAIL:]

    def _flush(self) -> None:
        text = "".join(self._waiting)
        if not text:
            return
        try:
            with self._store.write() as connection:
                logs.append(connection, self._run.log, text, self._clock.now())
        except sa.exc.SQLAlchemyError as error:
            log.warning("output_waits", error=type(error).__name__)
            self._since = time.monotonic()
            return
        self._stored += len(text)
        self._waiting, self._size = [], 0
