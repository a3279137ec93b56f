"""Wakes those who follow a log, by one question to the database for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LOOK = 0.5  # seconds between two looks; output waits as long for more before it is stored


class Following:
    """`look` says for each of some logs how it stands now; it is called in a thread, and only while somebody follows.

    For one event loop.
    """

    def __init__(self, look: Callable[[Collection[str]], Mapping[str, Any]]) -> None:
        self._look = look
        self._watching: dict[asyncio.Event, str] = {}
        self._seen: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    @contextlib.contextmanager
    def watch(self, log_id: str) -> Iterator[asyncio.Event]:
        """An event that is set after each change of that log, and when all is closed."""
        event = asyncio.Event()
        self._watching[event] = log_id
        if self._task is None:
            self._task = asyncio.create_task(self._go_round())
        try:
            yield event
        finally:
            del self._watching[event]
            if not self._watching and self._task is not None:
                self._task.cancel()
                self._task = None
                self._seen = {}

    def close(self) -> None:
        """Wakes everybody for the last time."""
        self.closed = True
        for event in self._watching:
            event.set()

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                found = await asyncio.to_thread(self._look, set(self._watching.values()))
            except Exception as error:  # a database that is away comes back
                log.warning("can_not_look", error=type(error).__name__)
                continue
            for event, log_id in self._watching.items():
                if log_id not in self._seen or self._seen[log_id] != found.get(log_id):
                    event.set()
            self._seen = {log_id: found.get(log_id) for log_id in self._watching.values()}
