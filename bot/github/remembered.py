"""What GitHub answered, kept to ask whether it still holds: being told so does not count against the hourly limit.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

ROOM = 16 * 1024 * 1024  # bytes of all together
LARGEST = 1024 * 1024  # bytes of one that is kept

BESIDE = 500  # bytes of each beside its body, at a guess

Key = tuple[bytes, str]  # who asked (a digest of the token), and the address with its query


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: its tag, its Link header, its body."""

    etag: str
    link: str
    body: bytes = field(repr=False)


class Remembered:
    """The answers asked for last, in memory alone. Thread-safe.

    GitHub says each time whether one still holds, so none is ever too old. Who asks is part of the key: what one
    token sees, another may not.
    """

    def __init__(self, room: int = ROOM, largest: int = LARGEST) -> None:
        self._room = room
        self._largest = largest
        self._lock = threading.Lock()
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self.size = 0  # bytes

    def get(self, key: Key) -> Answer | None:
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
            return known

    def put(self, key: Key, answer: Answer) -> None:
        with self._lock:
            self._drop(key)
            if len(answer.body) > self._largest:
                return
            self._answers[key] = answer
            self.size += len(answer.body) + BESIDE
            while self.size > self._room:
                self._drop(next(iter(self._answers)))

    def _drop(self, key: Key) -> None:
        known = self._answers.pop(key, None)
        if known is not None:
            self.size -= len(known.body) + BESIDE
