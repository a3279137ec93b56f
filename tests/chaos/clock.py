"""A clock that several processes go by, and that one of them can put forward."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

SECONDS = struct.Struct("d")


class SharedClock:
    """Real time, and what it was put forward by, which stands in a file that is shared. Beside it is a pipe through
    which others hear of that."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(SECONDS.pack(0.0))
            os.mkfifo(f"{path}.bell")
        with path.open("r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), SECONDS.size)
        self._bell = os.open(f"{path}.bell", os.O_RDWR)  # with a writer of its own, so that no end is ever read

    def now(self) -> datetime:
        """The present moment, in UTC and aware of it."""
        return datetime.now(UTC) + timedelta(seconds=SECONDS.unpack(self._ahead[:])[0])

    def forward(self, length: timedelta) -> None:
        """So much time passes at once."""
        ahead = SECONDS.unpack(self._ahead[:])[0] + length.total_seconds()
        self._ahead[:] = SECONDS.pack(ahead)
        os.write(self._bell, b".")

    def wait(self) -> None:
        """Until it was put forward."""
        os.read(self._bell, 64)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._bell)
