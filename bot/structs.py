"""What messages are read into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec


def work_out() -> None:
    """Lets msgspec find out what every struct there is holds, which it does once, when something is first read into it.

    Two threads that come to that at the same time break the process (seen with 0.22.0: one of them finds what the other
    has only begun). So this is for when there is just one.
    """
    for kind in _below(msgspec.Struct):
        with contextlib.suppress(TypeError, NameError):  # of somebody else's, into which nothing can be read
            msgspec.json.Decoder(kind)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
