"""What the replicas on one PostgreSQL tell one another: that there is work, and what somebody waits for.

Every word is only a hint. What counts stands in the database and is looked for every second or few; so a word that is
lost, or a pooler that passes none on, costs no more than that.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog

from bot.store.engine import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

CHANNEL = "shipbot"
WORK = ""  # the word for: jobs were added
GAP = 0.01  # seconds between two tellings at least; whatever is to be told meanwhile goes along with the next
LONGEST_PAUSE = 30.0  # seconds between two attempts to reach the database
LONGEST_WORD = 500  # bytes; PostgreSQL takes 8000


class Wire:
    """A thread with a connection of its own, which tells the other replicas and hears them by NOTIFY and LISTEN
    (https://www.postgresql.org/docs/current/sql-notify.html).

    It tells after the commit and not in it: a transaction that notifies holds a lock of the whole server until it is
    on the disk, one after the other. `heard` is told, in that thread, each word from others but WORK, which rings the
    store's bell.
    """

    def __init__(self, store: Store, heard: Callable[[str], None] = lambda word: None) -> None:
        self._store = store
        self._heard = heard
        self._lock = threading.Lock()
        self._words: set[str] = set()
        self._stopping = threading.Event()
        self._woken, self._waker = socket.socketpair()  # what a thread that waits for a connection is woken by
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def start(self) -> None:
        """From here on the store tells the others by this."""
        self._store.tell = self.tell
        self._thread.start()

    def tell(self, word: str = WORK) -> None:
        """Leaves a word for the others, and returns at once."""
        if len(word.encode()) > LONGEST_WORD:
            return
        with self._lock:
            first = not self._words
            self._words.add(word)
        if first:
            self._wake()

    def stop(self, seconds: float) -> None:
        """Tells what is still to be told, and hears no more; waits for that up to `seconds`."""
        self._stopping.set()
        self._wake()
        self._thread.join(seconds)
        self._waker.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # so full that it wakes for sure, or closed
            self._waker.send(b"!")

    def _run(self) -> None:
        with self._woken:
            self._keep_talking()

    def _keep_talking(self) -> None:
        pause, away = 1.0, False
        while not self._stopping.is_set():
            try:
                with contextlib.closing(self._connected()) as connection:
                    if away:
                        log.info("replicas_heard_again")
                    pause, away = 1.0, False
                    self._store.bell.ring()  # what was told before this is not heard
                    self._talk(connection)
            except (psycopg.Error, sa.exc.SQLAlchemyError, OSError) as error:
                if not away:
                    log.warning("replicas_not_heard", error=type(error).__name__)
                away = True
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _connected(self) -> psycopg.Connection[Any]:
        borrowed = self._store.engine.raw_connection()
        connection = borrowed.driver_connection
        assert isinstance(connection, psycopg.Connection)
        borrowed.detach()  # it is listening for good, which nobody expects of one from the pool
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute("SET synchronous_commit TO off")  # a word need not wait for the disk
            connection.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _talk(self, connection: psycopg.Connection[Any]) -> None:
        """Until it is to stop. Raises what the database raises."""
        own, next_at = connection.info.backend_pid, 0.0
        with selectors.DefaultSelector() as ready:
            ready.register(connection.fileno(), selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            while True:
                stopping, left = self._stopping.is_set(), next_at - time.monotonic()
                if stopping or left <= 0:
                    if words := self._taken():
                        connection.execute("SELECT pg_notify(%s, word) FROM unnest(%s::text[]) word", [CHANNEL, words])
                        next_at = time.monotonic() + GAP
                    left = GAP
                heard = {notice.payload for notice in connection.notifies(timeout=0) if notice.pid != own}
                if WORK in heard:
                    self._store.bell.ring()
                for word in heard - {WORK}:
                    self._heard(word)
                if stopping:
                    return
                ready.select(left if self._words else None)
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)

    def _taken(self) -> list[str]:
        with self._lock:
            words, self._words = sorted(self._words), set()
        return words
