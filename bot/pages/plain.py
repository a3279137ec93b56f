"""Output without what only a terminal understands, for those who take it as text."""

from __future__ import annotations

import re

# Escape sequences (ECMA-48): what moves the cursor and colours, what ends with BEL or ST, and the short ones.
_SEQUENCE = re.compile(
    "\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]?"
    "|[\\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\\\)?"
    "|[ -/]*[0-Z\\\\`-~]?"
    ")"
)
_BEGUN = re.compile("\x1b(?:\\[[0-?]*[ -/]*|[\\]PX^_][^\x07\x1b\x9c]*\x1b?|[ -/]*)\\Z")  # may go on in the next piece
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_RETURN = re.compile("\r+\n?")
HELD = 4096  # characters of a sequence that is waited for; what is longer is none


class Plain:
    """Text goes in, in pieces of any size, and comes out without colours and control characters.

    Where a program went back to the start of a line to write it anew, a new line begins: nothing is lost.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What is complete now."""
        text = self._held + text
        begun = _BEGUN.search(text, max(0, len(text) - HELD))
        end = begun.start() if begun else len(text)
        while end and text[end - 1] == "\r":  # a \n may follow
            end -= 1
        self._held = text[end:]
        return _plain(text[:end])

    def finish(self) -> str:
        """The rest, once nothing more comes."""
        text, self._held = self._held, ""
        return _plain(text)


def _plain(text: str) -> str:
    return _CONTROL.sub("", _RETURN.sub("\n", _SEQUENCE.sub("", text)))
